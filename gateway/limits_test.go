package gateway_test

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/portcullis-auth/portcullis/dev/issuer"
)

// L2: what is over a limit gets 429 with Retry-After, and the backend doesn't
// hear of it. A slot is free again however its socket ended.
func TestL2Sockets(t *testing.T) {
	for name, limits := range map[string]string{
		"of a user":           "sockets_per_user: 2",
		"of an address":       "sockets_per_address: 2",
		"of the route":        "sockets: 2",
		"of the whole node":   "",
		"with a public route": "sockets_per_address: 2",
	} {
		t.Run(name, func(t *testing.T) {
			b := newBackend()
			head, public := "", ""
			if limits == "" {
				head, limits = "\nlimits: {sockets: 2}", "sockets_per_user: 9"
			}
			if strings.Contains(name, "public") {
				public = ", public: true"
			}
			h := open(t, b, head+"\nroutes:\n  - {path: /, backend: BACKEND, limits: {"+limits+"}"+public+"}\n")
			bearer := "Authorization: Bearer " + h.token("alice", issuer.TokenOptions{}).Access
			one, two := h.socket("/wsapi/", bearer), h.socket("/wsapi/", bearer)
			before := b.calls.Load()
			for range 3 { // a refusal takes nothing
				c := h.send(handshake("/wsapi/", bearer))
				resp := c.answer()
				if resp.StatusCode != 429 || resp.Header.Get("Retry-After") == "" {
					t.Errorf("the third: %d, Retry-After %q; want 429", resp.StatusCode, resp.Header.Get("Retry-After"))
				}
				_ = c.Close()
			}
			if b.calls.Load() != before {
				t.Error("the backend heard of the third")
			}
			_ = one.Close()
			_ = two.Close()
			eventually(t, "the slots are free", func() bool {
				c := h.send(handshake("/wsapi/", bearer))
				defer c.Close()
				return c.answer().StatusCode == http.StatusSwitchingProtocols
			})
			eventually(t, "nobody is left", func() bool {
				for range h.Guard().Sessions() {
					return false
				}
				return true
			})
		})
	}
}

// L2: a handshake that comes to nothing frees its slot.
func TestL2SlotsOfFailedHandshakes(t *testing.T) {
	h := open(t, http.NotFoundHandler(), "\nroutes:\n  - {path: /, backend: BACKEND, limits: {sockets: 1}}\n")
	bearer := "Authorization: Bearer " + h.token("alice", issuer.TokenOptions{}).Access
	for range 5 {
		if status, _ := h.raw(handshake("/", bearer)); status != http.StatusNotFound {
			t.Fatalf("status %d, want the backend's 404", status)
		}
	}
}

// L2: rates of requests and handshakes, of the route, a user and an address. One
// user's, or address's, flood doesn't take from another's.
func TestL2Rates(t *testing.T) {
	const loud, quiet = "203.0.113.1", "203.0.113.2"
	for _, tt := range []struct {
		limit      string
		socket     bool
		otherUser  int // what another user from the same address gets after a flood
		otherPlace int // what the same user gets from another address
	}{
		{"requests_per_user: 1", false, 200, 429},
		{"requests_per_address: 1", false, 429, 200},
		{"requests_per_second: 1", false, 429, 429},
		{"handshakes_per_user: 1", true, 101, 429},
		{"handshakes_per_address: 1", true, 429, 101},
		{"handshakes_per_second: 1", true, 429, 429},
	} {
		t.Run(tt.limit, func(t *testing.T) {
			b := newBackend()
			h := open(t, b, "\ntrusted_proxies: 127.0.0.1\nroutes:\n  - {path: /, backend: BACKEND, limits: {"+tt.limit+"}}\n")
			ask := func(user, address string) (status int) {
				token := "Authorization: Bearer " + h.token(user, issuer.TokenOptions{}).Access
				request := "GET /x HTTP/1.1\r\nHost: a\r\nConnection: close\r\nX-Forwarded-For: " + address + "\r\n" + token + "\r\n\r\n"
				if tt.socket {
					request = handshake("/x", token, "X-Forwarded-For: "+address)
				}
				status, _ = h.raw(request)
				return status
			}
			flood := 0
			for flood < 50 && ask("alice", loud) != 429 {
				flood++
			}
			if flood < 2 || flood == 50 {
				t.Errorf("%d passed before the first 429", flood)
			}
			if got := ask("bob", loud); got != tt.otherUser {
				t.Errorf("another user: %d, want %d", got, tt.otherUser)
			}
			if got := ask("alice", quiet); got != tt.otherPlace {
				t.Errorf("from another address: %d, want %d", got, tt.otherPlace)
			}
		})
	}
}

