//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"sync"

	"github.com/portcullis-auth/portcullis/bench/internal/steady"
)

// configuration is the gateway's. What it must remember of revocations and tokens
// ends soon, so that it stops growing for these.
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

// A scene is a gateway with all that it needs, and its visits. It must be closed.
type scene struct {
	*steady.Scene
	plan *plan

	mu     sync.Mutex // guards what follows
	ends   map[string]int
	failed []error // the first few
	number int     // of visits
}

func newScene(ctx context.Context, p *plan) (*scene, error) {
	s, err := steady.NewScene(ctx, p.Gateway, configuration)
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
	before, err := s.Gone()
	if err != nil {
		return err
	}
	busy, stop := context.WithTimeout(ctx, s.plan.For)
	defer stop()
	warming, warm := context.WithTimeout(busy, s.plan.For/steady.WarmUp)
	defer warm()
	var clients sync.WaitGroup
	for i := range 2 * s.plan.clients {
		until := busy
		if i >= s.plan.clients {
			until = warming
		}
		clients.Go(func() {
			for n := i; until.Err() == nil; n++ {
				c := causes[n%len(causes)]
				// A visit that has begun is finished.
				s.done(c.name, s.visit(ctx, c))
			}
		})
	}
	samples, err := s.Watch(busy, s.plan.Every, out)
	stop()
	clients.Wait()
	if err != nil {
		return err
	}
	after, err := s.Left(before.Files + s.plan.spare)
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
	problems := steady.Growth(samples)
	if after.Files > before.Files+s.plan.spare {
		problems = append(problems, fmt.Sprintf("%d descriptors are left, %d were there before", after.Files, before.Files))
	}
	for _, err := range s.failed {
		problems = append(problems, err.Error())
	}
	if len(problems) == 0 {
		_, err := fmt.Fprintf(out, "no growth; everybody gone: %v\n", after)
		return err
	}
	_, err = fmt.Fprintf(out, "GROWTH OR FAILURE\n%s\neverybody gone: %v\n", strings.Join(problems, "\n"), after)
	return errors.Join(errors.New(strings.Join(problems, "; ")), err)
}

// done counts a visit.
func (s *scene) done(cause string, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ends[cause]++; err == nil {
		return
	}
	if s.ends[cause+", failed"]++; len(s.failed) < 5 {
		s.failed = append(s.failed, fmt.Errorf("%s: %w", cause, err))
	}
}
