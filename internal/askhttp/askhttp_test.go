package askhttp_test

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/portcullis-auth/portcullis/internal/askhttp"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const secret = "s3cr3t-t0ken"

// ask sends a request with the secret in every place that a caller may put one.
func ask(t *testing.T, a *askhttp.Asker, url string) (*askhttp.Answer, error) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, url, strings.NewReader("token="+secret))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+secret)
	return a.Ask(req)
}

// outcome is what an exchange came to, in words: the status and the error.
func outcome(answer *askhttp.Answer, err error) (status int, body string, _ error) {
	if err != nil {
		return 0, "", err
	}
	raw, err := answer.JSON()
	return answer.Status, string(raw), err
}

// raw answers with bytes of the test's choice, in which SECRET stands for what
// the request carried.
func raw(reply string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		got := strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer ")
		conn, _, err := http.NewResponseController(w).Hijack()
		if err != nil {
			panic(err)
		}
		_, _ = io.WriteString(conn, strings.ReplaceAll(reply, "SECRET", got))
		_ = conn.Close()
	}
}

func reply(status int, media, body string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", media)
		w.WriteHeader(status)
		_, _ = io.WriteString(w, body)
	}
}

// I1, I2: what a token system may send, and what it comes to. No error holds
// what we sent, even if it was sent back.
func TestI2Answers(t *testing.T) {
	var zipped bytes.Buffer
	z := gzip.NewWriter(&zipped)
	_, _ = z.Write(append([]byte(`{"active":true,"x":"`), bytes.Repeat([]byte("a"), 8<<20)...))
	_ = z.Close()

	for _, tt := range []struct {
		name       string
		handler    http.HandlerFunc
		wantStatus int // 0: no answer
		wantBody   string
		wantErr    string // "": none
	}{
		{"JSON", reply(200, "application/json; charset=utf-8", `{"a":1}`), 200, `{"a":1}`, ""},
		{"JSON of a kind", reply(200, "application/jwk-set+json", `{}`), 200, `{}`, ""},
		{"JSON with another status", reply(418, "application/json", `{}`), 418, `{}`, ""},
		{"as large as may be", reply(200, "application/json", strings.Repeat("x", askhttp.MaxAnswer)), 200, strings.Repeat("x", askhttp.MaxAnswer), ""},
		{"a byte larger", reply(200, "application/json", strings.Repeat("x", askhttp.MaxAnswer+1)), 200, "", "larger than"},
		{"empty", reply(200, "application/json", ""), 200, "", "empty"},
		{"HTML", reply(200, "text/html", `{}`), 200, "", "HTML page"},
		{"text", reply(200, "text/plain", `{}`), 200, "", "Content-Type"},
		{"no media type", raw("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}"), 200, "", "Content-Type"},
		{"the secret as media type", raw("HTTP/1.1 200 OK\r\nContent-Type: SECRET;;\r\nContent-Length: 2\r\n\r\n{}"), 200, "", "Content-Type"},
		{"gzip bomb", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			w.Header().Set("Content-Encoding", "gzip")
			_, _ = w.Write(zipped.Bytes())
		}, 200, "", "compressed"},
		{"unknown compression", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			w.Header().Set("Content-Encoding", "x-secret")
			_, _ = w.Write([]byte("{}"))
		}, 200, "", "compressed"},
		{"cut", raw("HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 20\r\n\r\n{"), 200, "", "closed before"},
		{"closed at once", raw(""), 0, "", "closed before"},
		{"reset", func(w http.ResponseWriter, _ *http.Request) {
			conn, _, _ := http.NewResponseController(w).Hijack()
			_ = conn.(*net.TCPConn).SetLinger(0)
			_ = conn.Close()
		}, 0, "", "reset"},
		{"the secret as status line", raw("SECRET\r\n\r\n"), 0, "", "no usable HTTP answer"},
		{"the secret as status code", raw("HTTP/1.1 SECRET\r\n\r\n"), 0, "", "no usable HTTP answer"},
		{"the secret as header line", raw("HTTP/1.1 200 OK\r\nSECRET\r\n\r\n"), 0, "", "no usable HTTP answer"},
		{"the secret as transfer coding", raw("HTTP/1.1 200 OK\r\nTransfer-Encoding: SECRET\r\n\r\n"), 0, "", "no usable HTTP answer"},
		{"the secret in a broken Location", raw("HTTP/1.1 302 Found\r\nLocation: http://[SECRET\r\n\r\n"), 0, "", "no usable HTTP answer"},
		{"101", raw("HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n{}"), 101, "", "empty"},
		{"header without end", raw("HTTP/1.1 200 OK\r\nX: " + strings.Repeat("x", 70<<10) + "\r\n\r\n"), 0, "", "no usable HTTP answer"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			srv := httptest.NewServer(tt.handler)
			defer srv.Close()
			status, body, err := outcome(ask(t, askhttp.New(nil, 0), srv.URL))
			if status != tt.wantStatus || body != tt.wantBody {
				t.Errorf("status %d, body %.40q; want %d, %.40q", status, body, tt.wantStatus, tt.wantBody)
			}
			if (err == nil) != (tt.wantErr == "") || err != nil && !strings.Contains(err.Error(), tt.wantErr) {
				t.Errorf("err = %v, want %q", err, tt.wantErr)
			}
			if err != nil && strings.Contains(strings.ToLower(err.Error()), "s3cr3t") {
				t.Errorf("the error holds what was sent: %v", err)
			}
		})
	}
}

