//go:build linux

package main

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"strings"
	"time"

	"github.com/gobwas/ws"

	"github.com/portcullis-auth/portcullis/bench/internal/steady"
)

const (
	patience = 30 * time.Second // bounds what a client waits for

	// lives is how long a token is good that isn't to expire. A revocation is
	// remembered for as long as any token may live: with those of a day, thirty a
	// second would be what grows.
	lives = time.Minute
)

// The codes of design.md, section 6.
const (
	expired ws.StatusCode = 3000
	revoked ws.StatusCode = 3003
)

// A cause is one way in which a socket ends.
type cause struct {
	name  string
	lives time.Duration // of the token; 0: longer than the soak's sessions
	end   func(context.Context, *visit) error
}

// A visit is one client's socket.
type visit struct {
	scene *scene
	user  string
	conn  net.Conn
}

var causes = []cause{
	{"the client closes", 0, func(_ context.Context, v *visit) error {
		if err := v.send(ws.NewCloseFrame(ws.NewCloseFrameBody(ws.StatusNormalClosure, ""))); err != nil {
			return err
		}
		return v.closed(ws.StatusNormalClosure, false)
	}},
	{"the client leaves", 0, func(_ context.Context, v *visit) error { return v.conn.Close() }},
	{"the client vanishes", 0, func(_ context.Context, v *visit) error { return v.reset() }},
	{"the backend closes", 0, func(_ context.Context, v *visit) error {
		if err := v.say("close"); err != nil {
			return err
		}
		return v.closed(ws.StatusNormalClosure, true)
	}},
	{"the backend vanishes", 0, func(_ context.Context, v *visit) error {
		if err := v.say("reset"); err != nil {
			return err
		}
		_, err := io.Copy(io.Discard, v.conn) // with or without a Close
		return ended(err)
	}},
	{"the token expires", 2 * time.Second, func(_ context.Context, v *visit) error { return v.closed(expired, true) }},
	{"the user is revoked", 0, func(ctx context.Context, v *visit) error {
		if err := v.revoke(ctx); err != nil {
			return err
		}
		return v.closed(revoked, true)
	}},
	{"the client reads nothing", 0, func(ctx context.Context, v *visit) error {
		if err := v.say("flood 64"); err != nil { // 4 MiB
			return err
		}
		steady.Pause(ctx, v.scene.plan.stay)
		return v.reset()
	}},
	{"the client reads late", 0, func(ctx context.Context, v *visit) error {
		if err := v.say("flood 64"); err != nil {
			return err
		}
		steady.Pause(ctx, v.scene.plan.stay/4)
		if _, err := io.CopyN(io.Discard, v.conn, 64*(64<<10+10)); err != nil {
			return err
		}
		return v.conn.Close()
	}},
	{"a bad token", -time.Hour, nil},
	{"a request", 0, nil},
}

// visit connects, talks, stays for a while, and ends as the cause has it.
func (s *scene) visit(ctx context.Context, c cause) error {
	s.mu.Lock()
	s.number++
	v := &visit{scene: s, user: fmt.Sprint("u", s.number)}
	s.mu.Unlock()
	exp := time.Now().Add(cmp.Or(c.lives, lives)).Unix()
	token := fmt.Sprintf("t-%s-%d-100", v.user, exp)
	if c.end == nil {
		return s.request(ctx, token, c.lives >= 0)
	}
	d := ws.Dialer{Timeout: patience, Header: ws.HandshakeHeaderHTTP(http.Header{"Authorization": {"Bearer " + token}})}
	conn, early, _, err := d.Dial(ctx, "ws://"+s.Gateway.Public+"/")
	if errors.Is(err, ws.StatusError(http.StatusUnauthorized)) && c.lives > 0 && time.Now().Unix() >= exp {
		return nil // it has expired on the way, on a machine that is busy
	}
	if err != nil {
		return err
	}
	if early != nil {
		return errors.Join(errors.New("bytes that nobody has asked for"), conn.Close())
	}
	v.conn = conn
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(patience)); err != nil {
		return err
	}
	if c.lives == 0 { // else nobody knows how long there is
		if err := v.talk(); err != nil {
			return fmt.Errorf("talk: %w", err)
		}
		steady.Pause(ctx, rand.N(s.plan.stay)) //nolint:gosec // any will do
	}
	return c.end(ctx, v)
}

// request makes a call with a token that is good, or refused.
func (s *scene) request(ctx context.Context, token string, good bool) error {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+s.Gateway.Public+"/api", nil)
	if err != nil {
		return err
	}
	r.Header.Set("Authorization", "Bearer "+token)
	return status(r, map[bool]int{true: http.StatusOK, false: http.StatusUnauthorized}[good])
}

// revoke has the gateway end all that the user has.
func (v *visit) revoke(ctx context.Context) error {
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://"+v.scene.Gateway.Admin+"/v1/revocations", strings.NewReader(`{"sub":"`+v.user+`"}`))
	if err != nil {
		return err
	}
	return status(r, http.StatusOK)
}

// status wants that answer.
func status(r *http.Request, want int) error {
	answer, err := steady.Client.Do(r)
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	if _, err := io.Copy(io.Discard, answer.Body); err != nil {
		return err
	}
	if answer.StatusCode != want {
		return fmt.Errorf("answered %d, not %d", answer.StatusCode, want)
	}
	return nil
}

// talk has messages echoed.
func (v *visit) talk() error {
	for _, size := range []int{1, 64, 5000} {
		message := bytes.Repeat([]byte{byte(size)}, size)
		if err := v.send(ws.NewBinaryFrame(bytes.Clone(message))); err != nil {
			return err
		}
		f, err := ws.ReadFrame(v.conn) //nolint:staticcheck // the frames are ours, and small
		if err != nil {
			return err
		}
		if f.Header.OpCode != ws.OpBinary || !bytes.Equal(f.Payload, message) {
			return errors.New("another message came back")
		}
	}
	return nil
}

func (v *visit) say(word string) error { return v.send(ws.NewTextFrame([]byte(word))) }

func (v *visit) send(f ws.Frame) error {
	_, err := v.conn.Write(ws.MustCompileFrame(ws.MaskFrameInPlace(f)))
	return err
}

// closed wants a Close frame, answers it if it isn't an answer, and wants the end.
func (v *visit) closed(want ws.StatusCode, answer bool) error {
	f, err := ws.ReadFrame(v.conn) //nolint:staticcheck // the frames are ours, and small
	if err != nil {
		return fmt.Errorf("no Close: %w", err)
	}
	if f.Header.OpCode != ws.OpClose {
		return fmt.Errorf("a frame of opcode %d, not Close", f.Header.OpCode)
	}
	if code, _ := ws.ParseCloseFrameData(f.Payload); code != want {
		return fmt.Errorf("closed with code %d, not %d", code, want)
	}
	if answer {
		if err := v.send(ws.NewCloseFrame(f.Payload)); err != nil {
			return ended(err)
		}
	}
	_, err = io.Copy(io.Discard, v.conn)
	return ended(err)
}

// ended is nil unless the connection goes on and on: a reset is an end too.
func ended(err error) error {
	var late net.Error
	if errors.As(err, &late) && late.Timeout() {
		return fmt.Errorf("the connection doesn't end: %w", err)
	}
	return nil
}

// reset ends the connection without a word.
func (v *visit) reset() error {
	if tcp, ok := v.conn.(*net.TCPConn); ok {
		if err := tcp.SetLinger(0); err != nil {
			return err
		}
	}
	return v.conn.Close()
}
