package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"time"

	"github.com/gobwas/ws"

	"github.com/portcullis-auth/portcullis/bench/internal/child"
	"github.com/portcullis-auth/portcullis/bench/internal/gate"
)

// A scene is a gateway in front of its backends, sockets through it whose right
// is to end, and others, through it and directly. It must be closed.
type scene struct {
	plan            *plan
	dir             string
	issuer          *issuer
	backend, beside *child.Child // beside is the backend of the others
	gateway         *gate.Gate
	others, direct  *child.Child
	opening         time.Duration // of the others' sockets
	*sockets
}

// newScene starts the processes; the others begin with their echoes.
func newScene(ctx context.Context, p *plan) (*scene, error) {
	dir, err := os.MkdirTemp("", "signals-")
	if err != nil {
		return nil, err
	}
	s := &scene{plan: p, dir: dir, sockets: &sockets{}}
	if err := s.begin(ctx); err != nil {
		return nil, errors.Join(err, s.close())
	}
	return s, nil
}

func (s *scene) begin(ctx context.Context) (err error) {
	if s.issuer, err = newIssuer(s.dir); err != nil {
		return err
	}
	var addr, besideAddr string
	if s.backend, err = s.spawn(&addr, "backend"); err != nil {
		return err
	}
	if s.beside, err = s.spawn(&besideAddr, "backend"); err != nil {
		return err
	}
	if s.gateway, err = startGateway(ctx, s.plan, s.dir, addr, besideAddr); err != nil {
		return err
	}
	if s.others, err = s.spawn(nil, "others", "ws://"+s.gateway.Public+"/others"); err != nil {
		return err
	}
	if s.direct, err = s.spawn(nil, "others", "ws://"+besideAddr+"/"); err != nil {
		return err
	}
	tokens, err := s.issuer.tokens(s.plan.others, time.Now().Add(time.Hour), func(i int) string { return fmt.Sprint("other-", i) })
	if err != nil {
		return err
	}
	for _, c := range []*child.Child{s.direct, s.others} {
		if err := c.Ask(tokens, &s.opening); err != nil {
			return err
		}
	}
	return nil
}

// spawn starts this program in another role, and takes its first word if it has
// one.
func (s *scene) spawn(says any, args ...string) (*child.Child, error) {
	file, err := os.CreateTemp(s.dir, args[0])
	if err != nil {
		return nil, err
	}
	_ = file.Close()
	c, err := child.Own(file.Name(), args...)
	if err == nil && says != nil {
		err = c.Hear(says)
	}
	return c, err
}

// open opens the sockets whose right is to end, at exp at the latest.
func (s *scene) open(ctx context.Context, exp time.Time, subject func(int) string) error {
	tokens, err := s.issuer.tokens(s.plan.sockets, exp, subject)
	if err != nil {
		return err
	}
	s.sockets, err = open(ctx, "ws://"+s.gateway.Public+"/", tokens)
	return err
}

// revoke has the gateway end all that the subject has.
func (s *scene) revoke(ctx context.Context, subject string) error {
	ctx, cancel := context.WithTimeout(ctx, child.Patience)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://"+s.gateway.Admin+"/v1/revocations", strings.NewReader(`{"sub":"`+subject+`"}`))
	if err != nil {
		return err
	}
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	if body, err := io.ReadAll(answer.Body); err != nil || answer.StatusCode != http.StatusOK {
		return fmt.Errorf("revocation answered %d %s: %w", answer.StatusCode, body, err)
	}
	return nil
}

// An ending is when Close frames have come, and how many ends have got none.
type ending struct {
	first, client, backend time.Time
	cut                    int
}

// last is when the last of them came, anywhere.
func (e ending) last() time.Time { return later(e.client, e.backend) }

// await waits until n of the sockets have ended, with that code if with any, and
// until seen sockets of the backend have, in all.
func (s *scene) await(ctx context.Context, code ws.StatusCode, n, seen int) (e ending, err error) {
	late := time.NewTimer(child.Patience)
	defer late.Stop()
	for i := range n {
		select {
		case <-ctx.Done():
			return e, ctx.Err()
		case <-late.C:
			return e, fmt.Errorf("%d of %d sockets have ended", i, n)
		case o := <-s.ended:
			switch o.closed {
			case code:
			case cut:
				e.cut++
				continue
			default:
				return e, fmt.Errorf("a socket ended with code %d, not %d", o.closed, code)
			}
			if e.first.IsZero() || o.ended.Before(e.first) {
				e.first = o.ended
			}
			e.client = later(e.client, o.ended)
		}
	}
	var got tally
	if err := s.backend.Ask(tally{Code: code, N: seen}, &got); err != nil {
		return e, err
	}
	if got.N+got.Cut != seen {
		return e, fmt.Errorf("%d sockets of the backend have ended well and %d otherwise, not %d", got.N, got.Cut, seen)
	}
	e.backend = got.Last
	e.cut += got.Cut
	return e, nil
}

// echoes ends the others, and returns their echoes, through the gateway and
// directly.
func (s *scene) echoes() (through, direct []echo, err error) {
	if len(s.ended) > 0 {
		return nil, nil, errors.New("a socket ended that nobody has ended")
	}
	for _, c := range []*child.Child{s.others, s.direct} {
		if err := c.Encode(true); err != nil {
			return nil, nil, errors.Join(err, c.Hear(new(any)))
		}
	}
	return through, direct, errors.Join(s.others.Hear(&through), s.direct.Hear(&direct))
}

// close ends whatever there is of the scene.
func (s *scene) close() error {
	s.sockets.close()
	http.DefaultClient.CloseIdleConnections()
	children := []*child.Child{s.others, s.direct, nil, s.beside, s.backend}
	if s.gateway != nil {
		children[2] = s.gateway.Child
	}
	var errs []error
	for _, c := range children {
		if c != nil {
			errs = append(errs, c.Stop())
		}
	}
	return errors.Join(append(errs, os.RemoveAll(s.dir))...)
}
