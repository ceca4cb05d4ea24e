package report

import (
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"regexp"
	"slices"
)

// own is the ID of the target that the charts and tables highlight.
const own = "portcullis"

// Write writes README.md and one chart, ID.svg, for each measure into dir, which
// it makes if need be; other files there stay. The same results give the same
// bytes. It writes nothing if the results contradict themselves. All texts in
// them are plain: they are escaped, and mean nothing in Markdown or SVG.
func Write(dir string, r Results) error {
	if err := check(r); err != nil {
		return fmt.Errorf("report: %w", err)
	}
	files := map[string]func() ([]byte, error){"README.md": func() ([]byte, error) { return page(r) }}
	for _, m := range r.Measures {
		files[m.ID+".svg"] = func() ([]byte, error) { return chart(r.Targets, m) }
	}
	if err := os.MkdirAll(dir, 0o755); err != nil { //nolint:gosec // to be read by everybody
		return fmt.Errorf("report: %w", err)
	}
	for name, content := range files {
		raw, err := content()
		if err == nil {
			err = os.WriteFile(filepath.Join(dir, name), raw, 0o644) //nolint:gosec // to be read by everybody
		}
		if err != nil {
			return fmt.Errorf("report: %w", err)
		}
	}
	return nil
}

// fileName is what the ID of a measure must be: it names a file and an anchor.
var fileName = regexp.MustCompile(`^[a-z0-9]+(-[a-z0-9]+)*$`)

// check tells everything that would make the report a wrong one.
func check(r Results) error {
	var errs []error
	wrong := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }
	targets := map[string]bool{}
	for _, t := range r.Targets {
		if t.ID == "" || targets[t.ID] {
			wrong("target %q: the ID is empty or there twice", t.ID)
		}
		targets[t.ID] = true
	}
	measures := map[string]bool{}
	for _, m := range r.Measures {
		if !fileName.MatchString(m.ID) || measures[m.ID] {
			wrong("measure %q: the ID is not like cpu-64b, or there twice", m.ID)
		}
		measures[m.ID] = true
		values := map[string]bool{}
		for _, v := range m.Values {
			if !targets[v.Target] || values[v.Target] {
				wrong("measure %q: target %q is unknown or has two values", m.ID, v.Target)
			}
			values[v.Target] = true
			if v.Missing != "" {
				continue
			}
			for _, f := range append(slices.Clone(v.Rounds), v.Median) {
				if math.IsNaN(f) || math.IsInf(f, 0) {
					wrong("measure %q, target %q: %v is not a figure", m.ID, v.Target, f)
				}
			}
			if lo, hi := v.between(); v.Median < lo || v.Median > hi {
				wrong("measure %q, target %q: the median is not among its rounds", m.ID, v.Target)
			}
		}
	}
	return errors.Join(errs...)
}

// of returns a target's value, which says so if it is missing.
func (m Measure) of(target string) Value {
	for _, v := range m.Values {
		if v.Target == target {
			return v
		}
	}
	return Value{Target: target, Missing: "not measured"}
}

// between returns the least and the greatest round; both are the median if no
// rounds are told.
func (v Value) between() (lo, hi float64) {
	if len(v.Rounds) == 0 {
		return v.Median, v.Median
	}
	return slices.Min(v.Rounds), slices.Max(v.Rounds)
}

// better says which way is better.
func (m Measure) better() string {
	if m.LowerIsBetter {
		return "lower is better"
	}
	return "higher is better"
}
