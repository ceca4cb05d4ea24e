package portcullis_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"io"
	"net/http"
	"testing"

	"github.com/gobwas/ws"

	"github.com/portcullis-auth/portcullis"
)

// S8 and R2: an open socket ends when the token expires or is revoked, whatever
// package speaks on it and whatever its handler does, directly and through
// httputil.ReverseProxy, in clear and in TLS: between two frames, with the code
// and reason that say why, and with nothing left behind.
func TestS8SocketEnds(t *testing.T) {
	for _, p := range peers {
		for _, b := range behaviours {
			for _, e := range endings {
				for _, way := range []struct {
					name                   string
					proxy, secure, returns bool
				}{
					{"direct", false, false, false},
					{"direct, TLS", false, true, false},
					{"direct, handler returns", false, false, true},
					{"ReverseProxy", true, false, false},
					{"ReverseProxy, TLS", true, true, false},
				} {
					t.Run(p.name+"/"+b.name+"/"+e.name+"/"+way.name, func(t *testing.T) {
						t.Parallel()
						g := newGuard()
						how := how{returnsEarly: way.returns}
						stop := func() {}
						if way.proxy { // net/http doesn't tell a backend that its peer has gone
							how.ctx, stop = context.WithCancel(t.Context())
						}
						h, running := p.handler(t, b, how)
						if way.proxy {
							h = behindProxy(t, h)
						}
						s := start(t, g.Handler(h), way.secure)
						c := open(t, s)
						if b.name == "echo" {
							c.wantEcho([]byte("hello"))
						}
						eventually(t, "the session is there", func() bool { return !g.Empty() })
						e.end(t, g)
						c.wantClose(e.code, e.reason)
						stop()
						eventually(t, "the handler returns", func() bool { return running.Load() == 0 })
						eventually(t, "the session is gone", g.Empty)
					})
				}
			}
		}
	}
}

// Control frames may stand between the fragments of a message (RFC 6455,
// section 5.4), so the end doesn't wait for a message to be whole.
func TestR2EndsBetweenFragments(t *testing.T) {
	for _, e := range endings {
		t.Run(e.name, func(t *testing.T) {
			g := newGuard()
			sent := make(chan struct{})
			s := start(t, g.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				c, _, _, err := ws.UpgradeHTTP(r, w)
				if err != nil {
					t.Error(err)
					return
				}
				defer c.Close()
				f := ws.NewFrame(ws.OpText, false, []byte("half a mess"))
				if err := ws.WriteFrame(c, f); err != nil {
					t.Error(err)
				}
				close(sent)
				<-r.Context().Done()
				if err := ws.WriteFrame(c, ws.NewFrame(ws.OpContinuation, true, []byte("age"))); err == nil {
					t.Error("the rest of the message was taken after the end")
				}
			})), false)
			c := open(t, s)
			<-sent
			e.end(t, g)
			if f, err := c.next(); err != nil || string(f.Payload) != "half a mess" || f.Header.Fin {
				t.Errorf("first: %q, err %v; want the first fragment", f.Payload, err)
			}
			c.wantClose(e.code, e.reason)
		})
	}
}

// Promise 2: a frame to the client that had begun is finished, and Close comes
// behind it.
func TestR2EndInTheMiddleOfAFrameFinishesIt(t *testing.T) {
	const size = 16 << 20
	for _, p := range peers {
		for _, way := range []struct {
			name   string
			secure bool
		}{{"clear", false}, {"TLS", true}} {
			t.Run(p.name+"/"+way.name, func(t *testing.T) {
				t.Parallel()
				g := newGuard()
				g.Grace = patience
				h, running := p.handler(t, behaviour{serve: func(_ context.Context, s socket) {
					defer s.close()
					if err := s.write(make([]byte, size)); err != nil {
						t.Errorf("the frame that had begun: %v", err)
					}
					if err := s.write([]byte("one more")); err == nil {
						t.Error("a frame that had not begun was taken")
					}
				}}, how{})
				s := start(t, g.Handler(h), way.secure)
				c := open(t, s)
				if _, err := c.r.Peek(1 << 10); err != nil { // it has begun, and can't be done
					t.Fatal(err)
				}
				for _, e := range endings[:1] {
					e.end(t, g)
					f, err := c.next()
					if err != nil || len(f.Payload) != size {
						t.Fatalf("frame of %d bytes, err %v; want all %d", len(f.Payload), err, size)
					}
					c.wantClose(e.code, e.reason)
				}
				eventually(t, "the handler returns", func() bool { return running.Load() == 0 })
				eventually(t, "the session is gone", g.Empty)
			})
		}
	}
}

