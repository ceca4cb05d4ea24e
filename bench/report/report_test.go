package report_test

import (
	"bytes"
	"encoding/xml"
	"errors"
	"flag"
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/portcullis-auth/portcullis/bench/report"
)

var update = flag.Bool("update", false, "write what comes out as what is wanted")

// sample has a measure of each kind. Its figures are made up.
func sample() report.Results {
	targets := []report.Target{
		{ID: "relay", Name: "bare epoll relay", About: "moves bytes, knows no HTTP", Limit: true},
		{ID: "haproxy", Name: "HAProxy", Version: "2.6.12", About: "HTTP, asks nobody", Limit: true, Config: "compare/peers/haproxy.cfg"},
		{ID: "nginx", Name: "nginx auth_request", Version: "1.22.1", About: "asks for each request", Config: "compare/peers/nginx.conf"},
		{ID: "nginx-cache", Name: "nginx auth_request + cache", Version: "1.22.1", About: "asks once", Config: "compare/peers/nginx-cache.conf"},
		{ID: "caddy", Name: "Caddy forward_auth", Version: "2.11.0", About: "asks for each request", Config: "compare/peers/Caddyfile"},
		{ID: "go", Name: "Go ReverseProxy + cache", Version: "go1.26.8", About: "80 lines", Config: "compare/naive"},
		{ID: "node", Name: "Node ws + verifyClient", Version: "8.18", About: "answers itself", Config: "compare/peers/node"},
		{ID: "portcullis", Name: "Portcullis", Version: "0.5.0", About: "portcullis serve", Config: "compare/peers/portcullis.yaml"},
	}
	// In the order of the targets; NaN is missing.
	none := math.NaN()
	measure := func(id, name, unit, about string, lower bool, medians ...float64) report.Measure {
		m := report.Measure{ID: id, Name: name, Unit: unit, About: about, LowerIsBetter: lower}
		for i, f := range medians {
			v := report.Value{Target: targets[i].ID, Median: f, Rounds: []float64{f * 1.0625, f, f * 0.96875}}
			if math.IsNaN(f) {
				v = report.Value{Target: targets[i].ID, Missing: "doesn't relay HTTP"}
			}
			m.Values = append(m.Values, v)
		}
		return m
	}
	return report.Results{
		Date:    "2026-11-23",
		Machine: report.Machine{CPU: "AMD EPYC", Cores: 2, Kernel: "6.18.44", Go: "go1.26.8", MemoryGiB: 8},
		Noise:   "a fixed loop took 98 to 104 % of its median",
		Targets: targets,
		Measures: []report.Measure{
			measure(report.HTTP, "authorized HTTP", "µs of CPU", "GET with a known token, 32 connections.", true, none, 14.2, 110.5, 22, 136, 69, 47, 71.25),
			measure(report.Handshake, "handshake, known token", "µs of CPU", "One of 100 tokens; closed after the 101.", true, 71, 76, 143, 86, 433, 189, 155, 118),
			measure(report.Idle, "idle socket", "KB resident", "9,500 sockets.", true, 0.2, 4.6, 26, 26, 113, 44, 6, 1.75),
			measure(report.Echo, "64 B echo", "µs of CPU", "64 sockets.", true, 12.5, 12, 12.7, 12.7, 14.8, 14.2, 9.6, 12.25),
			measure(report.Large, "64 KiB messages", "MB/s", "Both ways.", false, 1413, 939, 421, 421, 1109, 1111, 387, 1350),
			measure(report.Paced, "5,000 echoes/s, p99", "ms", "Not as fast as can be.", true, 0.21, 0.22, 0.25),
			measure("goroutines", "goroutines of an idle socket", "goroutines", "Only of programs in Go.", true, none, none, none, none, 4, 2, none, 0),
			{ID: "nothing", Name: "nothing at all", Unit: "µs", About: "Was not measured.", LowerIsBetter: true},
		},
	}
}

// nasty has text everywhere that would break a table or a chart.
func nasty() report.Results {
	bad := "a<b onload=\"x\">&'c' |d\\| `e` *f* [g](h) ]]> --> <!-- \x01\xff\n\n# i"
	r := sample()
	r.Date, r.Noise, r.Machine = bad, bad, report.Machine{CPU: bad, Kernel: bad, Go: bad}
	for i := range r.Targets {
		r.Targets[i].Name, r.Targets[i].Version, r.Targets[i].About, r.Targets[i].Config = bad, bad, bad, bad
	}
	for i := range r.Measures {
		m := &r.Measures[i]
		m.Name, m.Unit, m.About = bad, bad, bad
		for j := range m.Values {
			if m.Values[j].Missing != "" {
				m.Values[j].Missing = bad
			}
		}
	}
	return r
}

