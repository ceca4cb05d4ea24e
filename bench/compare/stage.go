//go:build linux

package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"time"

	"github.com/portcullis-auth/portcullis/bench/internal/child"
	"github.com/portcullis-auth/portcullis/bench/internal/load"
	"github.com/portcullis-auth/portcullis/bench/internal/proc"
	"github.com/portcullis-auth/portcullis/bench/internal/server"
)

// A stage is a target, fresh, with a backend, a token system and a load of its
// own. It must be closed.
type stage struct {
	plan                    *plan
	target                  *target
	dir                     string
	addr                    string // the target's
	backend, tokens, loader *child.Child
	proxy                   *child.Child
	group                   proc.Group // the target's processes
}

func newStage(ctx context.Context, p *plan, t *target) (*stage, error) {
	// In memory, where there is such a place: logs and caches are not to wait for a disk.
	dir, err := os.MkdirTemp("/dev/shm", "compare-")
	if err != nil {
		dir, err = os.MkdirTemp("", "compare-")
	}
	if err != nil {
		return nil, err
	}
	s := &stage{plan: p, target: t, dir: dir}
	if err := s.begin(ctx); err != nil {
		return nil, errors.Join(err, s.close())
	}
	return s, nil
}

func (s *stage) begin(ctx context.Context) (err error) {
	if err := os.Chmod(s.dir, 0o755); err != nil { //nolint:gosec // for workers of another user
		return err
	}
	set := settings{Dir: s.dir, Cores: runtime.NumCPU()}
	if set.Self, err = os.Executable(); err != nil {
		return err
	}
	for i, c := range []struct {
		child **child.Child
		part  string
		says  *string
	}{{&s.backend, "server", &set.Backend}, {&s.tokens, "server", &set.Tokens}, {&s.loader, "load", nil}} {
		if *c.child, err = child.Own(filepath.Join(s.dir, fmt.Sprint(c.part, "-", i)), c.part); err != nil {
			return err
		}
		if c.says != nil {
			if err := (*c.child).Hear(c.says); err != nil {
				return err
			}
		}
	}
	if set.Listen, err = freeAddress(); err != nil {
		return err
	}
	s.addr = set.Listen
	if err := s.target.configure(&set); err != nil {
		return err
	}
	argv := s.target.command(s.plan, set)
	cmd := exec.Command(argv[0], argv[1:]...) //nolint:gosec // one of ours
	cmd.Env = append(os.Environ(), "BENCH_SECRET=not one", "HOME="+s.dir, "XDG_CONFIG_HOME="+s.dir, "XDG_DATA_HOME="+s.dir)
	cmd.Env = append(cmd.Env, s.target.env...)
	if s.proxy, err = child.Server(cmd, filepath.Join(s.dir, "target.log")); err != nil {
		return err
	}
	if err := s.ready(ctx); err != nil {
		return fmt.Errorf("%w; it logs: %s", err, s.proxy.Log())
	}
	s.group, err = proc.NewGroup(s.proxy.PID())
	return err
}

// freeAddress returns one of this machine where nobody listens, for those who
// can't choose one by themselves. Its host isn't 127.0.0.1: there, some connection
// might get the port before the target does.
func freeAddress() (string, error) {
	part := func() int { return 1 + rand.N(254) } //nolint:gosec // not a secret
	l, err := net.Listen("tcp", fmt.Sprintf("127.%d.%d.%d:0", part(), part(), part()))
	if err != nil {
		return "", err
	}
	defer l.Close()
	return l.Addr().String(), nil
}

// The tokens that are known, and one that isn't a token.
const (
	known = 100
	good  = "t-k0-0-0"
	bad   = "bad"
)