// Promise 2: if the client doesn't take the frame within Grace, the connection
// is cut, and no Close stands inside of the frame.
func TestR2EndInTheMiddleOfAFrameCutsAfterGrace(t *testing.T) {
	const size = 16 << 20
	for _, p := range peers {
		for _, way := range []struct {
			name          string
			secure, proxy bool
		}{{"clear", false, false}, {"TLS", true, false}, {"ReverseProxy", false, true}} {
			t.Run(p.name+"/"+way.name, func(t *testing.T) {
				t.Parallel()
				g := newGuard()
				g.Grace = 1 // nanosecond: over at once
				h, running := p.handler(t, behaviour{serve: func(_ context.Context, s socket) {
					defer s.close()
					for p := bytes.Repeat([]byte{0xEE}, size); s.write(p) == nil; {
					}
				}}, how{})
				if way.proxy {
					h = behindProxy(t, h)
				}
				s := start(t, g.Handler(h), way.secure)
				c := open(t, s)
				head, err := c.r.Peek(10)
				if err != nil || binary.BigEndian.Uint64(head[2:]) != size {
					t.Fatalf("head % x, err %v", head, err)
				}
				endings[1].end(t, g)
				eventually(t, "the handler returns", func() bool { return running.Load() == 0 })
				eventually(t, "the session is gone", g.Empty)
				rest, err := io.ReadAll(c.r)
				if err == nil && len(rest) >= size+10 {
					t.Errorf("got all %d bytes", len(rest))
				}
				if i := bytes.IndexFunc(rest[10:], func(r rune) bool { return r != '\uFFFD' }); i >= 0 {
					t.Errorf("something else stands inside of the frame at %d", i)
				}
			})
		}
	}
}

// Early bytes: a first frame that shares a segment with the handshake reaches
// the handler, every time.
func TestFirstFrameInTheHandshakesSegment(t *testing.T) {
	const rounds = 3000
	for _, p := range peers {
		t.Run(p.name, func(t *testing.T) {
			t.Parallel()
			g := newGuard()
			h, running := p.handler(t, behaviours[0], how{})
			s := start(t, g.Handler(h), false)
			frame, err := ws.CompileFrame(ws.MaskFrame(ws.NewBinaryFrame([]byte("early"))))
			if err != nil {
				t.Fatal(err)
			}
			request := handshake("/wsapi/?token=good") + string(frame)
			for i := range rounds {
				c := connect(t, s, request)
				if got := c.answer().StatusCode; got != http.StatusSwitchingProtocols {
					t.Fatalf("round %d: status %d", i, got)
				}
				if f, err := c.next(); err != nil || string(f.Payload) != "early" {
					t.Fatalf("round %d: %q, err %v", i, f.Payload, err)
				}
				_ = c.Close()
			}
			eventually(t, "the handlers return", func() bool { return running.Load() == 0 })
			eventually(t, "the sessions are gone", g.Empty)
		})
	}
}

// A client that ends the socket itself leaves nothing behind.
func TestSocketClosedByTheClient(t *testing.T) {
	for _, p := range peers {
		t.Run(p.name, func(t *testing.T) {
			g := newGuard()
			h, running := p.handler(t, behaviours[0], how{})
			s := start(t, g.Handler(h), false)
			c := open(t, s)
			c.wantEcho([]byte("hello"))
			_ = c.Close()
			eventually(t, "the handler returns", func() bool { return running.Load() == 0 })
			eventually(t, "the session is gone", g.Empty)
			if err := g.Revoke(t.Context(), portcullis.Revocation{Subject: "u-alice"}); err != nil {
				t.Errorf("Revoke: %v", err)
			}
		})
	}
}
