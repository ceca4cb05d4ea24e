package portcullis_test

import (
	"bufio"
	"context"
	"errors"
	"net"
	"net/http"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gobwas/ws"

	"github.com/portcullis-auth/portcullis"
)

// OnEnd and Close, in each order.
func TestOnEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGuard()
		g.Verifier = user(func(string) *portcullis.Identity { return alice() })
		revoke := func() { endings[1].end(t, g) }

		s, before := admit(t, g, "1")
		var inside, after end
		s.OnEnd(func(cause error) {
			inside.note(cause)
			if s.Request().Context().Err() != nil {
				t.Error("the context is cancelled before OnEnd is told")
			}
			s.Close() // allowed
			s.OnEnd(after.note)
		})
		revoke()
		for name, e := range map[string]*end{"before": before, "inside": &inside, "after": &after} {
			e.want(t, name, portcullis.ErrRevoked, time.Now())
		}
		if cause := context.Cause(s.Request().Context()); !errors.Is(cause, portcullis.ErrRevoked) {
			t.Errorf("cause %v, want ErrRevoked", cause)
		}
		s.Close()
		if !g.Empty() {
			t.Error("a session is left")
		}

		time.Sleep(time.Second)
		g.Verifier = user(func(string) *portcullis.Identity { id := alice(); id.IssuedAt = time.Now(); return id })
		time.Sleep(time.Second)
		s, closed := admit(t, g, "2")
		s.Close()
		s.OnEnd(func(error) { t.Error("OnEnd after Close") })
		revoke()
		closed.want(t, "closed before", nil, time.Time{})
		if cause := context.Cause(s.Request().Context()); !errors.Is(cause, context.Canceled) || s.Err() != nil {
			t.Errorf("cause %v, Err %v; want Canceled and nil", cause, s.Err())
		}
		if !g.Empty() {
			t.Error("a session is left")
		}
	})
}

// The first end counts, and none after Close: who ends a session may be late.
func TestEndTwiceAndAfterClose(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGuard()
		s, e := admit(t, g, "good")
		s.End(portcullis.ErrRevoked)
		s.End(portcullis.ErrExpired)
		e.want(t, "ended twice", portcullis.ErrRevoked, time.Now())
		if !errors.Is(s.Err(), portcullis.ErrRevoked) {
			t.Errorf("Err: %v, want ErrRevoked", s.Err())
		}
		s.Close()
		s, e = admit(t, g, "good")
		s.Close()
		s.End(portcullis.ErrRevoked)
		e.want(t, "ended after Close", nil, time.Time{})
		if s.Err() != nil || !g.Empty() {
			t.Errorf("after Close: Err %v, empty %v", s.Err(), g.Empty())
		}
	})
}

// Admit: an upgrade's session outlives the request's context, another's context
// does not.
func TestAdmitAndTheRequestsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGuard()
		for _, headers := range [][]string{nil, {"Connection", "Upgrade", "Upgrade", "websocket"}} {
			ctx, cancel := context.WithCancel(t.Context())
			s, err := g.Admit(request(t, "good", headers...).WithContext(ctx), &g.Policy)
			if err != nil {
				t.Fatal(err)
			}
			cancel()
			synctest.Wait()
			if !errors.Is(context.Cause(s.Request().Context()), context.Canceled) || s.Err() != nil || g.Empty() {
				t.Errorf("%q: cause %v, Err %v, empty %v", headers, context.Cause(s.Request().Context()), s.Err(), g.Empty())
			}
			s.Close()
			if !g.Empty() {
				t.Errorf("%q: the session is left", headers)
			}
		}
	})
}

// Shutdown: sockets end at once, requests when ctx is over, and newcomers hear 503.
func TestShutdownWaitsForRequests(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGuard()
		socket, socketEnd := admit(t, g, "good", "Connection", "Upgrade", "Upgrade", "websocket")
		socket.OnEnd(func(error) { go socket.Close() })
		quick, quickEnd := admit(t, g, "good")
		slow, slowEnd := admit(t, g, "good")
		begin := time.Now()
		done := make(chan error)
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		go func() { done <- g.Shutdown(ctx) }()
		synctest.Wait()
		socketEnd.want(t, "socket", portcullis.ErrShutdown, begin)
		if _, err := g.Admit(request(t, "good"), &g.Policy); !errors.Is(err, portcullis.ErrShutdown) {
			t.Errorf("newcomer: %v, want ErrShutdown", err)
		}
		time.Sleep(time.Second)
		quick.Close()
		quickEnd.want(t, "quick request", nil, begin)
		if err := <-done; !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("Shutdown: %v, want DeadlineExceeded", err)
		}
		slowEnd.want(t, "slow request", portcullis.ErrShutdown, begin.Add(time.Minute))
		slow.Close()
		if err := g.Shutdown(t.Context()); err != nil {
			t.Errorf("Shutdown again: %v", err)
		}
		if !g.Empty() {
			t.Error("sessions are left")
		}
	})
}

