package portcullis_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
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
