package relay_test

import (
	"bufio"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"os"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gobwas/ws"

	"github.com/portcullis-auth/portcullis/gateway/relay"
)

// A timed line is one on which time passes when the test says so.
type timed struct {
	*line
	pass  func(time.Duration)
	flood func(from *end, frame []byte) (stop func() int) // sends frames, as the other side gets stuck, and tells how many
}

// everyPipe runs f for the portable engine, in clear and over TLS, over pipes and
// by a clock of its own.
func everyPipe(t *testing.T, o relay.Options, f func(t *testing.T, l timed)) {
	for name, secure := range map[string]bool{"goroutines": false, "TLS": true} {
		config := stallsTLS()
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				engine := new(relay.Engine)
				defer engine.Close()
				l := newLineFor(t, engine, o, func() (net.Conn, *end) { return pipe(t, secure, config) })
				f(t, timed{l, func(d time.Duration) {
					synctest.Wait()
					time.Sleep(d)
					synctest.Wait()
				}, func(from *end, frame []byte) func() int {
					from.post(frame)
					synctest.Wait()
					return func() int { return 1 }
				}})
			})
		})
	}
}

// pipe is tcp without a network, and so without buffers.
func pipe(t *testing.T, secure bool, config *tls.Config) (ours net.Conn, peer *end) {
	t.Helper()
	a, b := net.Pipe()
	if secure {
		server, client := tls.Server(a, config), tls.Client(b, &tls.Config{InsecureSkipVerify: true})
		failed := make(chan error, 1)
		go func() { failed <- server.Handshake() }()
		if err := errors.Join(client.Handshake(), <-failed); err != nil {
			t.Fatal(err)
		}
		a, b = server, client
	}
	t.Cleanup(func() { _ = b.Close() })
	return a, &end{b, bufio.NewReader(b)}
}

// post doesn't wait until the relay has taken it.
func (e *end) post(p []byte) { go func() { _, _ = e.Write(p) }() }

// L1: a client that says nothing is pinged; one that answers lives on, and its
// answers reach the backend; one that doesn't is cut, and the backend told so.
func TestL1SilentClientsArePinged(t *testing.T) {
	everyClock(t, relay.Options{Rules: &relay.Rules{Ping: time.Minute, Grace: patience}}, func(t *testing.T, l timed) {
		ping, pong := plain(ws.OpPing, ""), masked(ws.OpPong, "")
		l.pass(40 * time.Second)
		l.client.post(masked(ws.OpText, "hello"))
		l.backend.want(t, masked(ws.OpText, "hello"))
		l.pass(40 * time.Second)
		l.backend.post(plain(ws.OpText, "hello")) // in time, and this isn't the client's
		l.client.want(t, plain(ws.OpText, "hello"))
		l.pass(25 * time.Second)
		for range 3 {
			l.client.want(t, ping)
			l.pass(50 * time.Second)
			l.client.post(pong)
			l.backend.want(t, pong)
			l.pass(65 * time.Second)
		}
		l.client.want(t, ping)
		l.pass(50 * time.Second)
		l.backend.post(plain(ws.OpText, "there?"))
		l.client.want(t, plain(ws.OpText, "there?"))
		l.pass(15 * time.Second)
		l.backend.wantClose(t, 1001, "ping_timeout", true)
		l.wantCut(t, l.client)
		if r := l.wait(); !errors.Is(r.Cause, relay.ErrPingTimeout) || r.Code != 0 || r.BackendAborted || r.FromBackend != int64(len(plain(ws.OpText, "hello")))+int64(len(plain(ws.OpText, "there?"))) {
			t.Errorf("result %+v", r)
		}
	})
}

// wantCut wants a side to be cut.
func (l timed) wantCut(t *testing.T, e *end) {
	t.Helper()
	rest, err := io.ReadAll(e.r)
	if _, ok := e.Conn.(*net.TCPConn); len(rest) > 0 || ok && err == nil || errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("% x, err %v; want a connection that is cut", rest, err)
	}
}

// L1: a ping is sent between two frames only.
func TestL1PingsDontBreakFrames(t *testing.T) {
	everyClock(t, relay.Options{Rules: &relay.Rules{Ping: time.Minute, Grace: patience, Transparent: true}}, func(t *testing.T, l timed) {
		frame := plain(ws.OpText, strings.Repeat("x", 200))
		l.backend.post(frame[:100])
		l.client.want(t, frame[:100])
		l.pass(70 * time.Second)
		l.backend.post(frame[100:])
		l.client.want(t, frame[100:])
		l.pass(70 * time.Second)
		l.client.want(t, plain(ws.OpPing, ""))
		l.client.post(masked(ws.OpPong, ""))
		l.backend.want(t, masked(ws.OpPong, ""))

		l.backend.post(plain(ws.OpClose, "")) // behind that nothing may be sent
		l.client.want(t, plain(ws.OpClose, ""))
		l.pass(65 * time.Second)
		l.pass(65 * time.Second)
		l.wantCut(t, l.client)
		l.backend.wantClose(t, 1001, "ping_timeout", true)
		l.wait()
	})
}

