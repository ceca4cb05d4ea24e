package portcullis_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httptrace"
	"net/textproto"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/portcullis-auth/portcullis"
)

// startHTTP starts a server for HTTP/1.1 or HTTP/2, and returns a client for it.
func startHTTP(t testing.TB, h http.Handler, http2 bool) (*httptest.Server, *http.Client) {
	s := httptest.NewUnstartedServer(h)
	s.Config.ErrorLog = quiet
	if http2 {
		s.EnableHTTP2 = true
		s.StartTLS()
	} else {
		s.Start()
	}
	t.Cleanup(s.Close)
	c := s.Client()
	c.Timeout = patience
	return s, c
}

// ask makes a request with a good token.
func ask(t testing.TB, c *http.Client, method, url string, body io.Reader) *http.Response {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, url, body)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer good")
	resp, err := c.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = resp.Body.Close() })
	return resp
}

var causes = map[string]error{"expiry": portcullis.ErrExpired, "revocation": portcullis.ErrRevoked}

// S8 and R2: what isn't a socket ends too, whatever the handler is doing: an
// answer that has begun fails at the client instead of looking whole, one that
// hasn't becomes a 401; over HTTP/1.1 and HTTP/2, directly and through
// httputil.ReverseProxy.
func TestS8LongAnswersEnd(t *testing.T) {
	big := filepath.Join(t.TempDir(), "big")
	if err := os.WriteFile(big, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(big, 64<<20); err != nil {
		t.Fatal(err)
	}
	for _, b := range []struct {
		name   string
		upload bool // the client sends a body without end
		begun  bool // the answer has
		serve  func(w http.ResponseWriter, r *http.Request, at chan<- struct{})
	}{
		{"server-sent events", false, true, func(w http.ResponseWriter, r *http.Request, at chan<- struct{}) {
			w.Header().Set("Content-Type", "text/event-stream")
			_, _ = io.WriteString(w, "data: hello\n\n")
			_ = http.NewResponseController(w).Flush()
			close(at)
			<-r.Context().Done()
		}},
		{"server-sent events, handler doesn't look", false, true, func(w http.ResponseWriter, _ *http.Request, at chan<- struct{}) {
			_ = http.NewResponseController(w).Flush()
			close(at)
			for {
				if _, err := io.WriteString(w, ": still here\n\n"); err != nil {
					return
				}
				if err := http.NewResponseController(w).Flush(); err != nil {
					return
				}
			}
		}},
		{"writing to who doesn't read", false, true, func(w http.ResponseWriter, _ *http.Request, at chan<- struct{}) {
			close(at)
			for p := make([]byte, 1<<20); ; {
				if _, err := w.Write(p); err != nil {
					return
				}
			}
		}},
		{"download", false, true, func(w http.ResponseWriter, r *http.Request, at chan<- struct{}) {
			close(at)
			http.ServeFile(w, r, big)
		}},
		{"waiting", false, false, func(_ http.ResponseWriter, r *http.Request, at chan<- struct{}) {
			close(at)
			<-r.Context().Done()
		}},
		{"reading the body", true, false, func(_ http.ResponseWriter, r *http.Request, at chan<- struct{}) {
			p := make([]byte, 5)
			if _, err := io.ReadFull(r.Body, p); err != nil || string(p) != "hello" {
				panic("the body doesn't come")
			}
			close(at)
			_, _ = r.Body.Read(p)
		}},
		{"reading the body, answer begun", true, true, func(w http.ResponseWriter, r *http.Request, at chan<- struct{}) {
			_ = http.NewResponseController(w).EnableFullDuplex()
			_ = http.NewResponseController(w).Flush()
			_, _ = io.ReadFull(r.Body, make([]byte, 5))
			close(at)
			_, _ = io.Copy(io.Discard, r.Body)
		}},
	} {
		for _, e := range endings {
			for _, way := range []struct {
				name         string
				http2, proxy bool
			}{{"HTTP/1.1", false, false}, {"HTTP/2", true, false}, {"HTTP/1.1, ReverseProxy", false, true}, {"HTTP/2, ReverseProxy", true, true}} {
				if b.upload && b.begun && way.proxy && !way.http2 {
					continue // ReverseProxy doesn't enable full duplex: net/http wants the whole body first
				}
				t.Run(b.name+"/"+e.name+"/"+way.name, func(t *testing.T) {
					t.Parallel()
					g := newGuard()
					at, left := make(chan struct{}), make(chan error, 1)
					var h http.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
						defer func() {
							<-r.Context().Done()
							left <- context.Cause(r.Context())
						}()
						b.serve(w, r, at)
					})
					if way.proxy {
						h = behindProxy(t, h)
					}
					s, c := startHTTP(t, g.Handler(h), way.http2)
					method, body := http.MethodGet, io.Reader(nil)
					if b.upload {
						r, w := io.Pipe()
						t.Cleanup(func() { _ = w.Close() })
						go func() { _, _ = io.WriteString(w, "hello") }()
						method, body = http.MethodPost, r
					}
					answers := make(chan *http.Response, 1)
					go func() {
						defer close(answers)
						answers <- ask(t, c, method, s.URL, body)
					}()
					<-at
					var resp *http.Response
					if b.begun {
						resp = <-answers
					}
					e.end(t, g)
					if cause := <-left; !way.proxy && cause != causes[e.name] { //nolint:errorlint // it is that very one
						t.Errorf("the handler's context: %v, want %v", cause, causes[e.name])
					}
					if !b.begun {
						resp = <-answers
					}
					if resp == nil {
						t.Fatal("no answer")
					}
					n, err := io.Copy(io.Discard, resp.Body)
					if b.begun && (err == nil || resp.StatusCode != http.StatusOK) {
						t.Errorf("got %d and %d bytes, err %v; want 200 and an error", resp.StatusCode, n, err)
					}
					if !b.begun && (err != nil || resp.StatusCode != http.StatusUnauthorized) {
						t.Errorf("got %d and %d bytes, err %v; want 401", resp.StatusCode, n, err)
					}
					eventually(t, "the session is gone", g.Empty)
				})
			}
		}
	}
}

