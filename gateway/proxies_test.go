package gateway_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/portcullis-auth/portcullis/dev/issuer"
)

// D2: what a trusted proxy states about the client is what rules, logs, origins
// and the backend see. Of everybody else it is nothing.
func TestD2TrustedProxies(t *testing.T) {
	const routes = `
routes:
  - {path: /public/, backend: BACKEND, public: true}
  - {path: /, backend: BACKEND, allow: 'request.host == "app.example.com"'}
`
	b := newBackend()
	trusting := open(t, b, "\ntrusted_proxies: [127.0.0.1, 10.0.0.0/8, 'fd00::/8']"+routes)
	deaf := open(t, b, "\ntrusted_proxies: 10.0.0.0/8"+routes)
	for _, tt := range []struct {
		name, headers     string
		status            int
		client, proto, to string // what the backend is told
	}{
		{"nothing stated", "", 200, "127.0.0.1", "http", "gw.example.com"},
		{"all stated", "X-Forwarded-For: 203.0.113.9\nX-Forwarded-Proto: https\nX-Forwarded-Host: app.example.com", 200, "203.0.113.9", "https", "app.example.com"},
		{"a chain", "X-Forwarded-For: 198.51.100.1, 203.0.113.9, 10.1.2.3", 200, "203.0.113.9", "http", "gw.example.com"},
		{"a chain in lines", "X-Forwarded-For: 198.51.100.1\nX-Forwarded-For: 203.0.113.9,fd00::7", 200, "203.0.113.9", "http", "gw.example.com"},
		{"proxies alone", "X-Forwarded-For: 10.1.2.3, 10.1.2.4", 200, "10.1.2.3", "http", "gw.example.com"},
		{"with a port", "X-Forwarded-For: 203.0.113.9:4711", 200, "203.0.113.9", "http", "gw.example.com"},
		{"IPv6", "X-Forwarded-For: 2001:db8::1", 200, "2001:db8::1", "http", "gw.example.com"},
		{"IPv6 with a port", "X-Forwarded-For: [2001:db8::1]:80", 200, "2001:db8::1", "http", "gw.example.com"},
		{"IPv4 in IPv6", "X-Forwarded-For: ::ffff:203.0.113.9", 200, "203.0.113.9", "http", "gw.example.com"},
		{"a socket's scheme", "X-Forwarded-Proto: WSS", 200, "127.0.0.1", "https", "gw.example.com"},
		{"garbage behind the chain", "X-Forwarded-For: unknown, 203.0.113.9", 200, "203.0.113.9", "http", "gw.example.com"},
		{"garbage", "X-Forwarded-For: 203.0.113.9, unknown", 400, "", "", ""},
		{"an empty chain", "X-Forwarded-For: ", 400, "", "", ""},
		{"a zone", "X-Forwarded-For: fe80::1%eth0", 400, "", "", ""},
		{"two schemes", "X-Forwarded-Proto: https, http", 400, "", "", ""},
		{"two lines of schemes", "X-Forwarded-Proto: https\nX-Forwarded-Proto: https", 400, "", "", ""},
		{"another scheme", "X-Forwarded-Proto: gopher", 400, "", "", ""},
		{"two hosts", "X-Forwarded-Host: app.example.com, evil.example.com", 400, "", "", ""},
		{"no host at all", "X-Forwarded-Host: app.example.com@evil", 400, "", "", ""},
		{"Forwarded isn't read", "Forwarded: for=203.0.113.9;proto=https;host=app.example.com", 200, "127.0.0.1", "http", "gw.example.com"},
		{"an alias isn't read", "X_Forwarded_For: 203.0.113.9\nX_Forwarded_Proto: https", 200, "127.0.0.1", "http", "gw.example.com"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			request := "GET /public/ HTTP/1.1\r\nHost: gw.example.com\r\nConnection: close\r\n" + lines(tt.headers) + "\r\n"
			if status, _ := trusting.raw(request); status != tt.status {
				t.Fatalf("status %d, want %d", status, tt.status)
			}
			if tt.status == 200 {
				told(t, b, tt.client, tt.proto, tt.to)
			}
			if status, _ := deaf.raw(request); status != 200 {
				t.Errorf("from anybody else: status %d, want 200", status)
			}
			told(t, b, "127.0.0.1", "http", "gw.example.com")
		})
	}

	t.Run("the rule", func(t *testing.T) {
		bearer := "Authorization: Bearer " + trusting.token("alice", issuer.TokenOptions{}).Access + "\r\n"
		request := "GET /x HTTP/1.1\r\nHost: gw.example.com\r\nConnection: close\r\nX-Forwarded-Host: app.example.com\r\n" + bearer + "\r\n"
		if status, _ := trusting.raw(request); status != 200 {
			t.Errorf("status %d, want 200", status)
		}
		request = strings.Replace(request, bearer, "Authorization: Bearer "+deaf.token("alice", issuer.TokenOptions{}).Access+"\r\n", 1)
		if status, _ := deaf.raw(request); status != 403 {
			t.Errorf("from anybody else: status %d, want 403", status)
		}
	})

	// W3: the own origin is the one that the browser sees.
	t.Run("the own origin", func(t *testing.T) {
		for headers, want := range map[string]int{
			"Origin: https://app.example.com\nX-Forwarded-Host: app.example.com\nX-Forwarded-Proto: https": 101,
			"Origin: http://app.example.com\nX-Forwarded-Host: app.example.com\nX-Forwarded-Proto: https":  403,
			"Origin: https://app.example.com\nX-Forwarded-Proto: https":                                    403,
		} {
			c := trusting.send(strings.Replace(handshake("/public/", strings.Split(headers, "\n")...), "Host: app.example.com", "Host: gw.example.com", 1))
			if got := c.answer().StatusCode; got != want {
				t.Errorf("%q: status %d, want %d", headers, got, want)
			}
			_ = c.Close()
		}
	})

	t.Run("the log", func(t *testing.T) {
		_, _ = trusting.raw("GET /x HTTP/1.1\r\nHost: app.example.com\r\nConnection: close\r\nX-Forwarded-For: 203.0.113.77\r\n\r\n")
		if !strings.Contains(trusting.log.String(), "203.0.113.77") {
			t.Error("the client's address isn't in the log")
		}
	})
}

// lines makes lines of a header of what stands on lines.
func lines(headers string) string {
	if headers == "" {
		return ""
	}
	return strings.ReplaceAll(headers, "\n", "\r\n") + "\r\n"
}

func told(t *testing.T, b *backend, client, proto, host string) {
	t.Helper()
	h := b.header()
	for name, want := range map[string]string{"X-Forwarded-For": client, "X-Forwarded-Proto": proto, "X-Forwarded-Host": host} {
		if got := h[http.CanonicalHeaderKey(name)]; len(got) != 1 || got[0] != want {
			t.Errorf("the backend is told %s: %q, want %q", name, got, want)
		}
	}
}
