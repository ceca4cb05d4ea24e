//go:build linux

package main

import (
	"context"
	"fmt"
	"io"
	"slices"
	"sync"
	"time"

	"github.com/portcullis-auth/portcullis/bench/internal/steady"
	"github.com/portcullis-auth/portcullis/bench/report"
)

// A scene is a gateway with those who come to it. It must be closed.
type scene struct {
	*steady.Scene
	plan *plan
	seen steady.Record

	mu      sync.Mutex // guards what follows
	attacks map[string]*tally
	honest  map[string]*tally
	number  int // of users
}

// A tally is what came of one thing that is done.
type tally struct {
	times  int
	failed int
	first  error           // of those that failed
	took   []time.Duration // of the others, where it matters
}

func newScene(ctx context.Context, p *plan) (*scene, error) {
	s, err := steady.NewScene(ctx, p.Gateway)
	if err != nil {
		return nil, err
	}
	return &scene{Scene: s, plan: p, attacks: map[string]*tally{}, honest: map[string]*tally{}}, nil
}

// user returns a good token of a user who has never been here.
func (s *scene) user() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.number++
	return fmt.Sprintf("t-u%d-0-100", s.number)
}

// note counts a thing done. took is kept if it isn't zero.
func (s *scene) note(list map[string]*tally, what string, took time.Duration, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	t := list[what]
	if t == nil {
		t = &tally{}
		list[what] = t
	}
	t.times++
	switch {
	case err != nil:
		t.failed++
		if t.first == nil {
			t.first = fmt.Errorf("%s: %w", what, err)
		}
	case took > 0:
		t.took = append(t.took, took)
	}
}

// run runs the plan, and writes what it sees.
func (s *scene) run(ctx context.Context, out io.Writer) (err error) {
	honest := steady.Crowd{Size: s.plan.honest, Client: func(until context.Context, _ int) { s.behave(until) }}
	hostile := steady.Crowd{Size: s.plan.hostile, More: s.plan.hostile, Client: func(until context.Context, i int) {
		// Always the same one, so that the mix is the same at all times.
		for a := attacks[i%len(attacks)]; until.Err() == nil; steady.Pause(until, s.plan.pace) {
			s.note(s.attacks, a.name, 0, s.attack(until, a))
		}
	}}
	if s.seen, err = s.Keep(ctx, &s.plan.Run, out, honest, hostile); err != nil {
		return err
	}
	return s.judge(out)
}

// draw draws the memory of the run.
func (s *scene) draw(file string) error {
	var at []time.Duration
	var resident, live []float64
	for _, sample := range s.seen.Samples {
		at = append(at, sample.At)
		resident, live = append(resident, float64(sample.Memory)/1e6), append(live, float64(sample.Live)/1e6)
	}
	return report.WriteCourse(file, report.Course{
		By: "go run ./hostile", Name: "Memory of the gateway under mixed hostile load", Unit: "MB",
		About: fmt.Sprintf("MB · %d attackers at once, %d kinds of attack, %d honest clients", s.plan.hostile, len(attacks), s.plan.honest),
		Lines: []report.Line{{Name: "resident", At: at, Values: resident}, {Name: "live heap", At: at, Values: live}},
	})
}

// judge writes what came of all, and returns what is wrong.
func (s *scene) judge(out io.Writer) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	failed := slices.Concat(table(out, s.attacks), table(out, s.honest))
	return s.plan.Judge(out, s.seen, "no growth, nobody let in, nobody kept out", failed)
}