// The context's cause is the reason, never net/http's own cancellation, which
// the cut of the connection sets off.
func TestCauseIsNeverCanceled(t *testing.T) {
	for _, headers := range [][]string{nil, {"Connection: Upgrade", "Upgrade: other"}} {
		g := newGuard()
		at, cause := make(chan struct{}), make(chan error)
		s := start(t, g.Handler(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
			at <- struct{}{}
			<-r.Context().Done()
			cause <- context.Cause(r.Context())
		})), false)
		for i := range 300 {
			c := connect(t, s, "GET / HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer good\r\n"+strings.Join(append(headers, ""), "\r\n")+"\r\n")
			<-at
			g.ExpireAt(time.Now().Add(time.Hour))
			if err := <-cause; !errors.Is(err, portcullis.ErrExpired) {
				t.Fatalf("%q, round %d: cause %v, want ErrExpired", headers, i, err)
			}
			if got := c.answer().StatusCode; got != 401 {
				t.Fatalf("%q, round %d: %d, want 401", headers, i, got)
			}
			_ = c.Close()
		}
	}
}

// R1: a session may end in the very moment that it is admitted. (The race
// detector has something to say here, too.)
func TestEndAtAdmission(t *testing.T) {
	g := newGuard()
	s, c := startHTTP(t, g.Handler(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body) // only a cut ends this
	})), false)
	stop := make(chan struct{})
	var ending sync.WaitGroup
	ending.Go(func() {
		for {
			select {
			case <-stop:
				return
			default:
				g.ExpireAt(time.Now().Add(time.Hour))
			}
		}
	})
	for range 200 {
		r, w := io.Pipe()
		resp := ask(t, c, http.MethodPost, s.URL, r)
		if resp.StatusCode != http.StatusUnauthorized {
			t.Errorf("got %d, want 401", resp.StatusCode)
		}
		_ = w.Close()
	}
	close(stop)
	ending.Wait()
	eventually(t, "the sessions are gone", g.Empty)
}

// Promise 2: what the client sent before the end, and net/http has buffered, is
// not read after it; and what the handler wrote isn't sent.
func TestBufferedBytesDoNotPass(t *testing.T) {
	for _, size := range []int{6, 3000} { // net/http has two buffers
		g := newGuard()
		read := make(chan error, 1)
		s := start(t, g.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			p := make([]byte, 1)
			if _, err := r.Body.Read(p); err != nil {
				t.Errorf("before the end: %v", err)
			}
			_, _ = w.Write(make([]byte, size))
			g.ExpireAt(time.Now().Add(time.Hour))
			n, err := r.Body.Read(p)
			if n > 0 {
				t.Error("read a byte after the end")
			}
			read <- err
		})), false)
		c := connect(t, s, "POST / HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer good\r\nContent-Length: 5\r\n\r\nhello")
		if got, _ := io.ReadAll(c.r); len(got) > 0 {
			t.Errorf("the client got %d bytes after the end", len(got))
		}
		if err := <-read; !errors.Is(err, portcullis.ErrExpired) {
			t.Errorf("Read: %v, want ErrExpired", err)
		}
	}
}