// memory is a net.Listener whose connections are pipes, for bubbles.
type memory struct {
	conns chan net.Conn
	done  chan struct{}
}

func (m *memory) Accept() (net.Conn, error) {
	select {
	case nc := <-m.conns:
		return nc, nil
	case <-m.done:
		return nil, net.ErrClosed
	}
}
func (m *memory) Close() error { close(m.done); return nil }
func (*memory) Addr() net.Addr { return &net.UnixAddr{Name: "memory", Net: "unix"} }

// serve runs a server until the test is over, and returns what dials it.
func serve(t testing.TB, h http.Handler) (dial func(request string) *client, stop func()) {
	m := &memory{make(chan net.Conn), make(chan struct{})}
	s := &http.Server{Handler: h, ReadHeaderTimeout: time.Hour}
	go func() { _ = s.Serve(m) }()
	return func(request string) *client {
		ours, theirs := net.Pipe()
		m.conns <- theirs
		go func() { _, _ = ours.Write([]byte(request)) }()
		return &client{t, ours, bufio.NewReader(ours)}
	}, func() { _ = s.Close() }
}

// Grace is exact, whatever the peer does or fails to do.
func TestGraceIsExact(t *testing.T) {
	for _, p := range peers {
		for _, tt := range []struct {
			name string
			peer func(c *client) // after the end
			took time.Duration
		}{
			{"answers and closes", func(c *client) {
				for {
					if f, err := c.next(); err != nil || f.Header.OpCode == ws.OpClose {
						c.send(f)
						_ = c.Close()
						return
					}
				}
			}, 0},
			{"answers and waits for us to close", func(c *client) { c.wantClose(3000, "token_expired") }, 3 * time.Second}, // a pipe can't be half-closed
			{"reads and never answers", func(c *client) {
				for {
					if _, err := c.next(); err != nil {
						return
					}
				}
			}, 3 * time.Second},
			{"doesn't read", func(*client) { time.Sleep(time.Minute) }, 3 * time.Second},
			{"goes on sending", func(c *client) {
				var sending sync.WaitGroup
				sending.Go(func() {
					for ws.WriteFrame(c.Conn, ws.MaskFrame(wsText("hello?"))) == nil {
						time.Sleep(time.Millisecond)
					}
				})
				for {
					if _, err := c.next(); err != nil {
						break
					}
				}
				sending.Wait()
			}, 3 * time.Second},
			{"is gone", func(c *client) { _ = c.Close() }, 0},
		} {
			t.Run(p.name+"/"+tt.name, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					g := newGuard()
					over := time.Now().Add(time.Minute)
					g.Verifier = user(func(string) *portcullis.Identity { return &portcullis.Identity{Subject: "u", ExpiresAt: over} })
					g.Grace = 3 * time.Second
					h, running := p.handler(t, behaviours[0], how{})
					dial, stop := serve(t, g.Handler(h))
					defer stop()
					c := dial(handshake("/?token=x"))
					if got := c.answer().StatusCode; got != 101 {
						t.Fatalf("status %d", got)
					}
					c.wantEcho([]byte("hello"))
					time.Sleep(time.Until(over))
					var peer sync.WaitGroup
					peer.Go(func() { tt.peer(c) })
					for !g.Empty() {
						time.Sleep(time.Millisecond)
						if time.Since(over) > time.Hour {
							t.Fatal("the session is left")
						}
					}
					synctest.Wait()
					if took := time.Since(over).Truncate(10 * time.Millisecond); took != tt.took {
						t.Errorf("it took %v, want %v", took, tt.took)
					}
					if n := running.Load(); n != 0 {
						t.Errorf("%d handlers are left", n)
					}
					_ = c.Close()
					peer.Wait()
				})
			})
		}
	}
}
