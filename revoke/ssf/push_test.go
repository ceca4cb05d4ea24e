package ssf_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/portcullis-auth/portcullis"
	"github.com/portcullis-auth/portcullis/revoke/ssf"
)

// R4: the request around a pushed SET (RFC 8935, section 2.1).
func TestR4Request(t *testing.T) {
	set := good(nil)
	const media = "application/secevent+jwt"
	for _, tt := range []struct {
		name, method, target, media, body string
		want                              int
		code                              string
	}{
		{"good", "POST", "/", media, set, 202, ""},
		{"good, another case", "POST", "/", "Application/SecEvent+JWT", set, 202, ""},
		{"good, parameter", "POST", "/", media + "; charset=utf-8", set, 202, ""},
		{"GET", "GET", "/?set=" + set, "", "", 405, "invalid_request"},
		{"PUT", "PUT", "/", media, set, 405, "invalid_request"},
		{"OPTIONS", "OPTIONS", "/", "", "", 405, "invalid_request"},
		{"no type", "POST", "/", "", set, 400, "invalid_request"},
		{"JWT", "POST", "/", "application/jwt", set, 400, "invalid_request"},
		{"JSON", "POST", "/", "application/json", `{"sets":{"x":"` + set + `"}}`, 400, "invalid_request"},
		{"form", "POST", "/", "application/x-www-form-urlencoded", "logout_token=" + set, 400, "invalid_request"},
		{"quoted", "POST", "/", media, `"` + set + `"`, 400, "invalid_request"},
		{"empty", "POST", "/?" + set, media, "", 400, "invalid_request"},
		{"too large", "POST", "/", media, set + strings.Repeat("A", 64<<10), 400, "invalid_request"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := newSite(t, ssf.Config{})
			req := httptest.NewRequest(tt.method, tt.target, strings.NewReader(tt.body))
			if tt.media != "" {
				req.Header.Set("Content-Type", tt.media)
			}
			if status, code := s.serve(req, set); status != tt.want || code != tt.code {
				t.Errorf("%d %q, want %d %q", status, code, tt.want, tt.code)
			}
			if got := s.ended() != ""; got != (tt.want == 202) {
				t.Errorf("ended: %q", s.ended())
			}
		})
	}
}

// R4: who may push, where that is agreed upon.
func TestR4Authorization(t *testing.T) {
	const secret = "Bearer a-long-secret-of-ours"
	for _, tt := range []struct {
		name   string
		header []string
		want   int
	}{
		{"right", []string{secret}, 202},
		{"none", nil, 401},
		{"empty", []string{""}, 401},
		{"wrong", []string{"Bearer a-long-secret-of-theirs"}, 401},
		{"cut", []string{secret[:len(secret)-1]}, 401},
		{"longer", []string{secret + "x"}, 401},
		{"another case", []string{strings.ToLower(secret)}, 401},
		{"twice", []string{secret, secret}, 401},
		{"the second", []string{"Bearer x", secret}, 401},
	} {
		s := newSite(t, ssf.Config{Authorization: secret})
		set := good(nil)
		req := httptest.NewRequest(http.MethodPost, "/", strings.NewReader(set))
		req.Header.Set("Content-Type", "application/secevent+jwt")
		if tt.header != nil {
			req.Header["Authorization"] = tt.header
		}
		status, code := s.serve(req, set)
		if status != tt.want || (code == "authentication_failed") != (tt.want == 401) || s.ended() != "" != (tt.want == 202) {
			t.Errorf("%s: %d %q, ended %q", tt.name, status, code, s.ended())
		}
		if strings.Contains(s.logged(), "a-long-secret") {
			t.Errorf("%s: the log has the secret", tt.name)
		}
	}
}

// R4: a transmitter that hangs up doesn't stop what it has ordered; a Revoke
// that doesn't return is given up.
func TestR4HangUpAndHang(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		s := newSite(t, ssf.Config{Revoke: func(c context.Context, _ portcullis.Revocation) error {
			cancel()
			return c.Err()
		}})
		req := httptest.NewRequest(http.MethodPost, "/", strings.NewReader(good(nil))).WithContext(ctx)
		req.Header.Set("Content-Type", "application/secevent+jwt")
		if status, _ := s.serve(req, ""); status != 202 {
			t.Errorf("status %d", status)
		}
		s = newSite(t, ssf.Config{Revoke: func(c context.Context, _ portcullis.Revocation) error {
			<-c.Done()
			return c.Err()
		}})
		began := time.Now()
		s.want(good(nil), 503, "")
		if took := time.Since(began); took != 10*time.Second {
			t.Errorf("took %v", took)
		}
	})
}

// L1: a body that doesn't come is not waited for longer than 10 s, whatever the
// server's own limits.
func TestL1SlowBody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSite(t, ssf.Config{})
		set := good(nil)
		conn, err := serve(t, s).Transport.(*http.Transport).DialContext(t.Context(), "", "")
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		began := time.Now()
		go func() {
			_, _ = fmt.Fprintf(conn, "POST / HTTP/1.1\r\nHost: a\r\nContent-Type: application/secevent+jwt\r\nContent-Length: %d\r\nConnection: close\r\n\r\n%s", len(set), set[:20])
		}()
		answer, _ := io.ReadAll(conn)
		if !strings.HasPrefix(string(answer), "HTTP/1.1 400") || time.Since(began) != 10*time.Second || s.ended() != "" {
			t.Errorf("after %v: %.40q", time.Since(began), answer)
		}
	})
}

// J5: of a body that is too large, no more is read than that takes to know.
func TestJ5LargeBody(t *testing.T) {
	s := newSite(t, ssf.Config{})
	body := &endless{}
	req := httptest.NewRequest(http.MethodPost, "/", body)
	req.Header.Set("Content-Type", "application/secevent+jwt")
	if status, _ := s.serve(req, ""); status != 400 || body.n > 100<<10 {
		t.Errorf("status %d after %d bytes", status, body.n)
	}
}

// endless is a megabyte, and how much of it has been read.
type endless struct{ n int }

func (e *endless) Read(p []byte) (int, error) {
	if e.n > 1<<20 {
		return 0, io.EOF
	}
	e.n += len(p)
	return len(p), nil
}