// Body tells what a body says that it is, for callers that take more than JSON.
func TestI2Body(t *testing.T) {
	for _, tt := range []struct {
		name, media, body string
		want              string
		wantErr           string
	}{
		{"JWT", "application/Token-Introspection+JWT; charset=utf-8", "a.b.c", "application/token-introspection+jwt", ""},
		{"none", "", "x", "", ""},
		{"broken", "text/html; x=", "x", "", ""},
		{"empty", "application/jwt", "", "", "empty"},
		{"too large", "application/jwt", strings.Repeat("x", askhttp.MaxAnswer+1), "", "larger than"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				w.Header()["Content-Type"] = []string{tt.media}
				_, _ = io.WriteString(w, tt.body)
			}))
			defer srv.Close()
			answer, err := ask(t, askhttp.New(nil, 0), srv.URL)
			if err != nil {
				t.Fatal(err)
			}
			media, body, err := answer.Body()
			if (err == nil) != (tt.wantErr == "") || err != nil && !strings.Contains(err.Error(), tt.wantErr) {
				t.Errorf("err = %v, want %q", err, tt.wantErr)
			}
			if media != tt.want || err == nil && string(body) != tt.body {
				t.Errorf("%q, %q", media, body)
			}
		})
	}
}

func TestHeader(t *testing.T) {
	srv := httptest.NewServer(raw("HTTP/1.1 200 OK\r\ncache-control: private\r\nCache-Control: max-age=5\r\nContent-Length: 0\r\n\r\n"))
	defer srv.Close()
	answer, err := ask(t, askhttp.New(nil, 0), srv.URL)
	if err != nil {
		t.Fatal(err)
	}
	if got := answer.Header("CACHE-control"); got != "private, max-age=5" {
		t.Errorf("Cache-Control %q", got)
	}
	if got := answer.Header("Expires"); got != "" {
		t.Errorf("Expires %q", got)
	}
}

// I2: of a body without end, little more than MaxAnswer is taken.
func TestI2EndlessBody(t *testing.T) {
	var sent atomic.Int64
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		for chunk := bytes.Repeat([]byte(" "), 64<<10); sent.Load() < 1<<30; {
			n, err := w.Write(chunk)
			sent.Add(int64(n))
			if err != nil {
				return
			}
		}
	}))
	_, _, err := outcome(ask(t, askhttp.New(nil, 0), srv.URL))
	srv.Close() // waits for the handler
	if err == nil || !strings.Contains(err.Error(), "larger than") {
		t.Errorf("err = %v, want one about the size", err)
	}
	if got := sent.Load(); got > 64<<20 {
		t.Errorf("the server could send %d bytes", got)
	}
}

// I2: redirects would carry the token away.
func TestI2RedirectsAreNotFollowed(t *testing.T) {
	var visited atomic.Int64
	elsewhere := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { visited.Add(1) }))
	defer elsewhere.Close()
	for _, status := range []int{301, 302, 303, 307, 308} {
		srv := httptest.NewServer(http.RedirectHandler(elsewhere.URL, status))
		// A client that would follow is not asked for its opinion.
		for _, client := range []*http.Client{nil, srv.Client()} {
			answer, err := ask(t, askhttp.New(client, 0), srv.URL)
			if err != nil {
				t.Fatal(err)
			}
			if answer.Status != status || !strings.Contains(answer.Unexpected().Error(), "redirect") {
				t.Errorf("status %d (%v), want %d", answer.Status, answer.Unexpected(), status)
			}
		}
		srv.Close()
	}
	if visited.Load() != 0 {
		t.Error("a redirect was followed")
	}
}

