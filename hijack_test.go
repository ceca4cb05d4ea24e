package portcullis_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/portcullis-auth/portcullis"
)

// A handler that panics leaves no session behind, and no connection.
func TestHandlerPanics(t *testing.T) {
	for _, hijack := range []bool{false, true} {
		g := newGuard()
		s := start(t, g.Handler(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			if hijack {
				if _, _, err := http.NewResponseController(w).Hijack(); err != nil {
					t.Error(err)
				}
			}
			panic(http.ErrAbortHandler)
		})), false)
		c := connect(t, s, handshake("/?token=good"))
		if got, err := io.ReadAll(c.r); len(got) > 0 || errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("hijacked %v: %q, %v; want the end", hijack, got, err)
		}
		eventually(t, "the session is gone", g.Empty)
	}
}

// One hijack a request, and none over HTTP/2 or where a middleware forbids it.
func TestHijackThatFails(t *testing.T) {
	g := newGuard()
	handler := g.Handler(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		if _, _, err := http.NewResponseController(w).Hijack(); !errors.Is(err, http.ErrNotSupported) {
			t.Errorf("Hijack: %v, want ErrNotSupported", err)
		}
		w.WriteHeader(http.StatusTeapot)
	}))
	s, c := startHTTP(t, handler, true)
	if got := ask(t, c, http.MethodGet, s.URL, nil).StatusCode; got != http.StatusTeapot {
		t.Errorf("HTTP/2: %d", got)
	}
	s, c = startHTTP(t, http.TimeoutHandler(handler, patience, ""), false)
	if got := ask(t, c, http.MethodGet, s.URL, nil).StatusCode; got != http.StatusTeapot {
		t.Errorf("TimeoutHandler: %d", got)
	}

	twice := start(t, g.Handler(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		nc, _, err := http.NewResponseController(w).Hijack()
		if err != nil {
			t.Error(err)
			return
		}
		defer nc.Close()
		if _, _, err := http.NewResponseController(w).Hijack(); !errors.Is(err, http.ErrHijacked) {
			t.Errorf("second Hijack: %v, want ErrHijacked", err)
		}
		if _, err := w.Write([]byte("x")); !errors.Is(err, http.ErrHijacked) {
			t.Errorf("Write: %v, want ErrHijacked", err)
		}
	})), false)
	if got, err := io.ReadAll(connect(t, twice, handshake("/?token=good")).r); len(got) > 0 || err != nil {
		t.Errorf("got %q, %v; want the end", got, err)
	}
	eventually(t, "the sessions are gone", g.Empty)
}

// http.TimeoutHandler, inside of the Guard and around it, keeps its promises and ours.
func TestTimeoutHandler(t *testing.T) {
	for _, around := range []bool{false, true} {
		for _, timeout := range []time.Duration{time.Millisecond, patience} {
			g := newGuard()
			at := make(chan struct{})
			var h http.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				_, _ = io.WriteString(w, "secret")
				close(at)
				<-r.Context().Done()
			})
			if around {
				h = http.TimeoutHandler(g.Handler(h), timeout, "timeout")
			} else {
				h = g.Handler(http.TimeoutHandler(h, timeout, "timeout"))
			}
			s, c := startHTTP(t, h, false)
			if timeout == patience {
				go func() {
					<-at
					g.ExpireAt(time.Now().Add(time.Hour))
				}()
			}
			r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, s.URL, nil)
			if err != nil {
				t.Fatal(err)
			}
			r.Header.Set("Authorization", "Bearer good")
			resp, err := c.Do(r)
			status, body := 0, ""
			if err == nil {
				p, _ := io.ReadAll(resp.Body)
				_ = resp.Body.Close()
				status, body = resp.StatusCode, string(p)
			}
			if strings.Contains(body, "secret") || timeout != patience && status != http.StatusServiceUnavailable || status == http.StatusOK {
				t.Errorf("around %v, timeout %v: %d %q, err %v", around, timeout, status, body, err)
			}
			eventually(t, "the session is gone", g.Empty)
		}
	}
}

// What becomes of a hijacked connection that speaks no WebSocket: it is cut.
func TestOtherProtocolsAreCut(t *testing.T) {
	for _, tt := range []struct{ name, headers, head string }{
		{"another upgrade", "Connection: Upgrade\r\nUpgrade: other\r\n", "HTTP/1.1 101 Switching Protocols\r\nUpgrade: other\r\nConnection: Upgrade\r\n\r\n"},
		{"no upgrade", "", "whatever"},
		{"WebSocket asked, another answer", "Connection: Upgrade\r\nUpgrade: websocket\r\n", "HTTP/1.1 200 OK\r\n\r\n"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			g := newGuard()
			left := make(chan error, 1)
			s := start(t, g.Handler(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				nc, _, err := http.NewResponseController(w).Hijack()
				if err != nil {
					t.Error(err)
					return
				}
				_, _ = io.WriteString(nc, tt.head)
				_, err = io.Copy(nc, nc)
				left <- err
				_ = nc.Close()
			})), false)
			c := connect(t, s, "GET / HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer good\r\n"+tt.headers+"\r\nping")
			want := tt.head + "ping"
			got := make([]byte, len(want))
			if _, err := io.ReadFull(c.r, got); err != nil || string(got) != want {
				t.Fatalf("got %q, err %v", got, err)
			}
			endings[1].end(t, g)
			if err := <-left; !errors.Is(err, portcullis.ErrRevoked) {
				t.Errorf("the handler got %v, want ErrRevoked", err)
			}
			if rest, err := io.ReadAll(c.r); len(rest) > 0 || !errors.Is(err, syscall.ECONNRESET) {
				t.Errorf("%q, err %v; want a reset", rest, err)
			}
			eventually(t, "the session is gone", g.Empty)
		})
	}
}