// write returns what Write writes, by the names of the files.
func write(t *testing.T, r report.Results) map[string]string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "made", "for", "it")
	if err := report.Write(dir, r); err != nil {
		t.Fatal(err)
	}
	return files(t, dir)
}

func files(t *testing.T, dir string) map[string]string {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	found := map[string]string{}
	for _, e := range entries {
		raw, err := os.ReadFile(filepath.Join(dir, e.Name()))
		if err != nil {
			t.Fatal(err)
		}
		found[e.Name()] = string(raw)
	}
	return found
}

func TestGolden(t *testing.T) {
	const golden = "testdata/golden"
	got := write(t, sample())
	got["table.md"] = report.Markdown(sample())
	if *update {
		if err := errors.Join(os.RemoveAll(golden), os.MkdirAll(golden, 0o755)); err != nil {
			t.Fatal(err)
		}
		for name, content := range got {
			if err := os.WriteFile(filepath.Join(golden, name), []byte(content), 0o644); err != nil {
				t.Fatal(err)
			}
		}
	}
	want := files(t, golden)
	if len(got) != len(want) {
		t.Errorf("%d files, want %d", len(got), len(want))
	}
	for name, content := range want {
		if got[name] != content {
			t.Errorf("%s is not the golden one (if it should be: go test ./report -update):\n%s", name, got[name])
		}
	}
}

// elements tells how often each kind of element is in a chart, and fails if it isn't
// well-formed.
func elements(t *testing.T, name, svg string) map[string]int {
	t.Helper()
	count := map[string]int{}
	for d := xml.NewDecoder(strings.NewReader(svg)); ; {
		token, err := d.Token()
		if errors.Is(err, io.EOF) {
			return count
		}
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if e, ok := token.(xml.StartElement); ok {
			count[e.Name.Local]++
			for _, a := range e.Attr {
				if strings.HasPrefix(a.Name.Local, "on") {
					t.Errorf("%s: attribute %s", name, a.Name.Local)
				}
			}
		}
	}
}

func TestChartsAreWellFormed(t *testing.T) {
	tame, bad := write(t, sample()), write(t, nasty())
	for name, svg := range tame {
		if filepath.Ext(name) != ".svg" {
			continue
		}
		want := elements(t, name, svg)
		if got := elements(t, name, bad[name]); fmt.Sprint(got) != fmt.Sprint(want) {
			t.Errorf("%s: text became elements: %v, want %v", name, got, want)
		}
		for _, part := range []string{`role="img"`, `<title id="title">`, `viewBox="0 0 760 `} {
			if !strings.Contains(svg, part) {
				t.Errorf("%s: no %s", name, part)
			}
		}
	}
}

// Nothing of a text means anything in Markdown.
func TestTextsAreEscaped(t *testing.T) {
	bad := nasty()
	bad.Targets, bad.Noise = bad.Targets[:1], bad.Noise+"~a~ $b$ _c_ \\"
	bad.Date = bad.Noise
	unescaped := regexp.MustCompile(`\\.`).ReplaceAllString(report.Markdown(bad), "")
	if i := strings.IndexAny(unescaped, "`~$_[]\\"); i >= 0 {
		t.Errorf("%q is not escaped:\n%s", unescaped[i:i+1], report.Markdown(bad))
	}
}

// Whatever the texts are, a page has the same lines and columns.
func TestTextsDontBreakTheTables(t *testing.T) {
	shape := func(page string) (shape []int) {
		for line := range strings.Lines(page) {
			line = strings.NewReplacer(`\\`, "", `\|`, "", "\\`", "").Replace(line)
			shape = append(shape, strings.Count(line, "|"))
			if strings.Contains(line, "<b") || strings.Contains(strings.TrimPrefix(line, "<!--"), "<!--") {
				t.Errorf("text became HTML: %s", line)
			}
		}
		return shape
	}
	for name, pages := range map[string][2]string{
		"README.md": {write(t, sample())["README.md"], write(t, nasty())["README.md"]},
		"table":     {report.Markdown(sample()), report.Markdown(nasty())},
	} {
		if want, got := shape(pages[0]), shape(pages[1]); !slices.Equal(got, want) {
			t.Errorf("%s: columns of the lines are\n%v, want\n%v", name, got, want)
		}
	}
}

