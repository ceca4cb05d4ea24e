package gateway_test

import (
	"net/http"
	"strings"
	"testing"
)

// Preflights carry no token: with cors: pass a genuine one reaches the backend
// without. Nothing else does, nor a token that comes along.
func TestCORSPass(t *testing.T) {
	b := newBackend()
	h := open(t, b, `
routes:
  - {path: /open/, backend: BACKEND, cors: pass, origins: ['https://app.example.com'], allow: 'false'}
  - {path: /, backend: BACKEND, origins: ['https://app.example.com']}
`)
	const genuine = "OPTIONS /open/ HTTP/1.1\r\nHost: api.example.com\r\nOrigin: https://app.example.com\r\nAccess-Control-Request-Method: PUT\r\nCookie: session=abc; a=b\r\nConnection: close\r\n\r\n"
	for _, tt := range []struct {
		name, old, new string
		status         int
		readable       bool
	}{
		{"genuine", "", "", 200, false},
		{"own origin", "https://app", "http://api", 200, false},
		{"elsewhere", "/open/", "/", 401, false},
		{"not a preflight", "Access-Control-Request-Method: PUT\r\n", "", 401, true},
		{"two methods", "PUT\r\n", "PUT\r\nAccess-Control-Request-Method: GET\r\n", 401, true},
		{"another origin", "https://app", "https://evil", 401, false},
		{"origin with a suffix", "https://app.example.com", "https://app.example.com.evil.example", 401, false},
		{"null", "https://app.example.com", "null", 401, false},
		{"two origins", "Origin: https://app.example.com\r\n", "Origin: https://app.example.com\r\nOrigin: https://app.example.com\r\n", 401, false},
		{"no origin", "Origin: https://app.example.com\r\n", "", 401, false},
		{"a body", "Connection: close", "Connection: close\r\nContent-Length: 0\r\nTransfer-Encoding: chunked\r\n\r\n0", 401, true},
		{"GET", "OPTIONS", "GET", 401, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			before := b.calls.Load()
			c := h.send(strings.Replace(genuine, tt.old, tt.new, 1))
			resp := c.answer()
			_ = c.Close()
			if resp.StatusCode != tt.status {
				t.Fatalf("status %d, want %d", resp.StatusCode, tt.status)
			}
			if asked := b.calls.Load() > before; asked != (tt.status == 200) {
				t.Errorf("the backend was asked: %v", asked)
			}
			if got := resp.Header.Get("Access-Control-Allow-Origin") != ""; got != tt.readable {
				t.Errorf("the page may read it: %v, want %v", got, tt.readable)
			}
			if tt.status == 200 {
				if got := b.header()["Cookie"]; len(got) != 1 || got[0] != "a=b" {
					t.Errorf("the backend got Cookie %q", got)
				}
				if b.header().Get("X-Forwarded-User") != "" || b.header().Get("X-Portcullis-Userinfo") != "" {
					t.Error("the backend heard of a user")
				}
			}
		})
	}
	if resp := h.send(strings.Replace(genuine, "OPTIONS", http.MethodPut, 1)).answer(); resp.Header.Get("Access-Control-Allow-Credentials") != "true" || resp.Header.Get("Vary") != "Origin" {
		t.Errorf("a refusal that a page may read: %v", resp.Header)
	}
}
