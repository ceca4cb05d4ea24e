//go:build linux

package main

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/portcullis-auth/portcullis/bench/internal/child/childtest"
	"github.com/portcullis-auth/portcullis/bench/internal/load"
	"github.com/portcullis-auth/portcullis/bench/report"
)

// TestMain lets the test's own program be the targets, and all else.
func TestMain(m *testing.M) { childtest.Main(m, parts, main) }

// small is a plan for trying, of those targets that are parts of this program.
func small() *plan {
	return &plan{
		rounds: 1, sockets: 40, pushed: 40, span: 40 * time.Millisecond, pace: 40 * time.Millisecond, settle: time.Millisecond,
		targets: []string{"portcullis", "naive", "relay"},
	}
}

// Each group brings a figure of each of its measures for each target.
func TestGroups(t *testing.T) {
	for _, g := range groups {
		if g.take == nil {
			continue // has a program of its own, and its tests
		}
		t.Run(g.name, func(t *testing.T) {
			t.Parallel()
			p := small()
			p.groups = []string{g.name}
			r, err := p.measure(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			if len(r.Measures) != len(g.measures) {
				t.Errorf("%d measures, want %d", len(r.Measures), len(g.measures))
			}
			for _, m := range r.Measures {
				if len(m.Values) != len(p.targets) {
					t.Errorf("%s: %d values", m.ID, len(m.Values))
				}
				for _, v := range m.Values {
					// So few sockets may find what they need, or use what others have left.
					if v.Missing != "" || len(v.Rounds) != p.rounds || v.Median <= 0 && g.name != "idle" && g.name != "tokens" {
						t.Errorf("%s of %s: %+v", m.ID, v.Target, v)
					}
				}
			}
			if err := report.Write(t.TempDir(), *r); err != nil {
				t.Errorf("report: %v", err)
			}
		})
	}
}

// Whoever lets a bad token pass, or doesn't ask as it must, isn't measured.
func TestHonest(t *testing.T) {
	for _, test := range []struct {
		name, target, group string
		change              func(*target)
		want                string
	}{
		{"lets everybody pass", "relay", "http", func(t *target) { t.Limit = false }, "a bad token was answered 200, not 401"},
		{"refuses as a limit", "naive", "http", func(t *target) { t.Limit = true }, "a bad token was answered 401, not 200"},
		{"asks too seldom", "naive", "http", func(t *target) { t.remembers = false }, "the token system was asked 0 times"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			i := slices.IndexFunc(targets, func(t *target) bool { return t.ID == test.target })
			liar := *targets[i]
			test.change(&liar)
			p := small()
			j := slices.IndexFunc(groups, func(g group) bool { return g.name == test.group })
			if _, err := p.take(t.Context(), groups[j], &liar); err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("got %v, want %q", err, test.want)
			}
		})
	}
}

func TestAsks(t *testing.T) {
	for _, test := range []struct {
		name        string
		target      target
		tokens      load.Tokens
		least, most int
	}{
		{"a limit", target{Target: report.Target{Limit: true}}, load.Tokens{}, 0, 0},
		{"with each", target{}, load.Tokens{Known: 100}, 1000, 1000},
		{"with each new one", target{}, load.Tokens{}, 1000, 1000},
		{"once", target{remembers: true}, load.Tokens{Known: 100}, 0, 300},
		{"once about each new one", target{remembers: true}, load.Tokens{}, 1000, 1300},
	} {
		if least, most := test.target.asks(test.tokens, 1000); least != test.least || most != test.most {
			t.Errorf("%s: %d to %d, want %d to %d", test.name, least, most, test.least, test.most)
		}
	}
}