// After WriteHeader the bytes behind a hijack are no head of an answer.
func TestHijackInTheMiddleOfAnAnswer(t *testing.T) {
	g := newGuard()
	s := start(t, g.Handler(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Length", "5")
		w.WriteHeader(http.StatusOK)
		nc, _, err := http.NewResponseController(w).Hijack()
		if err != nil {
			t.Error(err)
			return
		}
		defer nc.Close()
		_, _ = io.WriteString(nc, "hello")
	})), false)
	c := connect(t, s, handshake("/?token=good"))
	got, err := io.ReadAll(c.answer().Body)
	if err != nil || string(got) != "hello" {
		t.Errorf("%q, err %v; want hello", got, err)
	}
}

// The connection of a socket whose handler has returned keeps nothing of
// net/http's alive but itself, and who still writes to it hears of that.
func TestResponseWriterIsGoneAfterHijack(t *testing.T) {
	g := newGuard()
	var w http.ResponseWriter
	guarded := g.Handler(http.HandlerFunc(func(given http.ResponseWriter, _ *http.Request) {
		if _, _, err := http.NewResponseController(given).Hijack(); err != nil {
			t.Error(err)
		}
		w = given
	}))
	returned := make(chan bool)
	s := start(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		guarded.ServeHTTP(w, r)
		close(returned)
	}), false)
	_ = connect(t, s, handshake("/?token=good"))
	<-returned
	if len(w.Header()) > 0 || http.NewResponseController(w).Flush() == nil {
		t.Error("it is still net/http's")
	}
	if _, err := w.Write([]byte("x")); !errors.Is(err, http.ErrHijacked) {
		t.Errorf("Write: %v, want ErrHijacked", err)
	}
	w.WriteHeader(http.StatusOK)
	endings[1].end(t, g)
	eventually(t, "the session is gone", g.Empty)
}

// Who goes on writing when the handler has returned hears of it.
func TestWriteAfterTheHandlerReturned(t *testing.T) {
	g := newGuard()
	kept := make(chan http.ResponseWriter, 1)
	s, c := startHTTP(t, g.Handler(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { kept <- w })), false)
	_ = ask(t, c, http.MethodGet, s.URL, nil)
	w := <-kept
	eventually(t, "the session is gone", g.Empty)
	if _, err := w.Write([]byte("x")); err == nil {
		t.Error("Write: no error")
	}
	if _, _, err := http.NewResponseController(w).Hijack(); err == nil {
		t.Error("Hijack: no error")
	}
}

// stopwatch is a ResponseWriter that knows its deadlines.
type stopwatch struct {
	http.ResponseWriter
	read, write time.Time
}

func (s *stopwatch) SetReadDeadline(t time.Time) error  { s.read = t; return nil }
func (s *stopwatch) SetWriteDeadline(t time.Time) error { s.write = t; return nil }

// After the end a handler can't give itself more time.
func TestDeadlinesStayAfterTheEnd(t *testing.T) {
	g := newGuard()
	w := &stopwatch{ResponseWriter: httptest.NewRecorder()}
	h := g.Handler(http.HandlerFunc(func(rw http.ResponseWriter, _ *http.Request) {
		rc := http.NewResponseController(rw)
		_, _ = rc.SetReadDeadline(time.Time{}), rc.SetWriteDeadline(time.Time{})
		_, _ = io.WriteString(rw, "hello")
		g.ExpireAt(time.Now().Add(time.Hour))
		_, _ = rc.SetReadDeadline(time.Time{}), rc.SetWriteDeadline(time.Time{})
		if now := time.Now(); w.read.IsZero() || w.write.IsZero() || w.read.After(now) || w.write.After(now) {
			t.Errorf("deadlines %v and %v, want them past", w.read, w.write)
		}
	}))
	defer func() {
		if p := recover(); p != http.ErrAbortHandler { //nolint:errorlint // it is that very one
			t.Errorf("panic %v, want ErrAbortHandler", p)
		}
	}()
	h.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/?token=good", nil))
}

// A client that goes away is told to the handler by net/http as ever.
func TestClientGoesAway(t *testing.T) {
	for _, headers := range []string{"", "Connection: Upgrade\r\nUpgrade: websocket\r\n"} {
		g := newGuard()
		var verifying atomic.Bool
		asked := make(chan struct{}, 1)
		good := g.Verifier
		g.Verifier = portcullis.VerifierFunc(func(ctx context.Context, token string) (*portcullis.Identity, error) {
			asked <- struct{}{}
			if verifying.Load() {
				<-ctx.Done()
				return nil, ctx.Err()
			}
			return good.Verify(ctx, token)
		})
		cause := make(chan error, 2)
		g.Deny = func(_ http.ResponseWriter, _ *http.Request, err error) { cause <- err }
		s := start(t, g.Handler(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
			asked <- struct{}{}
			<-r.Context().Done()
			cause <- context.Cause(r.Context())
		})), false)
		request := "GET /?token=good HTTP/1.1\r\nHost: x\r\n" + headers + "\r\n"
		c := connect(t, s, request)
		<-asked
		<-asked
		_ = c.Close()
		if err := <-cause; !errors.Is(err, context.Canceled) {
			t.Errorf("%q: the handler's context: %v, want Canceled", headers, err)
		}
		verifying.Store(true)
		c = connect(t, s, request)
		<-asked
		_ = c.Close()
		if err := <-cause; !errors.Is(err, portcullis.ErrUnavailable) || !errors.Is(err, context.Canceled) {
			t.Errorf("%q: refused with %v, want ErrUnavailable and Canceled", headers, err)
		}
		eventually(t, "the sessions are gone", g.Empty)
	}
}