// The 401 that takes the place of an answer carries nothing of that answer,
// and all that those in front of the Guard have set.
func TestRefusalInTheMiddleCarriesNothingOfTheAnswer(t *testing.T) {
	g := newGuard()
	inner := g.Handler(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusEarlyHints) // the answer hasn't begun
		w.Header().Set("Set-Cookie", "secret=1")
		w.Header().Set("Content-Encoding", "gzip")
		w.Header().Set("X-Frame-Options", "ALLOW")
		g.ExpireAt(time.Now().Add(time.Hour))
		w.WriteHeader(http.StatusTeapot)
		if _, err := io.WriteString(w, "secret"); !errors.Is(err, portcullis.ErrExpired) {
			t.Errorf("Write: %v, want ErrExpired", err)
		}
		if err := http.NewResponseController(w).Flush(); !errors.Is(err, portcullis.ErrExpired) {
			t.Errorf("Flush: %v, want ErrExpired", err)
		}
		if _, err := w.(io.ReaderFrom).ReadFrom(strings.NewReader("secret")); !errors.Is(err, portcullis.ErrExpired) {
			t.Errorf("ReadFrom: %v, want ErrExpired", err)
		}
		if _, _, err := http.NewResponseController(w).Hijack(); !errors.Is(err, portcullis.ErrExpired) {
			t.Errorf("Hijack: %v, want ErrExpired", err)
		}
	}))
	s, c := startHTTP(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("X-Frame-Options", "DENY")
		inner.ServeHTTP(w, r)
	}), false)
	resp := ask(t, c, http.MethodGet, s.URL, nil)
	body, _ := io.ReadAll(resp.Body)
	if resp.StatusCode != 401 || string(body) != "token expired\n" {
		t.Errorf("got %d %q", resp.StatusCode, body)
	}
	for key, want := range map[string]string{"Set-Cookie": "", "Content-Encoding": "", "X-Frame-Options": "DENY", "Cache-Control": "no-store"} {
		if got := resp.Header.Get(key); got != want {
			t.Errorf("%s: %q, want %q", key, got, want)
		}
	}
}

// Connections are kept, and a session's end concerns no other request on its
// connection: over HTTP/1.1 it takes the connection along, over HTTP/2 it
// leaves it alone.
func TestConnectionIsKept(t *testing.T) {
	for _, http2 := range []bool{false, true} {
		g := newGuard()
		s, c := startHTTP(t, g.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path != "/" {
				if r.URL.Path == "/begun" {
					_ = http.NewResponseController(w).Flush()
				}
				g.ExpireAt(time.Now().Add(time.Hour))
			}
			_, _ = io.Copy(w, r.Body)
		})), http2)
		for i, tt := range []struct {
			path   string
			status int
			reused bool // over HTTP/1.1; over HTTP/2 it always is
		}{{"/", 200, false}, {"/", 200, true}, {"/", 200, true}, {"/late", 401, true}, {"/", 200, false}, {"/begun", 200, true}, {"/", 200, false}, {"/", 200, true}} {
			var reused bool
			ctx := httptrace.WithClientTrace(t.Context(), &httptrace.ClientTrace{GotConn: func(i httptrace.GotConnInfo) { reused = i.Reused }})
			r, err := http.NewRequestWithContext(ctx, http.MethodPost, s.URL+tt.path, strings.NewReader("hello"))
			if err != nil {
				t.Fatal(err)
			}
			r.Header.Set("Authorization", "Bearer good")
			resp, err := c.Do(r)
			if err != nil {
				t.Fatal(err)
			}
			_, err = io.Copy(io.Discard, resp.Body)
			_ = resp.Body.Close()
			if resp.StatusCode != tt.status || (err != nil) != (tt.path == "/begun") {
				t.Errorf("HTTP/2 %v, request %d, %s: %d, err %v; want %d", http2, i, tt.path, resp.StatusCode, err, tt.status)
			}
			if want := tt.reused || http2 && i > 0; reused != want {
				t.Errorf("HTTP/2 %v, request %d, %s: connection reused: %v, want %v", http2, i, tt.path, reused, want)
			}
		}
		if !g.Empty() {
			t.Error("sessions are left")
		}
	}
}