// A peer that is missing is an error, unless it is named; then there are words in
// place of its figures.
func TestMissingPeer(t *testing.T) {
	had := targets
	defer func() { targets = had }()
	gone := *targets[slices.IndexFunc(targets, func(t *target) bool { return t.ID == "naive" })]
	gone.ID, gone.find = "gone", func(*plan) (string, error) { return "", os.ErrNotExist }
	targets = []*target{&gone}
	p := small()
	p.targets = nil
	if _, err := p.measure(t.Context()); err == nil || !strings.Contains(err.Error(), "-skip gone") {
		t.Errorf("missing: %v", err)
	}
	p.skip = []string{"gone"}
	r, err := p.measure(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range r.Measures {
		if len(m.Values) != 1 || m.Values[0].Missing == "" {
			t.Errorf("%s: %+v", m.ID, m.Values)
		}
	}
}

// A failure stands in place of the figure, and the other targets go on.
func TestFailure(t *testing.T) {
	liar := *targets[slices.IndexFunc(targets, func(t *target) bool { return t.ID == "relay" })]
	honest := liar
	liar.ID, liar.Limit = "liar", false
	p := small()
	p.rounds = 2
	values, err := p.rounded(t.Context(), groups[0], []*target{&liar, &honest}, newNoise())
	if err == nil || !strings.Contains(err.Error(), "http, round 1, liar: ") {
		t.Errorf("error: %v", err)
	}
	if v := values["liar"].of("liar", report.HTTP); v.Missing != "failed in round 1" {
		t.Errorf("of the failed: %+v", v)
	}
	if v := values["relay"].of("relay", report.HTTP); v.Missing != "" || len(v.Rounds) != 2 {
		t.Errorf("of the other: %+v", v)
	}
}

func TestWrite(t *testing.T) {
	dir := t.TempDir()
	readme := filepath.Join(dir, "README.md")
	const text = "# x\n<!-- benchmarks: begin (generated by make bench-compare) -->\n<!-- benchmarks: end -->\n"
	if err := os.WriteFile(readme, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	r := &report.Results{Date: "2026-11-23", Targets: []report.Target{{ID: "portcullis", Name: "Portcullis"}}}
	if err := write(r, filepath.Join(dir, "results"), filepath.Join(dir, "docs"), readme); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"results/compare-2026-11-23.json", "docs/README.md", "README.md"} {
		raw, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil || !strings.Contains(string(raw), "2026-11-23") {
			t.Errorf("%s: %v, or without the date", name, err)
		}
	}
}

func TestCheck(t *testing.T) {
	for _, test := range []struct {
		name   string
		change func(*plan)
		want   string
	}{
		{"as it is", func(*plan) {}, ""},
		{"no such group", func(p *plan) { p.groups = []string{"htpp"} }, "-only knows no htpp"},
		{"no such target", func(p *plan) { p.targets = []string{"apache"} }, "-target knows no apache"},
		{"nothing to skip", func(p *plan) { p.skip = []string{"apache"} }, "-skip knows no apache"},
		{"no rounds", func(p *plan) { p.rounds = 0 }, "nothing to do"},
		{"too many sockets", func(p *plan) { p.sockets = 1 << 40 }, "descriptors"},
	} {
		p := small()
		test.change(p)
		if err := p.check(); (err == nil) != (test.want == "") || err != nil && !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: %v, want %q", test.name, err, test.want)
		}
	}
}

// Measures have IDs of their own, and those that the README shows are there.
func TestMeasureIDs(t *testing.T) {
	seen := map[string]bool{}
	for _, g := range groups {
		for _, m := range g.measures {
			if seen[m.ID] {
				t.Errorf("%s is there twice", m.ID)
			}
			seen[m.ID] = true
		}
	}
	for _, id := range []string{report.HTTP, report.Handshake, report.Idle, report.Echo, report.Large, report.Paced} {
		if !seen[id] {
			t.Errorf("no measure %s", id)
		}
	}
}

// Each round begins with another target, and has all of them.
func TestTurned(t *testing.T) {
	for round, want := range []string{"abc", "bca", "cab", "abc"} {
		if got := string(turned([]byte("abc"), round)); got != want {
			t.Errorf("round %d: %s, want %s", round, got, want)
		}
	}
}

func TestNoise(t *testing.T) {
	n := newNoise()
	if got := n.String(); got != "not measured" {
		t.Errorf("without samples: %s", got)
	}
	n.took = []float64{10, 10, 9, 10, 15}
	if got := n.String(); !strings.HasPrefix(got, "a fixed loop of 10.0 ms, taken 5 times in the run: 5% of them faster by 10.0% or more, 5% slower by 50.0% or more, ") {
		t.Error(got)
	}
}
