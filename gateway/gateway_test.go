package gateway_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/coder/websocket"
	"github.com/google/go-cmp/cmp"

	"github.com/portcullis-auth/portcullis/dev/issuer"
)

// A backend notes what it is asked, and answers with the user that it was told.
type backend struct {
	calls atomic.Int32
	mu    sync.Mutex
	last  *http.Request // without body
	ended chan websocket.CloseError
}

func newBackend() *backend { return &backend{ended: make(chan websocket.CloseError, 100)} }

func (b *backend) header() http.Header {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.last.Header
}

func (b *backend) target() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.last.Host + b.last.RequestURI
}

func (b *backend) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	b.calls.Add(1)
	b.mu.Lock()
	b.last = r
	b.mu.Unlock()
	user := r.Header.Get("X-Forwarded-Preferred-Username")
	if r.Header.Get("Upgrade") == "" {
		fmt.Fprint(w, user)
		return
	}
	c, err := websocket.Accept(w, r, &websocket.AcceptOptions{InsecureSkipVerify: true})
	if err != nil {
		return
	}
	defer c.CloseNow()
	for {
		_, p, err := c.Read(context.Background())
		if err != nil {
			var ce websocket.CloseError
			if status := websocket.CloseStatus(err); status != -1 {
				ce = websocket.CloseError{Code: status, Reason: reason(err)}
			}
			b.ended <- ce
			return
		}
		if err := c.Write(context.Background(), websocket.MessageText, []byte(user+": "+string(p))); err != nil {
			return
		}
	}
}

func reason(err error) string {
	_, rest, _ := strings.Cut(err.Error(), "reason = ")
	return strings.Trim(rest, `"`)
}

const chatAndAPI = `
routes:
  - {path: /wsapi/, backend: BACKEND, allow: '"chat" in identity.scopes', origins: [https://app.example.com]}
  - {path: /, backend: BACKEND}
`

// S1, S3, S4: an HTTP call with its token in a cookie is checked with the token
// system, over HTTP, and the backend is told who the user is; 401 otherwise.
func TestS1S3S4HTTP(t *testing.T) {
	for _, kind := range []issuer.Kind{issuer.Opaque, issuer.JWT} {
		b := newBackend()
		h := open(t, b, chatAndAPI)
		token := h.token("alice", issuer.TokenOptions{Kind: kind})
		status, _, body := h.get("/api/me?x=1", "Cookie", "theme=dark; session="+token.Access)
		if status != 200 || body != "alice" {
			t.Fatalf("kind %v: %d %q, want 200 alice", kind, status, body)
		}
		got := b.header()
		if got.Get("X-Forwarded-User") != "u-alice" || got.Get("X-Forwarded-Email") != "alice@example.com" || got.Get("X-Forwarded-Groups") != "staff,chat,admin" {
			t.Errorf("kind %v: the backend was told %v", kind, got)
		}
		var info struct{ Sub, Name, Sid string }
		if err := json.Unmarshal([]byte(got.Get("X-Portcullis-Userinfo")), &info); err != nil || info.Sub != "u-alice" || info.Sid != token.SID {
			t.Errorf("kind %v: userinfo %q, err %v", kind, got.Get("X-Portcullis-Userinfo"), err)
		}
		if c := got.Get("Cookie"); c != "theme=dark" {
			t.Errorf("kind %v: the backend got the cookies %q", kind, c)
		}
		calls := b.calls.Load()
		for name, headers := range map[string][]string{
			"none": nil, "bad": {"Cookie", "session=bad"}, "tampered": {"Cookie", "session=" + token.Access[:len(token.Access)-4] + "AAAA"},
		} {
			if status, header, _ := h.get("/api/me", headers...); status != 401 || header.Get("WWW-Authenticate") == "" {
				t.Errorf("kind %v: token %s: %d, want 401", kind, name, status)
			}
		}
		h.issuer.RevokeSession(token.SID)
		if status, _, _ := h.get("/api/me", "Cookie", "session="+token.Access); status != 401 {
			t.Errorf("kind %v: after the token system forgot it: %d, want 401", kind, status)
		}
		if b.calls.Load() != calls {
			t.Errorf("kind %v: the backend heard of refused calls", kind)
		}
		_ = h.stop()
	}
}

// S2, S5, S6: a handshake's token comes in any of four ways and is checked
// before the upgrade; if it isn't valid, or not for this, the backend never
// hears of it.
func TestS2S5S6Handshake(t *testing.T) {
	b := newBackend()
	h := open(t, b, chatAndAPI)
	alice, carol := h.token("alice", issuer.TokenOptions{}).Access, h.token("carol", issuer.TokenOptions{}).Access
	own := "Origin: http://app.example.com"
	for _, tt := range []struct {
		name, target string
		headers      []string
		status       int
		protocol     string
	}{
		{"URL parameter", "/wsapi/?token=" + alice, nil, 101, ""},
		{"cookie", "/wsapi/", []string{"Cookie: session=" + alice, own}, 101, ""},
		{"cookie, listed Origin", "/wsapi/", []string{"Cookie: session=" + alice, "Origin: https://app.example.com"}, 101, ""},
		{"bearer", "/wsapi/", []string{"Authorization: Bearer " + alice}, 101, ""},
		{"subprotocol", "/wsapi/", []string{"Sec-WebSocket-Protocol: bearer, " + alice}, 101, "bearer"},
		{"no token", "/wsapi/", nil, 401, ""},
		{"bad token", "/wsapi/?token=bad", nil, 401, ""},
		{"rule says no", "/wsapi/?token=" + carol, nil, 403, ""},
		{"foreign Origin", "/wsapi/?token=" + alice, []string{"Origin: https://evil.example.com"}, 403, ""},
		{"cookie without Origin", "/wsapi/", []string{"Cookie: session=" + alice}, 403, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			before := b.calls.Load()
			c := h.send(handshake(tt.target, tt.headers...))
			resp := c.answer()
			if resp.StatusCode != tt.status || resp.Header.Get("Sec-WebSocket-Protocol") != tt.protocol {
				t.Fatalf("status %d, subprotocol %q; want %d %q", resp.StatusCode, resp.Header.Get("Sec-WebSocket-Protocol"), tt.status, tt.protocol)
			}
			if asked := b.calls.Load() > before; asked != (tt.status == 101) {
				t.Errorf("the backend was asked: %v", asked)
			}
			if tt.status != 101 {
				return
			}
			c.text("hello")
			c.want("alice: hello")
			if got := b.target() + fmt.Sprint(b.header()); strings.Contains(got, alice) {
				t.Errorf("the backend got the token: %s", got)
			}
			_ = c.Close()
		})
	}
	if strings.Contains(h.log.String(), alice) || strings.Contains(h.log.String(), carol) {
		t.Errorf("the log holds a token:\n%s", h.log)
	}
}

