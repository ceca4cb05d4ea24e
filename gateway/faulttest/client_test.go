package faulttest_test

import (
	"bufio"
	"errors"
	"io"
	"net"
	"net/http"
	"testing"
	"time"

	"github.com/gobwas/ws"
)

// A client is one connection to the gateway.
type client struct {
	testing.TB
	net.Conn
	r *bufio.Reader
}

// errSilence says that nothing came in time.
var errSilence = errors.New("no answer")

// ask asks for a call, or for a socket, and returns the answer's head. One who
// isn't invited is marked: his request must not arrive.
func (s *street) ask(addr, path, token string, socket, invited bool, wait time.Duration) (*client, *http.Response, error) {
	nc, err := net.DialTimeout("tcp", addr, wait)
	if err != nil {
		return nil, nil, err
	}
	text := "GET " + path + " HTTP/1.1\r\nHost: app.example.com\r\nAuthorization: Bearer " + token + "\r\n"
	if !invited {
		text += "Uninvited: yes\r\n"
	}
	if socket {
		text += "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
	} else {
		text += "Connection: close\r\n\r\n"
	}
	_ = nc.SetDeadline(time.Now().Add(wait))
	c := &client{s.TB, nc, bufio.NewReader(nc)}
	if _, err = io.WriteString(nc, text); err == nil {
		var resp *http.Response
		if resp, err = http.ReadResponse(c.r, nil); err == nil {
			_ = nc.SetDeadline(time.Now().Add(patience))
			return c, resp, nil
		}
	}
	_ = nc.Close()
	var ne net.Error
	if errors.As(err, &ne) && ne.Timeout() {
		err = errSilence
	}
	return nil, nil, err
}

// status asks, wants an answer, and returns its status. 503 must tell when to
// come again.
func (s *street) status(path, token string, socket, invited bool) int {
	s.Helper()
	c, resp, err := s.ask(s.addr, path, token, socket, invited, patience)
	if err != nil {
		s.Errorf("%s: %v", path, err)
		return 0
	}
	defer c.Close()
	if resp.StatusCode == http.StatusServiceUnavailable && resp.Header.Get("Retry-After") == "" {
		s.Errorf("%s: 503 without Retry-After", path)
	}
	return resp.StatusCode
}

// socket opens a socket and wants it to be accepted.
func (s *street) socket(path, token string) *client {
	s.Helper()
	return s.socketAt(s.addr, path, token)
}

func (s *street) socketAt(addr, path, token string) *client {
	s.Helper()
	c, resp, err := s.ask(addr, path, token, true, true, patience)
	if err != nil || resp.StatusCode != http.StatusSwitchingProtocols {
		s.Fatalf("handshake: %v, err %v", resp, err)
	}
	s.Cleanup(func() { _ = c.Close() })
	return c
}

// wantEcho wants the socket to be alive.
func (c *client) wantEcho(what string) {
	c.Helper()
	_ = c.SetDeadline(time.Now().Add(patience))
	text := "an echo"
	if err := ws.WriteFrame(c, ws.MaskFrame(ws.NewTextFrame([]byte(text)))); err != nil {
		c.Errorf("%s: sending: %v", what, err)
		return
	}
	f, err := ws.ReadFrame(c.r) //nolint:staticcheck // what it reads is ours, and small
	if err != nil || string(f.Payload) != text {
		c.Errorf("%s: %q, err %v; want the echo", what, f.Payload, err)
	}
}

// end reads until the socket's end, and returns it: closed, [errNoClose], or
// [errSilence] if it didn't come.
func (c *client) end() error {
	_ = c.SetDeadline(time.Now().Add(patience))
	for {
		f, err := ws.ReadFrame(c.r) //nolint:staticcheck // what it reads is ours, and small
		var ne net.Error
		switch {
		case errors.As(err, &ne) && ne.Timeout():
			return errSilence
		case err != nil:
			return errNoClose
		case f.Header.OpCode != ws.OpClose:
			continue
		}
		code, reason := ws.ParseCloseFrameData(f.Payload)
		_ = ws.WriteFrame(c, ws.MaskFrame(ws.NewCloseFrame(ws.NewCloseFrameBody(code, ""))))
		_ = c.Close()
		return closed{code, reason}
	}
}

// wantClose wants the socket to end with that Close frame.
func (c *client) wantClose(what string, code ws.StatusCode, reason string) {
	c.Helper()
	if got := c.end(); !errors.Is(got, closed{code, reason}) {
		c.Errorf("%s ends with %v, want Close %d %q", what, got, code, reason)
	}
}