// 1xx answers and trailers pass.
func TestInterimAnswersAndTrailersPass(t *testing.T) {
	for _, http2 := range []bool{false, true} {
		g := newGuard()
		s, c := startHTTP(t, g.Handler(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Link", "</a.css>; rel=preload")
			w.WriteHeader(http.StatusEarlyHints)
			w.Header().Set("Trailer", "X-Sum")
			_, _ = io.WriteString(w, "hello")
			w.Header().Set("X-Sum", "5")
		})), http2)
		var hints []int
		ctx := httptrace.WithClientTrace(t.Context(), &httptrace.ClientTrace{Got1xxResponse: func(code int, _ textproto.MIMEHeader) error {
			hints = append(hints, code)
			return nil
		}})
		r, err := http.NewRequestWithContext(ctx, http.MethodGet, s.URL, nil)
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Authorization", "Bearer good")
		resp, err := c.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(resp.Body)
		_ = resp.Body.Close()
		if err != nil || string(body) != "hello" || resp.Trailer.Get("X-Sum") != "5" || len(hints) != 1 || hints[0] != 103 {
			t.Errorf("HTTP/2 %v: %q, err %v, trailer %v, 1xx %v", http2, body, err, resp.Trailer, hints)
		}
	}
}

// What http.ResponseController can do, the Guard's ResponseWriter does; and a
// handler can't give itself more time.
func TestResponseController(t *testing.T) {
	g := newGuard()
	s, c := startHTTP(t, g.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		rc := http.NewResponseController(w)
		for name, err := range map[string]error{
			"SetReadDeadline": rc.SetReadDeadline(time.Now().Add(patience)), "SetWriteDeadline": rc.SetWriteDeadline(time.Now().Add(patience)),
			"EnableFullDuplex": rc.EnableFullDuplex(), "Flush": rc.Flush(),
		} {
			if err != nil {
				t.Errorf("%s: %v", name, err)
			}
		}
		go func() {
			g.ExpireAt(time.Now().Add(time.Hour))
			_, _ = rc.SetReadDeadline(time.Time{}), rc.SetWriteDeadline(time.Time{})
		}()
		for p := make([]byte, 1<<20); ; {
			if _, err := w.Write(p); err != nil {
				break
			}
		}
		_, _ = rc.SetReadDeadline(time.Time{}), rc.SetWriteDeadline(time.Time{})
		_, _ = io.Copy(io.Discard, r.Body)
	})), false)
	r, w := io.Pipe()
	t.Cleanup(func() { _ = w.Close() })
	resp := ask(t, c, http.MethodPost, s.URL, r)
	if _, err := io.Copy(io.Discard, resp.Body); err == nil {
		t.Error("the answer looks whole")
	}
	eventually(t, "the session is gone", g.Empty)
}

// A middleware may hide the connection's deadlines. Nothing passes then either.
func TestCopyingThroughAMiddlewareThatHidesDeadlines(t *testing.T) {
	g := newGuard()
	h := g.Handler(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		r, pw := io.Pipe()
		go func() {
			_, _ = io.WriteString(pw, "hello")
			g.ExpireAt(time.Now().Add(time.Hour))
			_, _ = io.WriteString(pw, "secret")
			_ = pw.Close()
		}()
		if _, err := io.Copy(w, r); !errors.Is(err, portcullis.ErrExpired) {
			t.Errorf("Copy: %v, want ErrExpired", err)
		}
		_ = r.Close()
	}))
	rec := httptest.NewRecorder()
	func() {
		defer func() {
			if p := recover(); p != http.ErrAbortHandler { //nolint:errorlint // it is that very one
				t.Errorf("panic %v, want ErrAbortHandler", p)
			}
		}()
		r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/", nil)
		r.Header.Set("Authorization", "Bearer good")
		h.ServeHTTP(struct{ http.ResponseWriter }{rec}, r)
	}()
	if got := rec.Body.String(); got != "hello" && got != "" { // nothing, if the end came before the copy had written
		t.Errorf("passed %q, want hello at most", got)
	}
}

// HTTP/1.0 knows no end but that of the connection, so it is reset.
func TestHTTP10AnswerIsReset(t *testing.T) {
	for _, secure := range []bool{false, true} {
		g := newGuard()
		s := start(t, g.Handler(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			_, _ = io.WriteString(w, "half")
			_ = http.NewResponseController(w).Flush()
			g.ExpireAt(time.Now().Add(time.Hour))
		})), secure)
		c := connect(t, s, "GET / HTTP/1.0\r\nAuthorization: Bearer good\r\n\r\n")
		if _, err := io.ReadAll(c.r); err == nil {
			t.Errorf("TLS %v: the end is clean", secure)
		}
	}
}

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
	kept := make(chan http.ResponseWriter, 1)
	s := start(t, g.Handler(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		if _, _, err := http.NewResponseController(w).Hijack(); err != nil {
			t.Error(err)
		}
		kept <- w
	})), false)
	_ = connect(t, s, handshake("/?token=good"))
	w := <-kept
	eventually(t, "the handler returned", func() bool {
		return len(w.Header()) == 0 && http.NewResponseController(w).Flush() != nil
	})
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
