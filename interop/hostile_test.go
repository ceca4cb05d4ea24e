package interop

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/portcullis-auth/portcullis"
)

// A hostile token system answers what it is asked under its honest paths, and
// attacks everywhere else.
type hostile struct {
	url   string
	asked atomic.Int64 // requests that it attacked

	mu    sync.Mutex
	conns []net.Conn
}

// An exchange is one request to a hostile token system.
type exchange struct {
	net.Conn
	request string // as it came
	url     string // of the token system
	good    string // what would have been right to answer
	media   string // and its type
}

func startHostile(t *testing.T, target target, attack func(*exchange)) *hostile {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	h := &hostile{url: "http://" + l.Addr().String()}
	var running sync.WaitGroup
	running.Go(func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			h.mu.Lock()
			h.conns = append(h.conns, conn)
			h.mu.Unlock()
			running.Go(func() { defer conn.Close(); h.serve(conn, target, attack) })
		}
	})
	t.Cleanup(func() {
		_ = l.Close()
		h.mu.Lock()
		for _, c := range h.conns {
			_ = c.Close()
		}
		h.mu.Unlock()
		running.Wait()
	})
	return h
}

func (h *hostile) serve(conn net.Conn, target target, attack func(*exchange)) {
	var request bytes.Buffer
	req, err := http.ReadRequest(bufio.NewReader(io.TeeReader(conn, &request)))
	if err != nil {
		return
	}
	_, _ = io.Copy(io.Discard, req.Body)
	if body, ok := target.honest(h.url)[req.URL.Path]; ok {
		(&exchange{Conn: conn, media: "application/json", good: body}).answer("200 OK")
		return
	}
	h.asked.Add(1)
	attack(&exchange{Conn: conn, request: request.String(), url: h.url, good: target.good(h.url), media: target.media})
}

// say writes what it is told to, and reports whether somebody still listens.
func (x *exchange) say(s ...string) bool {
	_, err := io.WriteString(x, strings.Join(s, ""))
	return err == nil
}

// answer is a whole answer, right but for the status and the further lines.
func (x *exchange) answer(status string, lines ...string) {
	x.say("HTTP/1.1 ", status, "\r\nContent-Type: ", x.media, "\r\nConnection: close\r\n", strings.Join(append(lines, ""), "\r\n"),
		fmt.Sprintf("Content-Length: %d\r\n\r\n", len(x.good)), x.good)
}

// body is an answer with another body.
func body(change func(good string) string) func(*exchange) {
	return func(x *exchange) { x.good = change(x.good); x.answer("200 OK") }
}

// with is an answer with another status, or more lines.
func with(status string, lines ...string) func(*exchange) {
	return func(x *exchange) { x.answer(status, lines...) }
}

// raw is what isn't an answer at all.
func raw(text string) func(*exchange) {
	return func(x *exchange) { x.say(text) }
}

// stay keeps the connection until the other side has had enough.
func (x *exchange) stay() { _, _ = io.Copy(io.Discard, x) }

// slowly says something every now and then until the other side has had enough.
func (x *exchange) slowly(text string) {
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	for x.say(text) {
		<-tick.C
	}
}

// gigabyte says that much, or until the other side has had enough.
func (x *exchange) gigabyte(piece string) {
	block := []byte(strings.Repeat(piece, 64<<10/len(piece)))
	for sent := 0; sent < 1<<30; {
		n, err := x.Write(block)
		if err != nil {
			return
		}
		sent += n
	}
}

// reset makes the connection end with RST instead of FIN.
func (x *exchange) reset() { _ = x.Conn.(*net.TCPConn).SetLinger(0) }

// patience is how long a test waits; only a failing one does.
const patience = 60 * time.Second

// attacked has a Verifier ask a hostile token system, and returns how many
// requests it made of it.
func attacked(t *testing.T, target target, attack func(*exchange), timeout time.Duration, want error) int64 {
	t.Helper()
	h := startHostile(t, target, attack)
	v := target.verifier(t, h.url, timeout)
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	verify(withContext{t, ctx}, v, target.token(h.url), want)
	if ctx.Err() != nil {
		t.Errorf("no answer in %v, with a timeout of %v", patience, timeout)
	}
	return h.asked.Load()
}

// withContext is a test with a context of its own.
type withContext struct {
	testing.TB
	ctx context.Context
}

func (t withContext) Context() context.Context { return t.ctx }

// J4, I1, I2: from nonsense nobody learns anything about a token: neither yes nor
// no. And no redirect is followed.
func TestI1I2J4Nonsense(t *testing.T) {
	for _, target := range targets {
		t.Run(target.name, func(t *testing.T) {
			t.Parallel()
			// Else the rest would prove nothing.
			if n := attacked(t, target, with("200 OK"), patience, nil); n == 0 {
				t.Fatal("not asked at all")
			}
			for name, attack := range attacks {
				t.Run(name, func(t *testing.T) {
					want, ok := target.says[name]
					if !ok {
						want = portcullis.ErrUnavailable
					}
					if n := attacked(t, target, attack, patience, want); n > target.calls || n == 0 {
						t.Errorf("%d requests, want 1 to %d", n, target.calls)
					}
				})
			}
		})
	}
}

// I2: nobody waits longer than the timeout.
func TestI2Lulls(t *testing.T) {
	for _, target := range targets {
		for name, attack := range lulls {
			t.Run(target.name+"/"+name, func(t *testing.T) {
				t.Parallel()
				attacked(t, target, attack, 50*time.Millisecond, portcullis.ErrUnavailable)
			})
		}
	}
}

// I2: neither tokens nor credentials go to another host.
func TestI2RedirectToAnotherHost(t *testing.T) {
	other, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			c, err := other.Accept()
			if err != nil {
				return
			}
			t.Error("the redirect was followed")
			_ = c.Close()
		}
	}()
	for _, target := range targets {
		for _, status := range []string{"301 Moved", "302 Found", "303 See Other", "307 Temporary Redirect", "308 Permanent Redirect"} {
			t.Run(target.name+"/"+status, func(t *testing.T) {
				attacked(t, target, with(status, "Location: http://"+other.Addr().String()+"/"), patience, portcullis.ErrUnavailable)
			})
		}
	}
	_ = other.Close()
	<-done
}
