//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"sync"

	"github.com/portcullis-auth/portcullis/bench/internal/steady"
)

// A scene is a gateway with all that it needs, and its visits. It must be closed.
type scene struct {
	*steady.Scene
	plan *plan

	mu     sync.Mutex // guards what follows
	ends   map[string]int
	failed []string // the first few
	number int      // of visits
}

func newScene(ctx context.Context, p *plan) (*scene, error) {
	s, err := steady.NewScene(ctx, p.Gateway)
	if err != nil {
		return nil, err
	}
	return &scene{Scene: s, plan: p, ends: map[string]int{}}, nil
}

// soak runs the plan, and writes to out what it sees.
func soak(ctx context.Context, p *plan, out io.Writer) error {
	s, err := newScene(ctx, p)
	if err != nil {
		return err
	}
	err = s.run(ctx, out)
	return errors.Join(err, s.Close())
}

func (s *scene) run(ctx context.Context, out io.Writer) error {
	if err := s.visit(ctx, causes[0]); err != nil { // so that whatever is made once is there
		return fmt.Errorf("the first visit: %w", err)
	}
	crowd := steady.Crowd{Size: s.plan.clients, More: s.plan.clients, Client: func(until context.Context, i int) {
		for n := i; until.Err() == nil; n++ {
			c := causes[n%len(causes)]
			// A visit that has begun is finished.
			s.done(c.name, s.visit(ctx, c))
		}
	}}
	seen, err := s.Keep(ctx, &s.plan.Run, out, crowd)
	if err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, name := range slices.Sorted(maps.Keys(s.ends)) {
		if _, err := fmt.Fprintf(out, "%8d x %s\n", s.ends[name], name); err != nil {
			return err
		}
	}
	return s.plan.Judge(out, seen, "no growth", s.failed)
}

// done counts a visit.
func (s *scene) done(cause string, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ends[cause]++; err == nil {
		return
	}
	if s.ends[cause+", failed"]++; len(s.failed) < 5 {
		s.failed = append(s.failed, fmt.Sprintf("%s: %v", cause, err))
	}
}
