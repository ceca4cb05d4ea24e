//go:build linux

// Package steady keeps a gateway busy for long, and tells whether what it uses
// grows.
package steady

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/portcullis-auth/portcullis/bench/internal/child"
	"github.com/portcullis-auth/portcullis/bench/internal/gate"
	"github.com/portcullis-auth/portcullis/bench/internal/proc"
	"github.com/portcullis-auth/portcullis/bench/internal/server"
)

// Parts are what a program with a [Scene] must be able to play as its own child.
var Parts = child.Parts{"server": server.Part, "serve": gate.Serve}

// A Scene is a gateway, a backend and a token system, each of them a process. It
// must be closed.
type Scene struct {
	Gateway *gate.Gate

	dir             string
	backend, tokens *child.Child
	group           proc.Group // the gateway's
}

// configuration is the gateway's, but for the addresses of the token system and
// the backend. What it must remember of revocations and tokens ends soon, so that
// it stops growing for these.
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

// NewScene starts a scene. binary is a portcullis, or "" for this program.
func NewScene(ctx context.Context, binary string) (s *Scene, err error) {
	s = &Scene{}
	if s.dir, err = os.MkdirTemp("", "steady-"); err != nil {
		return nil, err
	}
	if err := s.begin(ctx, binary); err != nil {
		return nil, errors.Join(err, s.Close())
	}
	return s, nil
}

func (s *Scene) begin(ctx context.Context, binary string) (err error) {
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
	if s.Gateway, err = gate.Start(ctx, binary, s.dir, text, "BENCH_SECRET=not one", "GODEBUG=gctrace=1"); err != nil {
		return err
	}
	s.group, err = proc.NewGroup(s.Gateway.PID())
	return err
}

// Close stops everybody, and wants them to end well.
func (s *Scene) Close() error {
	var errs []error
	if s.Gateway != nil {
		errs = append(errs, s.Gateway.Stop())
	}
	for _, c := range []*child.Child{s.tokens, s.backend} {
		if c != nil {
			errs = append(errs, c.Stop())
		}
	}
	return errors.Join(append(errs, os.RemoveAll(s.dir))...)
}