// S7: the backend is told the user once, and each message is handled with it.
func TestS7MessagesKnowTheUser(t *testing.T) {
	h := open(t, newBackend(), chatAndAPI)
	a := h.socket("/wsapi/?token=" + h.token("alice", issuer.TokenOptions{}).Access)
	b := h.socket("/wsapi/?token=" + h.token("bob", issuer.TokenOptions{}).Access)
	for i := range 3 {
		a.text(fmt.Sprint(i))
		b.text(fmt.Sprint(i))
		a.want(fmt.Sprint("alice: ", i))
		b.want(fmt.Sprint("bob: ", i))
	}
}

// S8: the token system logs the user out (OpenID Connect Back-Channel Logout),
// or the token's time runs out: sockets end on both sides, with the code that
// says why, and HTTP calls are refused.
func TestS8SocketsEnd(t *testing.T) {
	b := newBackend()
	h := open(t, b, chatAndAPI)
	short := h.token("alice", issuer.TokenOptions{Lifetime: 4 * time.Second})
	first := h.token("alice", issuer.TokenOptions{})
	second := h.token("alice", issuer.TokenOptions{})
	other := h.token("bob", issuer.TokenOptions{})
	sockets := make(map[*issuer.Token]*client)
	for _, token := range []*issuer.Token{short, first, second, other} {
		sockets[token] = h.socket("/wsapi/?token=" + token.Access)
		sockets[token].text("hello")
		if _, err := sockets[token].r.Peek(1); err != nil {
			t.Fatal(err)
		}
	}
	wantBackend := func(code websocket.StatusCode, reason string) {
		t.Helper()
		select {
		case got := <-b.ended:
			if diff := cmp.Diff(websocket.CloseError{Code: code, Reason: reason}, got); diff != "" {
				t.Error("the backend's side:", diff)
			}
		case <-time.After(patience):
			t.Fatal("the backend's side doesn't end")
		}
	}

	if err := h.issuer.LogoutSession(t.Context(), first.SID); err != nil {
		t.Fatalf("logout: %v", err)
	}
	sockets[first].wantClose(3003, "session_revoked")
	wantBackend(3003, "session_revoked")
	if status, _, _ := h.get("/api/me", "Authorization", "Bearer "+first.Access); status != 401 {
		t.Errorf("after the logout: %d, want 401", status)
	}

	sockets[short].wantClose(3000, "token_expired")
	wantBackend(3000, "token_expired")
	if now := time.Now(); now.Before(short.Expires.Truncate(time.Second)) { // "exp" is in whole seconds
		t.Errorf("ended %v before its time", short.Expires.Sub(now))
	}
	if status, _, _ := h.get("/api/me", "Authorization", "Bearer "+short.Access); status != 401 {
		t.Errorf("after its expiry: %d, want 401", status)
	}

	if err := h.issuer.LogoutUser(t.Context(), "alice"); err != nil {
		t.Fatalf("logout: %v", err)
	}
	sockets[second].wantClose(3003, "session_revoked")
	wantBackend(3003, "session_revoked")

	sockets[other].want("bob: hello") // exactly those that match
	sockets[other].text("still here")
	sockets[other].want("bob: still here")

	stopped := make(chan error, 1)
	go func() { stopped <- h.stop() }()
	sockets[other].wantClose(1012, "shutdown")
	wantBackend(1012, "shutdown")
	if err := <-stopped; err != nil {
		t.Errorf("Serve: %v", err)
	}
	for range h.Guard().Sessions() {
		t.Error("a session is left")
	}
}

// S8: a long answer is cut so that the client can tell.
func TestS8LongAnswerIsAborted(t *testing.T) {
	h := open(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream")
		fmt.Fprint(w, "data: first\n\n")
		w.(http.Flusher).Flush()
		<-r.Context().Done()
	}), chatAndAPI)
	token := h.token("alice", issuer.TokenOptions{})
	c := h.send("GET /events HTTP/1.1\r\nHost: app.example.com\r\nAuthorization: Bearer " + token.Access + "\r\n\r\n")
	resp := c.answer()
	first := make([]byte, 13)
	if _, err := io.ReadFull(resp.Body, first); err != nil || string(first) != "data: first\n\n" {
		t.Fatalf("%q, err %v", first, err)
	}
	if err := h.issuer.LogoutSession(t.Context(), token.SID); err != nil {
		t.Fatal(err)
	}
	if rest, err := io.ReadAll(resp.Body); err == nil {
		t.Errorf("the stream ends as if it were whole, with %q", rest)
	}
}
