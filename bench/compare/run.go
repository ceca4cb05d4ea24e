//go:build linux

package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"time"

	"github.com/portcullis-auth/portcullis/bench/internal/proc"
	"github.com/portcullis-auth/portcullis/bench/internal/stat"
	"github.com/portcullis-auth/portcullis/bench/report"
)

// measure takes the measures of the plan. The results are good for what has no
// error.
func (p *plan) measure(ctx context.Context) (*report.Results, error) {
	chosen, left, err := p.choose()
	if err != nil {
		return nil, err
	}
	r := &report.Results{
		Date:    time.Now().Format(time.DateOnly),
		Machine: report.Machine{CPU: proc.Processor(), Cores: runtime.NumCPU(), Kernel: proc.Kernel(), Go: runtime.Version(), MemoryGiB: proc.MemoryGiB()},
	}
	for _, t := range chosen {
		r.Targets = append(r.Targets, t.Target)
	}
	for _, t := range left {
		r.Targets = append(r.Targets, t.Target)
	}
	n := newNoise()
	var errs []error
	for _, g := range groups {
		if len(p.groups) > 0 && !slices.Contains(p.groups, g.name) {
			continue
		}
		values, err := p.rounded(ctx, g, chosen, n)
		errs = append(errs, err)
		for _, t := range left {
			values[t.ID] = &value{missing: "not there when this was measured"}
		}
		for _, m := range g.measures {
			for _, t := range r.Targets {
				m.Values = append(m.Values, values[t.ID].of(t.ID, m.ID))
			}
			r.Measures = append(r.Measures, m)
		}
	}
	r.Noise = n.String()
	return r, errors.Join(errs...)
}

// choose returns the targets of the plan with their versions, and those that it
// can do without and that are missing.
func (p *plan) choose() (chosen, left []*target, err error) {
	var errs []error
	for _, t := range targets {
		if len(p.targets) > 0 && !slices.Contains(p.targets, t.ID) {
			continue
		}
		found := *t
		if found.Version, err = t.find(p); err == nil {
			chosen = append(chosen, &found)
			continue
		}
		if found.Version = "missing"; slices.Contains(p.skip, t.ID) {
			left = append(left, &found)
			continue
		}
		errs = append(errs, fmt.Errorf("%s is missing (%w): run ./setup, or do without it by -skip %s", t.Name, err, t.ID))
	}
	return chosen, left, errors.Join(errs...)
}

// A value is what the rounds of a group have brought for a target.
type value struct {
	rounds  []figures
	missing string
}

func (v *value) of(target, measure string) report.Value {
	if v.missing != "" {
		return report.Value{Target: target, Missing: v.missing}
	}
	var f []float64
	for _, r := range v.rounds {
		f = append(f, r[measure])
	}
	return report.Value{Target: target, Median: stat.Median(f), Rounds: f}
}

// rounded takes a group's measures, the rounds in turns among the targets, each
// round beginning with another.
func (p *plan) rounded(ctx context.Context, g group, targets []*target, n *noise) (map[string]*value, error) {
	values := map[string]*value{}
	for _, t := range targets {
		values[t.ID] = &value{}
		if g.take == nil && !t.revokes {
			values[t.ID].missing = "ends no sockets"
		}
	}
	var errs []error
	for round := range p.rounds {
		for _, t := range turned(targets, round) {
			v := values[t.ID]
			if v.missing != "" {
				continue
			}
			n.sample()
			f, err := p.take(ctx, g, t)
			if ctx.Err() != nil {
				v.missing = "the run was interrupted"
				return values, ctx.Err()
			}
			if err != nil {
				err = fmt.Errorf("%s, round %d, %s: %w", g.name, round+1, t.ID, err)
				v.missing = fmt.Sprintf("failed in round %d", round+1)
				errs = append(errs, err)
				continue
			}
			v.rounds = append(v.rounds, f)
			fmt.Fprintf(os.Stderr, "%s, round %d, %s: %s\n", g.name, round+1, t.ID, f.line(g))
		}
	}
	return values, errors.Join(errs...)
}

// turned returns them all, the one whose turn it is first.
func turned[T any](all []T, round int) []T {
	first := round % max(1, len(all))
	return slices.Concat(all[first:], all[:first])
}

func (f figures) line(g group) string {
	var all []string
	for _, m := range g.measures {
		all = append(all, fmt.Sprintf("%s %.4g", m.ID, f[m.ID]))
	}
	return strings.Join(all, ", ")
}

// take takes a group's measures of one target, once.
func (p *plan) take(ctx context.Context, g group, t *target) (figures, error) {
	if g.take == nil {
		return p.revoke(ctx)
	}
	s, err := newStage(ctx, p, t)
	if err != nil {
		return nil, err
	}
	f, err := g.take(ctx, s)
	return f, errors.Join(err, s.close())
}

// revoke has signals take its measure of one user's sockets.
func (p *plan) revoke(ctx context.Context) (figures, error) {
	cmd := exec.CommandContext(ctx, p.signals, "-json", "-only", "subject", "-rounds", "1", "-before", "2s", //nolint:gosec // ours
		"-sockets", fmt.Sprint(p.victims), "-revokes", "1", "-gateway", p.portcullis)
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil {
		return nil, err
	}
	var first struct{ Milliseconds float64 }
	if err := json.NewDecoder(bytes.NewReader(out)).Decode(&first); err != nil || first.Milliseconds <= 0 {
		return nil, fmt.Errorf("no figure from signals: %w", err)
	}
	return figures{"revoke": first.Milliseconds}, nil
}

// write writes the results, the page, and the main lines into the README if there
// is one.
func write(r *report.Results, results, docs, readme string) error {
	raw, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return err
	}
	if err := os.MkdirAll(results, 0o755); err != nil { //nolint:gosec // to be read by everybody
		return err
	}
	if err := os.WriteFile(filepath.Join(results, "compare-"+r.Date+".json"), append(raw, '\n'), 0o644); err != nil { //nolint:gosec // to be read by everybody
		return err
	}
	if err := report.Write(docs, *r); err != nil || readme == "" {
		return err
	}
	text, err := os.ReadFile(readme)
	if err != nil {
		return err
	}
	if text, err = report.Insert(text, report.Markdown(*r)); err != nil {
		return err
	}
	return os.WriteFile(readme, text, 0o644) //nolint:gosec // to be read by everybody
}