func TestChart(t *testing.T) {
	for _, test := range []struct {
		name   string
		values []report.Value
		want   []string // parts of the chart, in this order
		not    string
	}{
		{
			"best first, from zero, missing last",
			[]report.Value{{Target: "a", Missing: "doesn't relay", Rounds: []float64{99}}, {Target: "b", Median: 30}, {Target: "portcullis", Median: 15}},
			[]string{`>0<`, `>10<`, `>20<`, `>30<`, `class="own"`, `width="309.4"`, `>15<`, `class="peer"`, `width="618.8"`, `>30<`, `doesn&#39;t relay`},
			"class=\"limit\"",
		},
		{"zeros", []report.Value{{Target: "a"}, {Target: "b"}}, []string{`>0<`, `>1<`, `width="0"`, `>0<`, `width="0"`, `>0<`, "not measured"}, "NaN"},
		{"less than zero", []report.Value{{Target: "a", Median: -0.25}, {Target: "b", Median: 2}}, []string{`width="0"`, `-0.25`}, `width="-`},
		{"nothing", nil, []string{`>0<`, "not measured", "not measured", "not measured"}, "NaN"},
		{"rounds", []report.Value{{Target: "a", Median: 2, Rounds: []float64{1, 2, 4}}}, []string{`>4<`, `class="span"`, `class="span"`}, "NaN"},
		{"rounds that are equal", []report.Value{{Target: "a", Median: 2, Rounds: []float64{2, 2}}}, []string{`>2<`}, `class="span"`},
	} {
		t.Run(test.name, func(t *testing.T) {
			svg := write(t, report.Results{
				Targets:  []report.Target{{ID: "a", Name: "a"}, {ID: "b", Name: "b"}, {ID: "portcullis", Name: "p"}},
				Measures: []report.Measure{{ID: "m", Name: "m", LowerIsBetter: true, Values: test.values}},
			})["m.svg"]
			_, rest, _ := strings.Cut(svg, "</style>")
			if strings.Contains(rest, test.not) {
				t.Errorf("%s is in it:\n%s", test.not, svg)
			}
			for _, part := range test.want {
				var found bool
				if _, rest, found = strings.Cut(rest, part); !found {
					t.Fatalf("no %s, or not there:\n%s", part, svg)
				}
			}
		})
	}
}

func TestWriteRefuses(t *testing.T) {
	for _, test := range []struct {
		name  string
		spoil func(*report.Results)
		want  string
	}{
		{"a name that leaves the directory", func(r *report.Results) { r.Measures[1].ID = "../x" }, `measure "../x"`},
		{"a measure twice", func(r *report.Results) { r.Measures[1].ID = r.Measures[0].ID }, `measure "http-cpu"`},
		{"a target twice", func(r *report.Results) { r.Targets[1].ID = "relay" }, `target "relay"`},
		{"a target without ID", func(r *report.Results) { r.Targets[1].ID = "" }, `target ""`},
		{"an unknown target", func(r *report.Results) { r.Measures[0].Values[1].Target = "x" }, `target "x" is unknown`},
		{"two values", func(r *report.Results) { r.Measures[0].Values[1].Target = "relay" }, `"relay" is unknown or has two`},
		{"NaN", func(r *report.Results) { r.Measures[0].Values[1].Median = math.NaN() }, `NaN is not`},
		{"infinity", func(r *report.Results) { r.Measures[0].Values[1].Rounds[1] = math.Inf(1) }, `+Inf is not`},
		{"a median below its rounds", func(r *report.Results) { r.Measures[0].Values[1].Median = 1 }, `not among its rounds`},
		{"a median above its rounds", func(r *report.Results) { r.Measures[0].Values[1].Median = 99 }, `not among its rounds`},
	} {
		t.Run(test.name, func(t *testing.T) {
			r := sample()
			test.spoil(&r)
			dir := filepath.Join(t.TempDir(), "x")
			err := report.Write(dir, r)
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("error %v, want one with %s", err, test.want)
			}
			if _, err := os.Stat(dir); !os.IsNotExist(err) {
				t.Errorf("something was written: %v", err)
			}
		})
	}
}

func TestNumber(t *testing.T) {
	for v, want := range map[float64]string{
		0: "0", math.Copysign(0, -1): "0", 2: "2", 71: "71", 1413: "1,413", 1234567: "1,234,567", 12345.6: "12,346", 999.6: "1,000",
		71.04: "71", 100: "100", 12.46: "12.5", 4.625: "4.62", 99.96: "100", 9.996: "10", 0.2: "0.2", 0.2131: "0.213", 0.000042: "0.000042", -1234.5: "-1,234",
	} {
		if got := report.Number(v); got != want {
			t.Errorf("%v: %s, want %s", v, got, want)
		}
	}
}

