package portcullis_test

import (
	"context"
	"net/http"
	"strings"
	"testing"

	"github.com/portcullis-auth/portcullis"
)

// Browsers can see why, by the socket's Close, and the handler hears of nothing.
func TestDenyByClose(t *testing.T) {
	for _, tt := range []struct {
		name, handshake string
		codes           func(error) (int, string)
		want            string // the selected subprotocol
		code            int
		reason          string
	}{
		{"no token", handshake("/"), nil, "", 3003, "session_revoked"},
		{"bad token", handshake("/?token=bad"), nil, "", 3003, "session_revoked"},
		{"expired", handshake("/?token=old"), nil, "", 3000, "token_expired"},
		{"expired, other codes", handshake("/?token=old"), portcullis.CloseStatus4xxx, "", 4401, "token_expired"},
		{"bad, policy codes", handshake("/?token=bad"), portcullis.CloseStatusPolicy, "", 1008, "session_revoked"},
		{"outage", handshake("/?token=down"), nil, "", 1013, "unavailable"},
		{"bad as subprotocol", handshake("/", "Sec-WebSocket-Protocol: bearer, bad"), nil, "bearer", 3003, "session_revoked"},
		{"with a subprotocol", handshake("/", "Sec-WebSocket-Protocol: chat, mail"), nil, "chat", 3003, "session_revoked"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			g := newGuard()
			g.Sources = append(g.Sources, portcullis.Subprotocol("bearer"))
			g.Verifier = portcullis.VerifierFunc(func(_ context.Context, token string) (*portcullis.Identity, error) {
				switch token {
				case "old":
					return nil, portcullis.ErrExpired
				case "down":
					return nil, portcullis.ErrUnavailable
				}
				return nil, portcullis.ErrInvalid
			})
			g.Deny = portcullis.DenyByClose(tt.codes, nil)
			s := start(t, g.Handler(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { t.Error("the handler was called") })), false)
			c := connect(t, s, tt.handshake)
			resp := c.answer()
			if resp.StatusCode != 101 || resp.Header.Get("Sec-WebSocket-Accept") == "" || resp.Header.Get("Sec-WebSocket-Protocol") != tt.want {
				t.Fatalf("got %d %v", resp.StatusCode, resp.Header)
			}
			c.wantClose(tt.code, tt.reason)
		})
	}
}

// W3, W6: what isn't a handshake, and a page of another origin, get the status;
// a token is never selected as subprotocol.
func TestDenyByCloseGivesTheStatus(t *testing.T) {
	g := newGuard()
	g.Deny = portcullis.DenyByClose(nil, nil)
	s := start(t, g.Handler(http.NotFoundHandler()), false)
	for _, tt := range []struct {
		name, request string
		status        int
	}{
		{"no upgrade", "GET / HTTP/1.1\r\nHost: app.example.com\r\n\r\n", 401},
		{"another protocol", "GET / HTTP/1.1\r\nHost: app.example.com\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n", 401},
		{"another version", strings.Replace(handshake("/"), "Version: 13", "Version: 8", 1), 401},
		{"another origin", handshake("/?token=good", "Origin: https://evil.example.com"), 403},
	} {
		if got := connect(t, s, tt.request).answer(); got.StatusCode != tt.status {
			t.Errorf("%s: %d, want %d", tt.name, got.StatusCode, tt.status)
		}
	}
	got := connect(t, s, handshake("/", "Sec-WebSocket-Protocol: base64url.bearer.authorization.Zm9v")).answer()
	if p := got.Header.Get("Sec-WebSocket-Protocol"); strings.Contains(p, "Zm9v") {
		t.Errorf("the token was sent back as subprotocol %q", p)
	}
}
