package portcullis_test

import (
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httptrace"
	"net/textproto"
	"strings"
	"testing"
	"time"

	"github.com/portcullis-auth/portcullis"
)

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
				if http2 && tt.path == "/begun" { // the reset overtook the head: that tells the client too
					continue
				}
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
