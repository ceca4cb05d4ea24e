//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"time"

	"github.com/portcullis-auth/portcullis/bench/internal/steady"
	"github.com/portcullis-auth/portcullis/bench/report"
)

// configuration is the gateway's. What it must remember of tokens ends soon, so
// that it stops growing for these.
const configuration = `listen: 127.0.0.1:0
admin: {listen: "127.0.0.1:0"}
max_session: 1m
verify:
  introspection: {url: "http://%s/introspect", client_id: bench, client_secret_env: BENCH_SECRET}
  cache: {max_age: 5s, negative_age: 1s}
  recheck: 2s
routes:
  - {path: /, backend: "http://%s"}
`

// A scene is a gateway with those who come to it. It must be closed.
type scene struct {
	*steady.Scene
	plan    *plan
	samples []steady.Sample

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
	s, err := steady.NewScene(ctx, p.Gateway, configuration)
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
func (s *scene) run(ctx context.Context, out io.Writer) error {
	before, err := s.Gone()
	if err != nil {
		return err
	}
	busy, stop := context.WithTimeout(ctx, s.plan.For)
	defer stop()
	warming, warm := context.WithTimeout(busy, s.plan.For/steady.WarmUp)
	defer warm()
	var all sync.WaitGroup
	for range s.plan.honest {
		all.Go(func() { s.behave(busy) })
	}
	for i := range 2 * s.plan.hostile {
		until := busy
		if i >= s.plan.hostile {
			until = warming
		}
		all.Go(func() {
			// Always the same one, so that the mix is the same at all times.
			for a := attacks[i%len(attacks)]; until.Err() == nil; pause(until, s.plan.pace) {
				s.note(s.attacks, a.name, 0, s.attack(until, a))
			}
		})
	}
	s.samples, err = s.Watch(busy, s.plan.Every, out)
	stop()
	all.Wait()
	if err != nil {
		return err
	}
	after, err := s.Left(before.Files + s.plan.spare)
	if err != nil {
		return err
	}
	return s.judge(out, before, after)
}

// draw draws the memory of the run.
func (s *scene) draw(file string) error {
	var at []time.Duration
	var resident, live []float64
	for _, sample := range s.samples {
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
func (s *scene) judge(out io.Writer, before, after steady.Sample) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	problems := steady.Growth(s.samples)
	if after.Files > before.Files+s.plan.spare {
		problems = append(problems, fmt.Sprintf("%d descriptors are left, %d were there before", after.Files, before.Files))
	}
	text := &strings.Builder{}
	for _, list := range []map[string]*tally{s.attacks, s.honest} {
		problems = append(problems, table(text, list)...)
	}
	var err error
	if len(problems) == 0 {
		fmt.Fprintf(text, "no growth, nobody let in, nobody kept out; everybody gone: %v\n", after)
	} else {
		fmt.Fprintf(text, "GROWTH OR FAILURE\n%s\neverybody gone: %v\n", strings.Join(problems, "\n"), after)
		err = errors.New(strings.Join(problems, "; "))
	}
	_, e := io.WriteString(out, text.String())
	return errors.Join(err, e)
}
