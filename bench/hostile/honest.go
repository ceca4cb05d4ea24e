//go:build linux

package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"time"

	"github.com/gobwas/ws"

	"github.com/portcullis-auth/portcullis/bench/internal/child"
)

// turns is how often an honest client uses a socket before it opens another.
const turns = 50

// behave is an honest client: it makes calls, and has messages echoed, one after
// the other, until ctx is done.
func (s *scene) behave(ctx context.Context) {
	token := s.user()
	transport := &http.Transport{MaxConnsPerHost: 1}
	defer transport.CloseIdleConnections()
	caller := &http.Client{Transport: transport, Timeout: child.Patience}
	tick := time.NewTicker(s.plan.pace)
	defer tick.Stop()
	var conn net.Conn
	defer func() {
		if conn != nil {
			_ = conn.Close()
		}
	}()
	for n := 0; ; n++ {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		s.timed("honest call", func() error { return s.call(caller, token) })
		if n%turns == 0 || conn == nil {
			if conn != nil {
				_ = conn.Close()
			}
			s.timed("honest handshake", func() (err error) {
				conn, err = s.open(token)
				return err
			})
		}
		if conn == nil {
			continue
		}
		s.timed("honest echo", func() error { return echo(conn) })
	}
}

// timed does one thing and notes what came of it. It is done to its end, even if
// the run is over: nobody honest leaves in the middle.
func (s *scene) timed(what string, do func() error) {
	began := time.Now()
	err := do()
	s.note(s.honest, what, time.Since(began), err)
}

func (s *scene) call(caller *http.Client, token string) error {
	r, err := http.NewRequestWithContext(context.Background(), http.MethodGet, "http://"+s.Gateway.Public+"/api", nil)
	if err != nil {
		return err
	}
	r.Header.Set("Authorization", "Bearer "+token)
	answer, err := caller.Do(r)
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	var body bytes.Buffer
	if _, err := body.ReadFrom(answer.Body); err != nil {
		return err
	}
	if answer.StatusCode != http.StatusOK || body.Len() == 0 {
		return fmt.Errorf("answered %d, with %d bytes", answer.StatusCode, body.Len())
	}
	return nil
}

// open opens a socket.
func (s *scene) open(token string) (net.Conn, error) {
	d := ws.Dialer{Timeout: child.Patience, Header: ws.HandshakeHeaderHTTP(http.Header{"Authorization": {"Bearer " + token}})}
	conn, early, _, err := d.Dial(context.Background(), "ws://"+s.Gateway.Public+"/")
	if err != nil {
		return nil, err
	}
	if early != nil {
		return nil, errors.Join(errors.New("bytes that nobody has asked for"), conn.Close())
	}
	return conn, nil
}

var message = bytes.Repeat([]byte{0x5a}, 64)

// echo has a message echoed.
func echo(conn net.Conn) error {
	if err := conn.SetDeadline(time.Now().Add(child.Patience)); err != nil {
		return err
	}
	if err := ws.WriteFrame(conn, ws.MaskFrame(ws.NewBinaryFrame(message))); err != nil {
		return err
	}
	f, err := ws.ReadFrame(conn) //nolint:staticcheck // the frames are ours, and small
	if err != nil {
		return err
	}
	if f.Header.OpCode != ws.OpBinary || !bytes.Equal(f.Payload, message) {
		return errors.New("another message came back")
	}
	return nil
}