// ready waits until the target answers, and wants it to do what it is for.
func (s *stage) ready(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, child.Patience)
	defer cancel()
	for {
		status, err := s.status(ctx, good, false)
		if status == http.StatusOK {
			break
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("it doesn't answer well, but %d: %w", status, err)
		case <-s.proxy.Ended():
			return errors.New("it has ended")
		case <-time.After(10 * time.Millisecond):
		}
	}
	for _, upgrade := range []bool{false, true} {
		want := http.StatusUnauthorized
		switch {
		case s.target.Limit && upgrade:
			want = http.StatusSwitchingProtocols
		case s.target.Limit:
			want = http.StatusOK
		}
		if status, err := s.status(ctx, bad, upgrade); err != nil || status != want {
			return fmt.Errorf("a bad token was answered %d, not %d: %w", status, want, err)
		}
	}
	return nil
}

// status returns the status of an answer.
func (s *stage) status(ctx context.Context, token string, upgrade bool) (int, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+s.addr+"/", nil)
	if err != nil {
		return 0, err
	}
	r.Header.Set("Authorization", "Bearer "+token)
	if upgrade {
		r.Header.Set("Connection", "Upgrade")
		r.Header.Set("Upgrade", "websocket")
		r.Header.Set("Sec-WebSocket-Version", "13")
		r.Header.Set("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ==")
	}
	transport := &http.Transport{DisableKeepAlives: !upgrade} // which would be a Connection: close
	defer transport.CloseIdleConnections()
	answer, err := transport.RoundTrip(r)
	if err != nil {
		return 0, err
	}
	return answer.StatusCode, answer.Body.Close()
}

// close ends whatever there is of the stage.
func (s *stage) close() error {
	var errs []error
	for _, c := range []*child.Child{s.loader, s.proxy, s.tokens, s.backend} {
		if c != nil {
			errs = append(errs, c.Stop())
		}
	}
	return errors.Join(append(errs, os.RemoveAll(s.dir))...)
}

// order has the load do something.
func (s *stage) order(o load.Order) (r load.Report, err error) {
	o.Addr = s.addr
	if err := s.loader.Ask(o, &r); err != nil {
		return r, err
	}
	if r.Failure != "" {
		return r, fmt.Errorf("%s%s", r.Failure, lastLines(s.proxy.Log()))
	}
	return r, nil
}

// lastLines are the end of a log, for an error.
func lastLines(log string) string {
	b := bytes.TrimSpace([]byte(log))
	if len(b) == 0 {
		return ""
	}
	return fmt.Sprintf("; the target logs: … %s", b[max(0, len(b)-300):])
}

// count asks what a server knows of itself.
func count(c *child.Child) (n server.Counts, err error) {
	err = c.Ask(struct{}{}, &n)
	return n, err
}

// drained waits until the backend has no sockets any more.
func (s *stage) drained() error {
	for end := time.Now().Add(child.Patience); ; time.Sleep(time.Millisecond) {
		n, err := count(s.backend)
		if err != nil || n.Sockets == 0 {
			return err
		}
		if time.Now().After(end) {
			return fmt.Errorf("%d sockets of the backend are left open", n.Sockets)
		}
	}
}

// A work is what the target did for an order.
type work struct {
	load.Report
	cpu time.Duration // user and system, of the target
}

// cpuPerOp is in µs.
func (w work) cpuPerOp() float64 {
	return float64(w.cpu) / float64(time.Microsecond) / float64(w.Ops)
}

func (w work) rate() float64 { return float64(w.Ops) / w.Took.Seconds() }

// measure has the load do something, and measures the target meanwhile, until
// after is done too.
func (s *stage) measure(o load.Order, after func() error) (w work, err error) {
	before, err := s.group.CPU()
	if err != nil {
		return w, err
	}
	if w.Report, err = s.order(o); err != nil {
		return w, err
	}
	if after != nil {
		if err := after(); err != nil {
			return w, err
		}
	}
	used, err := s.group.CPU()
	if w.cpu = used - before; err == nil && w.Ops == 0 {
		err = errors.New("nothing was done")
	}
	return w, err
}

// orders has the load do several things, of which nothing is measured.
func (s *stage) orders(all ...load.Order) error {
	for _, o := range all {
		if _, err := s.order(o); err != nil {
			return err
		}
	}
	return nil
}