// I2: the request asks for no compression, also through a transport that would
// add it, carries no cookies of earlier answers, and no header of ours.
func TestI2Request(t *testing.T) {
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		http.SetCookie(w, &http.Cookie{Name: "user", Value: "1"})
		if got := r.Header.Get("Accept-Encoding"); got != "identity" {
			t.Errorf("Accept-Encoding %q", got)
		}
		for _, name := range []string{"Idempotency-Key", "Cookie"} {
			if got, ok := r.Header[name]; ok {
				t.Errorf("%s: %q", name, got)
			}
		}
		if body, _ := io.ReadAll(r.Body); string(body) != "token="+secret {
			t.Errorf("body %q", body)
		}
	}))
	defer srv.Close()
	client := srv.Client()
	client.Jar, _ = cookiejar.New(nil)
	a := askhttp.New(client, 0)
	for range 2 {
		if _, err := ask(t, a, srv.URL); err != nil {
			t.Fatal(err)
		}
	}
	if client.CheckRedirect != nil || client.Jar == nil {
		t.Error("the caller's client was changed")
	}
}

// A good answer and a refusal alike leave the connection fit for use, or each
// bad token would cost a TLS handshake.
func TestConnectionsAreReused(t *testing.T) {
	var conns atomic.Int64
	srv := httptest.NewUnstartedServer(reply(401, "application/json", `{"error":"invalid_token"}`))
	srv.Config.ConnState = func(_ net.Conn, s http.ConnState) {
		if s == http.StateNew {
			conns.Add(1)
		}
	}
	srv.Start()
	defer srv.Close()
	a := askhttp.New(nil, 0)
	for range 5 {
		if _, err := ask(t, a, srv.URL); err != nil {
			t.Fatal(err)
		}
	}
	if got := conns.Load(); got != 1 {
		t.Errorf("%d connections for 5 calls", got)
	}
}

// I2: time is bounded, whoever is slow, and however.
func TestI2Time(t *testing.T) {
	for _, tt := range []struct {
		name    string
		handler http.HandlerFunc
	}{
		{"no answer", func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }},
		{"no body", func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			_ = http.NewResponseController(w).Flush()
			<-r.Context().Done()
		}},
		{"dripping body", func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			for tick := time.NewTicker(time.Second); r.Context().Err() == nil; <-tick.C {
				_, _ = w.Write([]byte(" "))
				_ = http.NewResponseController(w).Flush()
			}
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				client := serve(t, tt.handler)
				began := time.Now()
				_, _, err := outcome(ask(t, askhttp.New(client, 3*time.Second+500*time.Millisecond), "http://localhost/"))
				if took := time.Since(began); took != 3500*time.Millisecond {
					t.Errorf("took %v", took)
				}
				if err == nil || !strings.Contains(err.Error(), "no whole answer within 3.5s") {
					t.Errorf("err = %v", err)
				}
			})
		})
		t.Run(tt.name+", caller gives up", func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				client := serve(t, tt.handler)
				ctx, cancel := context.WithTimeoutCause(t.Context(), 2*time.Second, errors.New(secret))
				defer cancel()
				req, _ := http.NewRequestWithContext(ctx, http.MethodGet, "http://localhost/", http.NoBody)
				began := time.Now()
				_, _, err := outcome(askhttp.New(client, 0).Ask(req))
				if took := time.Since(began); took != 2*time.Second {
					t.Errorf("took %v", took)
				}
				if !errors.Is(err, context.DeadlineExceeded) || strings.Contains(err.Error(), secret) {
					t.Errorf("err = %v", err)
				}
			})
		})
	}
}

func TestUnreachable(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	_ = l.Close()
	_, err = ask(t, askhttp.New(nil, 0), "http://"+l.Addr().String()+"/?key="+secret)
	if err == nil || !strings.Contains(err.Error(), "refused") || strings.Contains(err.Error(), secret) {
		t.Errorf("err = %v, want one that says that the connection was refused", err)
	}
}

func TestUntrustedCertificate(t *testing.T) {
	srv := httptest.NewUnstartedServer(reply(200, "application/json", "{}"))
	srv.Config.ErrorLog = quiet
	srv.StartTLS()
	defer srv.Close()
	if _, err := ask(t, askhttp.New(nil, 0), srv.URL); err == nil || !strings.Contains(err.Error(), "certificate") {
		t.Errorf("err = %v, want one about the certificate", err)
	}
	if _, err := ask(t, askhttp.New(srv.Client(), 0), srv.URL); err != nil {
		t.Errorf("with the right roots: %v", err)
	}
}
