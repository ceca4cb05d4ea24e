//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/portcullis-auth/portcullis/bench/internal/child"
	"github.com/portcullis-auth/portcullis/bench/internal/gate"
	"github.com/portcullis-auth/portcullis/bench/internal/proc"
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

// A scene is a gateway with all that it needs. It must be closed.
type scene struct {
	plan            *plan
	dir             string
	backend, tokens *child.Child
	gateway         *gate.Gate
	group           proc.Group // the gateway's

	mu     sync.Mutex // guards what follows
	ends   map[string]int
	failed []error // the first few
	number int     // of visits
}

func newScene(ctx context.Context, p *plan) (s *scene, err error) {
	s = &scene{plan: p, ends: map[string]int{}}
	if s.dir, err = os.MkdirTemp("", "soak-"); err != nil {
		return nil, err
	}
	if err := s.begin(ctx); err != nil {
		return nil, errors.Join(err, s.close())
	}
	return s, nil
}

func (s *scene) begin(ctx context.Context) (err error) {
	var addr [2]string
	for i, c := range []**child.Child{&s.backend, &s.tokens} {
		if *c, err = child.Own(filepath.Join(s.dir, fmt.Sprint("server-", i)), "server"); err != nil {
			return err
		}
		if err := (*c).Hear(&addr[i]); err != nil {
			return err
		}
	}
	text := fmt.Sprintf(configuration, addr[1], addr[0])
	if s.gateway, err = gate.Start(ctx, s.plan.gateway, s.dir, text, "BENCH_SECRET=not one"); err != nil {
		return err
	}
	s.group, err = proc.NewGroup(s.gateway.PID())
	return err
}

func (s *scene) close() error {
	var errs []error
	if s.gateway != nil {
		errs = append(errs, s.gateway.Stop())
	}
	for _, c := range []*child.Child{s.tokens, s.backend} {
		if c != nil {
			errs = append(errs, c.Stop())
		}
	}
	return errors.Join(append(errs, os.RemoveAll(s.dir))...)
}

// soak runs the plan, and writes to out what it sees.
func soak(ctx context.Context, p *plan, out io.Writer) error {
	s, err := newScene(ctx, p)
	if err != nil {
		return err
	}
	err = s.run(ctx, out)
	return errors.Join(err, s.close())
}

func (s *scene) run(ctx context.Context, out io.Writer) error {
	if err := s.visit(ctx, causes[0]); err != nil { // so that whatever is made once is there
		return fmt.Errorf("the first visit: %w", err)
	}
	before, err := s.gone()
	if err != nil {
		return err
	}
	busy, stop := context.WithTimeout(ctx, s.plan.last)
	defer stop()
	var clients sync.WaitGroup
	for i := range s.plan.clients {
		clients.Go(func() {
			for n := i; busy.Err() == nil; n++ {
				c := causes[n%len(causes)]
				// A visit that has begun is finished.
				s.done(c.name, s.visit(ctx, c))
			}
		})
	}
	samples, err := s.watch(busy, out)
	stop()
	clients.Wait()
	if err != nil {
		return err
	}
	after, err := s.left(before.files)
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
	problems := growth(samples)
	if after.files > before.files+s.plan.spare {
		problems = append(problems, fmt.Sprintf("%d descriptors are left, %d were there before", after.files, before.files))
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

// gone waits until nobody is there any more, for one sample.
func (s *scene) gone() (sample, error) {
	for end := time.Now().Add(child.Patience); ; time.Sleep(10 * time.Millisecond) {
		now, err := s.sample()
		if err != nil || now.sockets == 0 {
			return now, err
		}
		if time.Now().After(end) {
			return now, fmt.Errorf("%d sockets of the backend are left open", now.sockets)
		}
	}
}

// kept is how long the gateway may keep a connection for the next request.
const kept = 2 * time.Minute

// left waits until nobody is there any more and the descriptors are about as many
// as before, for a last sample.
func (s *scene) left(before int) (sample, error) {
	client.CloseIdleConnections()
	now, err := s.gone()
	for end := time.Now().Add(kept); err == nil && now.files > before+s.plan.spare && time.Now().Before(end); time.Sleep(100 * time.Millisecond) {
		now, err = s.sample()
	}
	return now, err
}
