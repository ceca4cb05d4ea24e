//go:build linux

package main

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/portcullis-auth/portcullis/bench/internal/child"
	"github.com/portcullis-auth/portcullis/bench/internal/steady"
)

// An attack is what is done on one connection. An error says that it has
// succeeded; that the gateway hangs up is none.
type attack struct {
	name string
	do   func(context.Context, *intruder) error
}

// An intruder is who attacks.
type intruder struct {
	*scene
	net.Conn
}

// attack connects, and attacks.
func (s *scene) attack(ctx context.Context, a attack) error {
	conn, err := net.DialTimeout("tcp", s.Gateway.Public, child.Patience)
	if err != nil {
		return err
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(child.Patience)); err != nil {
		return err
	}
	return a.do(ctx, &intruder{s, conn})
}

// send sends what is taken of it.
func (i *intruder) send(text string) { _, _ = io.WriteString(i, text) }

// drip sends the text in pieces, one after the other, while it is taken.
func (i *intruder) drip(ctx context.Context, text string, size int) {
	pieces := len(text)/size + 1
	for piece := range slices.Chunk([]byte(text), size) {
		if _, err := i.Write(piece); err != nil {
			return
		}
		steady.Pause(ctx, i.plan.patient/time.Duration(pieces))
	}
}

// leave waits for the end of the connection, but not for ever.
func (i *intruder) leave() { i.leaveIn(i.plan.patient) }

func (i *intruder) leaveIn(d time.Duration) {
	_ = i.SetReadDeadline(time.Now().Add(d))
	_, _ = io.Copy(io.Discard, i)
}

// wait says nothing for a while.
func (i *intruder) wait(ctx context.Context, part time.Duration) {
	steady.Pause(ctx, i.plan.patient/part)
}

// refused wants no answer, or one with one of these statuses, and behind it nothing
// but refusals.
func (i *intruder) refused(want ...int) error {
	_ = i.SetReadDeadline(time.Now().Add(i.plan.patient))
	r := bufio.NewReader(i)
	answer, err := http.ReadResponse(r, nil)
	if err != nil {
		return nil // it was not even answered
	}
	defer answer.Body.Close()
	if !slices.Contains(want, answer.StatusCode) {
		return fmt.Errorf("answered %d, not %d", answer.StatusCode, want)
	}
	if _, err := io.Copy(io.Discard, answer.Body); err != nil {
		return nil
	}
	if behind, err := http.ReadResponse(r, nil); err == nil {
		_ = behind.Body.Close()
		if behind.StatusCode < http.StatusBadRequest {
			return fmt.Errorf("answered %d, and then %d", answer.StatusCode, behind.StatusCode)
		}
	}
	return nil
}

// handshake is a request for a socket.
func handshake(token string, more ...string) string {
	return request("GET / HTTP/1.1", token, append(more, "Connection: Upgrade", "Upgrade: websocket", "Sec-WebSocket-Version: 13", "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==")...)
}

// request is a request, without its body.
func request(line, token string, headers ...string) string {
	return line + "\r\nHost: app.example.com\r\nAuthorization: Bearer " + token + "\r\n" + strings.Join(append(headers, ""), "\r\n") + "\r\n"
}

// opened opens a socket on the connection. ok: it is one.
func (i *intruder) opened() (ok bool) {
	i.send(handshake(i.user()))
	head := make([]byte, 0, 512)
	for b := make([]byte, 1); !strings.HasSuffix(string(head), "\r\n\r\n"); head = append(head, b[0]) {
		if n, _ := i.Read(b); n == 0 {
			return false
		}
	}
	return strings.HasPrefix(string(head), "HTTP/1.1 101 ")
}

// reset ends the connection without a word.
func (i *intruder) reset() {
	if tcp, ok := i.Conn.(*net.TCPConn); ok {
		_ = tcp.SetLinger(0)
	}
}
