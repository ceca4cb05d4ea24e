package report

import (
	"bytes"
	"cmp"
	"embed"
	"encoding/xml"
	"math"
	"slices"
	"strconv"
	"strings"
	"text/template"
)

//go:embed chart.svg.tmpl course.svg.tmpl style.svg.tmpl
var drawings embed.FS

var drawingTemplates = template.Must(template.New("").Funcs(template.FuncMap{"xml": escapeXML}).ParseFS(drawings, "*.svg.tmpl"))

// Sizes are in the units of the view box, which are pixels where nothing scales it.
// The widths of letters are guesses, on the large side: the font is the reader's.
const (
	width  = 760
	margin = 20
	top    = 74 // of the first row
	row    = 30
	value  = 84 // room right of the longest bar
	letter = 7.2
	// These are counted in letters.
	longestName  = 36
	longestTitle = 80
)

// px is a place or a length. It prints with one decimal, so that a chart doesn't
// depend on how a processor rounds.
type px float64

func (p px) String() string { return strconv.FormatFloat(math.Round(float64(p)*10)/10, 'f', -1, 64) }

// A drawing is what the template needs to draw a measure. Its axis begins at zero.
type drawing struct {
	Measure
	Better      string
	Title       string
	Zero        px // x of the axis' begin
	Bottom      px // of the last row
	Ticks       []tick
	Bars        []bar
	Limit, Span bool // the legend tells of them
}

// Below returns a place below the rows.
func (d drawing) Below(p px) px { return d.Bottom + p }

type tick struct {
	X    px
	Text string
}

type bar struct {
	Name   string
	Class  string
	Text   string // the figure, or why there is none
	Absent bool   // there is none: no bar
	Span   bool   // From and To are different
	// Y is the middle of the row. Text begins at End.
	Y, Width, From, To, End px
}

// chart draws a measure, best first.
func chart(targets []Target, m Measure) ([]byte, error) {
	d := drawing{Measure: m, Better: m.better(), Title: short(m.Name, longestTitle), Bottom: px(top + row*len(targets))}
	letters, greatest := 0, 0.0
	for _, t := range targets {
		letters = max(letters, len([]rune(short(t.Name, longestName))))
		if v := m.of(t.ID); v.Missing == "" {
			_, hi := v.between()
			greatest = max(greatest, hi)
		}
	}
	d.Zero = px(margin + letter*float64(letters) + 10)
	step, n := scale(greatest)
	x := func(v float64) px {
		return d.Zero + (width-margin-value-d.Zero)*px(max(0, v)/step/float64(n))
	}
	for i := range n + 1 {
		v := step * float64(i)
		d.Ticks = append(d.Ticks, tick{x(v), mark(v, step)})
	}
	for i, t := range ranked(targets, m) {
		v, lo, hi := m.of(t.ID), 0.0, 0.0
		b := bar{Name: short(t.Name, longestName), Class: "peer", Y: px(top + row*i + row/2), Absent: v.Missing != ""}
		switch {
		case t.ID == own:
			b.Class = "own"
		case t.Limit:
			b.Class = "limit"
		}
		if b.Absent {
			b.End = d.Zero + 8
			b.Text = short(v.Missing, int((width-margin-b.End)/letter))
		} else {
			lo, hi = v.between()
			b.Text, b.Width, b.From, b.To, b.End = number(v.Median), x(v.Median)-d.Zero, x(lo), x(hi), x(hi)+8
		}
		b.Span = lo < hi
		d.Span = d.Span || b.Span
		d.Limit = d.Limit || b.Class == "limit" && !b.Absent
		d.Bars = append(d.Bars, b)
	}
	var out bytes.Buffer
	err := drawingTemplates.ExecuteTemplate(&out, "chart.svg.tmpl", d)
	return out.Bytes(), err
}

// ranked returns the targets from the best to the worst. Those without a figure
// come last.
func ranked(targets []Target, m Measure) []Target {
	return slices.SortedStableFunc(slices.Values(targets), func(s, t Target) int {
		a, b := m.of(s.ID), m.of(t.ID)
		switch {
		case a.Missing != "" && b.Missing != "":
			return 0
		case a.Missing != "":
			return 1
		case b.Missing != "":
			return -1
		case m.LowerIsBetter:
			return cmp.Compare(a.Median, b.Median)
		}
		return cmp.Compare(b.Median, a.Median)
	})
}

// scale divides an axis from zero to v, or a little more, into n ≤ 5 steps of
// 1, 2 or 5 times a power of ten. An axis to zero has one step.
func scale(v float64) (step float64, n int) {
	if v <= 0 {
		return 1, 1
	}
	power := math.Pow(10, math.Floor(math.Log10(v/5)))
	for _, step = range []float64{power, 2 * power, 5 * power, 10 * power} {
		if n = int(math.Ceil(v / step)); n <= 5 {
			break
		}
	}
	return step, n
}

// mark writes the place of a tick on an axis with such steps.
func mark(v, step float64) string { return fixed(v, -int(math.Floor(math.Log10(step)))) }

// short cuts a text that has more than n letters.
func short(s string, n int) string {
	if letters := []rune(s); len(letters) > n {
		return strings.TrimSpace(string(letters[:n-1])) + "…"
	}
	return s
}

func escapeXML(s string) (string, error) {
	var out strings.Builder
	err := xml.EscapeText(&out, []byte(s))
	return out.String(), err
}
