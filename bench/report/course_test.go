package report_test

import (
	"bytes"
	"encoding/xml"
	"errors"
	"io"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/portcullis-auth/portcullis/bench/report"
)

func TestWriteCourse(t *testing.T) {
	minutes := []time.Duration{0, 5 * time.Minute, 10 * time.Minute}
	file := filepath.Join(t.TempDir(), "new", "memory.svg")
	course := report.Course{By: "go run ./hostile", Name: "memory <& all>", About: "20 clients", Unit: "MB", Lines: []report.Line{
		{"resident", minutes, []float64{40, 50, 49.5}}, {"live", minutes, []float64{18, 19, 18}},
	}}
	if err := report.WriteCourse(file, course); err != nil {
		t.Fatal(err)
	}
	raw, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	for d := xml.NewDecoder(bytes.NewReader(raw)); ; {
		if _, err := d.Token(); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatal(err)
		}
	}
	// Ten minutes are 546 wide, and 50 MB 250 high.
	for _, want := range []string{
		`d="M64 130L337 80L610 82.5"`, `d="M64 240L337 235L610 240"`, "resident 49.5 MB", "live 18 MB", "memory &lt;&amp; all&gt;",
	} {
		if !strings.Contains(string(raw), want) {
			t.Errorf("it lacks %s", want)
		}
	}

	for name, lines := range map[string][]report.Line{
		"no lines":     nil,
		"no figures":   {{"a", nil, nil}},
		"one is short": {{"a", minutes, []float64{1}}},
		"no number":    {{"a", minutes, []float64{1, 2, math.NaN()}}},
		"negative":     {{"a", minutes, []float64{1, -2, 3}}},
		"endless":      {{"a", minutes, []float64{1, math.Inf(1), 3}}},
	} {
		file := filepath.Join(t.TempDir(), "x.svg")
		if err := report.WriteCourse(file, report.Course{Lines: lines}); err == nil {
			t.Errorf("%s: no error", name)
		}
		if _, err := os.Stat(file); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("%s: a file", name)
		}
	}
}

func ExampleWriteCourse() {
	err := report.WriteCourse("", report.Course{Name: "memory", Lines: []report.Line{
		{Name: "resident", At: []time.Duration{time.Minute, 2 * time.Minute}, Values: []float64{1}},
	}})
	_, _ = os.Stdout.WriteString(err.Error())
	// Output: report: line "resident" has 2 moments and 1 figures
}
