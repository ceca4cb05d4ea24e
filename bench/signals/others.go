package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/portcullis-auth/portcullis/bench/internal/child"
)

const (
	pace     = 2 * time.Millisecond // between two echoes
	echoSize = 64                   // bytes
)

// An echo is when a message left, and how long it took to the backend and back.
type echo struct {
	Sent time.Time
	Took time.Duration
}

// others is the client of those who nothing happens to: a process of its own, so
// that their echoes don't wait for what the client of the ended sockets has to
// do. Its argument is where; it reads tokens, opens a socket with each, and says how long that took. From
// then on they send echoes in turn, until it reads something; then it says what the
// echoes took.
func others(ctx context.Context, args []string, in *json.Decoder, out *json.Encoder) error {
	if len(args) != 1 {
		return errors.New("usage: others URL")
	}
	var tokens []string
	if err := in.Decode(&tokens); err != nil {
		return err
	}
	began := time.Now()
	s, err := open(ctx, args[0], tokens)
	defer s.close()
	if err != nil {
		return err
	}
	if err := out.Encode(time.Since(began)); err != nil {
		return err
	}
	asked := make(chan error, 1)
	go func() { asked <- in.Decode(new(bool)) }()
	if err := s.echo(asked); err != nil {
		return err
	}
	if len(s.ended) > 0 {
		return fmt.Errorf("%d sockets ended that nobody has ended", len(s.ended))
	}
	s.close()
	var all []echo
	for _, o := range s.all {
		all = append(all, o.echoes...)
	}
	return out.Encode(all)
}

// echo sends echoes until it is told to stop, and waits until all have come back.
func (s *sockets) echo(stop <-chan error) error {
	tick := time.NewTicker(pace)
	defer tick.Stop()
	for i := 0; ; i++ {
		select {
		case err := <-stop:
			return errors.Join(err, s.awaitEchoes())
		case <-tick.C:
		}
		if err := s.all[i%len(s.all)].send(s.start); err != nil {
			return err
		}
	}
}

func (s *sockets) awaitEchoes() error {
	for end := time.Now().Add(child.Patience); ; time.Sleep(time.Millisecond) {
		missing := 0
		for _, o := range s.all {
			missing += o.sent - int(o.echoed.Load())
		}
		if missing == 0 {
			return nil
		}
		if time.Now().After(end) {
			return fmt.Errorf("%d echoes are lost", missing)
		}
	}
}
