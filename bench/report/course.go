package report

import (
	"bytes"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// A Course is how figures went in the course of a run. All texts in it are plain.
type Course struct {
	By    string // the command that it comes from
	Name  string
	About string // one line
	Unit  string // of all lines
	Lines []Line // the first one is highlighted
}

// A Line is one figure, at one moment after the other.
type Line struct {
	Name   string
	At     []time.Duration // since the begin
	Values []float64       // as many
}

const (
	courseTop, courseBottom = 80, 330
	courseLeft, courseRight = 64, 610
)

// A sketch is what the template needs to draw a course. Both axes begin at zero.
type sketch struct {
	Course
	Title               string
	Left, Right, Bottom px
	Ticks               []tick // of the minutes
	Up                  []tick // of the figures; X is their height
	Drawn               []drawn
}

type drawn struct {
	Class, Path, Text string
	X, Y              px // of the last figure
}

// WriteCourse writes the chart of a course, as SVG, into a file, whose folder it
// makes if need be. It writes nothing if the figures make no lines.
func WriteCourse(file string, c Course) error {
	raw, err := draw(c)
	if err != nil {
		return fmt.Errorf("report: %w", err)
	}
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil { //nolint:gosec // to be read by everybody
		return fmt.Errorf("report: %w", err)
	}
	if err := os.WriteFile(file, raw, 0o644); err != nil { //nolint:gosec // to be read by everybody
		return fmt.Errorf("report: %w", err)
	}
	return nil
}

func draw(c Course) ([]byte, error) {
	longest, highest := 0.0, 0.0
	for _, l := range c.Lines {
		if len(l.At) == 0 || len(l.At) != len(l.Values) {
			return nil, fmt.Errorf("line %q has %d moments and %d figures", l.Name, len(l.At), len(l.Values))
		}
		for i, v := range l.Values {
			if !(v >= 0) || math.IsInf(v, 0) {
				return nil, fmt.Errorf("line %q: %v is not a figure", l.Name, v)
			}
			longest, highest = max(longest, l.At[i].Minutes()), max(highest, v)
		}
	}
	if len(c.Lines) == 0 {
		return nil, errors.New("a course without lines")
	}
	s := sketch{Course: c, Title: short(c.Name, longestTitle), Left: courseLeft, Right: courseRight, Bottom: courseBottom}
	across, columns := scale(longest)
	x := func(minutes float64) px {
		return courseLeft + (courseRight-courseLeft)*px(minutes/across/float64(columns))
	}
	for i := range columns + 1 {
		s.Ticks = append(s.Ticks, tick{x(across * float64(i)), mark(across*float64(i), across)})
	}
	up, rows := scale(highest)
	y := func(v float64) px {
		return courseBottom - (courseBottom-courseTop)*px(v/up/float64(rows))
	}
	for i := range rows + 1 {
		s.Up = append(s.Up, tick{y(up * float64(i)), mark(up*float64(i), up)})
	}
	for i, l := range c.Lines {
		last := len(l.Values) - 1
		d := drawn{Class: "peer", X: x(l.At[last].Minutes()), Y: y(l.Values[last])}
		d.Text = fmt.Sprintf("%s %s %s", l.Name, number(l.Values[last]), c.Unit)
		if i == 0 {
			d.Class = "own"
		}
		var path strings.Builder
		for j, v := range l.Values {
			fmt.Fprintf(&path, "%c%v %v", "ML"[min(j, 1)], x(l.At[j].Minutes()), y(v))
		}
		d.Path = path.String()
		s.Drawn = append(s.Drawn, d)
	}
	var out bytes.Buffer
	err := drawingTemplates.ExecuteTemplate(&out, "course.svg.tmpl", s)
	return out.Bytes(), err
}