// L2: a script sees why it is refused, where the route has it so.
func TestL2AcceptThenClose(t *testing.T) {
	h := open(t, newBackend(), `
routes:
  - {path: /, backend: BACKEND, accept_then_close: true, limits: {sockets_per_user: 1}}
  - {path: /few/, backend: BACKEND, accept_then_close: true, limits: {handshakes_per_second: 1}}
`)
	bearer := "Authorization: Bearer " + h.token("alice", issuer.TokenOptions{}).Access
	h.socket("/", bearer)
	h.socket("/", bearer).wantClose(1008, "limit")
	if log := h.log.String(); strings.Count(log, `"socket ended"`) != 1 || !strings.Contains(log, `"why":"limit exceeded: sockets_per_user"`) {
		t.Errorf("the log tells something else:\n%s", log)
	}
	// Whose page asks isn't known yet where the token hasn't been looked at.
	eventually(t, "429", func() bool {
		return h.send(handshake("/few/", bearer, "Origin: https://evil.example.com")).answer().StatusCode == 429
	})
}

// A body that is too large is 413, stated or not; the gateway's own endpoints
// are limited as a whole.
func TestL2BodySize(t *testing.T) {
	b := newBackend()
	h := open(t, b, "\nlimits: {requests_per_second: 20}\nroutes:\n  - {path: /, backend: BACKEND, public: true, limits: {body_size: 10}}\n")
	for body, want := range map[string]int{
		"Content-Length: 10\r\n\r\n0123456789":                                         200,
		"Content-Length: 11\r\n\r\n0123456789x":                                        413,
		"Transfer-Encoding: chunked\r\n\r\na\r\n0123456789\r\n0\r\n\r\n":               200,
		"Transfer-Encoding: chunked\r\n\r\na\r\n0123456789\r\n1\r\nx\r\n0\r\n\r\n":     413,
		"Content-Length: 99999999999\r\n\r\n0123456789":                                413,
		"Transfer-Encoding: chunked\r\n\r\n7fffffffffffffff\r\n012345678901234567890a": 413,
	} {
		if status, _ := h.raw("POST / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n" + body); status != want {
			t.Errorf("%q: %d, want %d", body, status, want)
		}
	}
	// W4: what comes behind a broken body isn't a request.
	c := h.send("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n14\r\n01234567890123456789\r\nzz\r\nGET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n")
	resp := c.answer()
	_, _ = io.Copy(io.Discard, resp.Body)
	if rest, _ := io.ReadAll(c.r); resp.StatusCode != 413 || len(rest) > 0 {
		t.Errorf("%s, and then %q", resp.Status, rest)
	}
	got := 0
	for range 50 {
		if got, _ = h.raw("GET /.portcullis/session HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"); got == 429 {
			break
		}
	}
	if got != 429 {
		t.Errorf("fifty calls of our own endpoints: %d at last, want 429", got)
	}
}

// A1: one record each for what is refused, opened and ended: who, which route,
// why, how long and how much; sampled requests too. No token is in it.
func TestA1Records(t *testing.T) {
	h := open(t, newBackend(), `
access_log: 2
routes:
  - {path: /, backend: BACKEND, allow: '"chat" in identity.scopes'}
`)
	token := h.token("alice", issuer.TokenOptions{}).Access
	bearer := "Authorization: Bearer " + token
	c := h.socket("/wsapi/%0A%1B[31m?token="+token, bearer)
	c.text("hello")
	c.want("alice: hello")
	_ = c.Close()
	eventually(t, "the end is logged", func() bool { return strings.Contains(h.log.String(), `"msg":"socket ended"`) })
	for range 4 {
		_, _, _ = h.get("/api", "Authorization", "Bearer "+token)
	}
	_, _ = h.raw(handshake("/", "Authorization: Bearer "+token+"x"))
	_, _ = h.raw(handshake("/", "Authorization: Bearer "+h.token("carol", issuer.TokenOptions{}).Access))

	log := h.log.String()
	if strings.Contains(log, token) {
		t.Error("the token is in the log")
	}
	if strings.Contains(log, "\x1b") || !strings.Contains(log, `/wsapi/\n\u001b[31m`) {
		t.Error("the path's control characters aren't escaped")
	}
	for what, want := range map[string]struct {
		n     int
		holds []string
	}{
		"socket opened": {1, []string{`"route":"/"`, `"sub":"u-alice"`, `"session":"`, `"remote":"127.0.0.1:`}},
		"socket ended":  {1, []string{`"route":"/"`, `"sub":"u-alice"`, `"why":"closed"`, `"after":`, `"from_client":11`, `"from_backend":14`, `"messages_from_client":1`, `"messages_from_backend":1`}},
		"request":       {2, []string{`"route":"/"`, `"sub":"u-alice"`, `"status":200`, `"bytes":`, `"after":`, `"aborted":false`}},
		"refused":       {2, []string{`"route":"/"`, `"why":`, `"path":"/"`}},
	} {
		var found []string
		for line := range strings.Lines(log) {
			if strings.Contains(line, fmt.Sprintf("%q:%q", "msg", what)) {
				found = append(found, line)
			}
		}
		if len(found) != want.n {
			t.Errorf("%d records %q, want %d", len(found), what, want.n)
		}
		for _, line := range found {
			for _, part := range want.holds {
				if !strings.Contains(line, part) {
					t.Errorf("%s: no %s in %s", what, part, line)
				}
			}
		}
	}
}