// L1: a socket on which no message passes ends; pings and pongs are none.
func TestL1IdleSocketsEnd(t *testing.T) {
	everyClock(t, relay.Options{Rules: &relay.Rules{Idle: time.Minute, Grace: patience}}, func(t *testing.T, l timed) {
		for range 3 {
			l.pass(40 * time.Second)
			l.client.post(masked(ws.OpText, "up"))
			l.backend.want(t, masked(ws.OpText, "up"))
			l.pass(40 * time.Second)
			l.backend.post(plain(ws.OpText, "down"))
			l.client.want(t, plain(ws.OpText, "down"))
		}
		l.pass(40 * time.Second)
		l.client.post(masked(ws.OpPing, "up"))
		l.backend.want(t, masked(ws.OpPing, "up"))
		l.backend.post(plain(ws.OpPong, "up"))
		l.client.want(t, plain(ws.OpPong, "up"))
		l.pass(30 * time.Second)
		closed := make(chan struct{})
		go func() { defer close(closed); l.client.wantClose(t, 1008, "idle", false) }()
		l.backend.wantClose(t, 1008, "idle", true)
		<-closed
		if r := l.wait(); !errors.Is(r.Cause, relay.ErrIdle) || r.MessagesFromClient != 3 || r.MessagesFromBackend != 3 {
			t.Errorf("result %+v", r)
		}
	})
}

// L1: a message that goes on keeps its socket, also if it is one frame.
func TestL1LongMessagesAreNotIdle(t *testing.T) {
	everyClock(t, relay.Options{Rules: &relay.Rules{Idle: time.Minute, Grace: patience}}, func(t *testing.T, l timed) {
		frame := plain(ws.OpText, strings.Repeat("x", 200))
		for i := range frame[:5] {
			l.backend.post(frame[i*40 : i*40+40])
			l.client.want(t, frame[i*40:i*40+40])
			l.pass(40 * time.Second)
		}
		l.quit()
	})
}

// L1: a client that takes nothing is cut, and the backend told so. As long as it
// takes what there is in time, it isn't.
func TestL1SlowClientsAreCut(t *testing.T) {
	everyClock(t, relay.Options{Rules: &relay.Rules{Grace: time.Hour}}, func(t *testing.T, l timed) {
		message := plain(ws.OpText, strings.Repeat("x", 10_000))
		for range 3 {
			stop := l.flood(l.backend, message)
			l.pass(50 * time.Second)
			for range stop() {
				l.client.want(t, message)
			}
		}
		l.pass(50 * time.Second)
		l.flood(l.backend, message)
		for range 3 { // what is taken when all seems full gets another minute
			l.pass(70 * time.Second)
		}
		l.backend.wantClose(t, 1008, "slow", true)
		if r := l.wait(); !errors.Is(r.Cause, relay.ErrSlowClient) || r.Code != 0 || r.BackendAborted {
			t.Errorf("result %+v", r)
		}
	})
}

// L1: a backend that takes nothing is cut, and the client told so. The client,
// whom nobody listens to meanwhile, isn't taken for dead.
func TestL1SlowBackendsAreCut(t *testing.T) {
	everyClock(t, relay.Options{Rules: &relay.Rules{Grace: time.Hour, Ping: 10 * time.Second, Stall: 2 * time.Minute}}, func(t *testing.T, l timed) {
		message := masked(ws.OpText, strings.Repeat("x", 10_000))
		stop := l.flood(l.client, message)
		for range 11 {
			l.pass(10 * time.Second)
		}
		for range stop() {
			l.backend.want(t, message)
		}
		l.pass(5 * time.Second) // or it would be pinged
		l.flood(l.client, message)
		for range 30 {
			l.pass(10 * time.Second)
		}
		l.client.wantClose(t, 1013, "unavailable", false)
		if r := l.wait(); !errors.Is(r.Cause, relay.ErrSlowBackend) || r.Code != 1013 || !r.BackendAborted {
			t.Errorf("result %+v", r)
		}
	})
}

// L1: a client that stands inside of a frame of such a backend is cut too: the
// rest won't come.
func TestL1SlowBackendsCutTheirFrames(t *testing.T) {
	everyClock(t, relay.Options{Rules: &relay.Rules{Grace: time.Hour}}, func(t *testing.T, l timed) {
		frame := plain(ws.OpText, strings.Repeat("x", 100))
		l.backend.post(frame[:50])
		l.client.want(t, frame[:50])
		l.flood(l.client, masked(ws.OpText, strings.Repeat("x", 10_000)))
		for range 3 {
			l.pass(70 * time.Second)
		}
		if rest, _ := io.ReadAll(l.client.r); len(rest) > 0 { // the one who writes may have heard of the reset
			t.Errorf("the client got % x, want nothing more", rest)
		}
		if r := l.wait(); !errors.Is(r.Cause, relay.ErrSlowBackend) || !r.BackendAborted {
			t.Errorf("result %+v", r)
		}
	})
}