func TestShort(t *testing.T) {
	for _, test := range []struct{ text, want string }{{"", ""}, {"äöüß", "äöüß"}, {"äöüßé", "äöü…"}, {"ab cd", "ab…"}} {
		if got := report.Short(test.text, 4); got != test.want {
			t.Errorf("%q: %q, want %q", test.text, got, test.want)
		}
	}
}

func TestSpread(t *testing.T) {
	for _, test := range []struct {
		name   string
		median float64
		rounds []float64
		want   string
	}{
		{"none", 1, nil, "–"},
		{"one", 1, []float64{1}, "–"},
		{"of zero", 0, []float64{-1, 0, 1}, "–"},
		{"equal", 2, []float64{2, 2}, "0 %"},
		{"in no order", 4, []float64{4, 5, 3}, "50 %"},
	} {
		if got := report.Spread(report.Value{Median: test.median, Rounds: test.rounds}); got != test.want {
			t.Errorf("%s: %s, want %s", test.name, got, test.want)
		}
	}
}

func TestScale(t *testing.T) {
	for _, test := range []struct {
		v, step float64
		n       int
	}{
		{0, 1, 1}, {-1, 1, 1}, {1, 0.2, 5}, {3, 1, 3}, {5, 1, 5}, {5.1, 2, 3}, {11, 5, 3}, {26, 10, 3}, {113, 50, 3}, {1413, 500, 3}, {0.24, 0.05, 5},
	} {
		if step, n := report.Scale(test.v); math.Abs(step-test.step) > 1e-9 || n != test.n {
			t.Errorf("%v: %v × %d, want %v × %d", test.v, step, n, test.step, test.n)
		}
	}
}

// The best of those that authorize is bold, with all that look the same.
func TestBold(t *testing.T) {
	for _, test := range []struct {
		name   string
		lower  bool
		values []float64 // the first is a limit's
		want   string
	}{
		{"lower is better", true, []float64{1, 3, 2, 4}, "| 1 | 3 | **2** | 4 |"},
		{"higher is better", false, []float64{9, 3, 2, 4}, "| 9 | 3 | 2 | **4** |"},
		{"the same", true, []float64{2, 2, 2, 4}, "| 2 | **2** | **2** | 4 |"},
		{"no more than the digits show", true, []float64{9, 1.001, 1.002, 1.0001}, "| 9 | **1** | **1** | **1** |"},
		{"some are missing", true, []float64{9, 3}, "| 9 | **3** | – | – |"},
		{"only a limit", true, []float64{9}, "| 9 | – | – | – |"},
	} {
		t.Run(test.name, func(t *testing.T) {
			r := report.Results{Targets: []report.Target{{ID: "a", Limit: true}, {ID: "b"}, {ID: "c"}, {ID: "d"}}}
			m := report.Measure{ID: "m", LowerIsBetter: test.lower}
			for i, f := range test.values {
				m.Values = append(m.Values, report.Value{Target: r.Targets[i].ID, Median: f})
			}
			r.Measures = []report.Measure{m}
			if page := write(t, r)["README.md"]; !strings.Contains(page, test.want+"\n") {
				t.Errorf("no %s in it:\n%s", test.want, page)
			}
		})
	}
}

func TestInsert(t *testing.T) {
	const begin, end = "<!-- benchmarks: begin (generated by make bench-compare) -->\n", "<!-- benchmarks: end -->\n"
	want := "# x\n" + begin + "\n| a |\n\n" + end + "rest\n"
	for _, test := range []struct{ name, readme, want string }{
		{"empty", "# x\n" + begin + end + "rest\n", want},
		{"again", want, want},
		{"no markers", "# x\n", ""},
		{"no end", "# x\n" + begin, ""},
		{"no begin", "# x\n" + end, ""},
		{"the wrong way round", end + begin, ""},
		{"the wrong way round, and one more", end + begin + end, ""},
		{"two begins", begin + begin + end, ""},
		{"two ends", begin + end + end, ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			got, err := report.Insert([]byte(test.readme), "| a |\n")
			if string(got) != test.want || (err == nil) != (test.want != "") {
				t.Errorf("%q, %v; want %q", got, err, test.want)
			}
		})
	}
}

// A README that holds the table can be given another one.
func TestInsertMarkdown(t *testing.T) {
	readme := []byte("<!-- benchmarks: begin (generated by make bench-compare) -->\n<!-- benchmarks: end -->\n")
	for range 2 {
		var err error
		if readme, err = report.Insert(readme, report.Markdown(nasty())); err != nil {
			t.Fatal(err)
		}
	}
	if !bytes.Contains(readme, []byte(report.Markdown(nasty()))) {
		t.Errorf("the table is not in it:\n%s", readme)
	}
}
