package portcullis_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/portcullis-auth/portcullis"
)

// get makes a request with the headers to h.
func get(t testing.TB, h http.Handler, target string, headers ...string) *http.Response {
	t.Helper()
	r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, target, nil)
	for i := 0; i < len(headers); i += 2 {
		r.Header.Add(headers[i], headers[i+1])
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w.Result()
}

// S1: the token comes in the Cookie header; it is found and checked; 401 if it
// isn't valid; the call goes on if it is. S4: the user's information is
// attached to the request. Promise 5: the token isn't.
func TestS1S4CookieOverHTTP(t *testing.T) {
	g := newGuard()
	var calls int
	h := g.HandlerWith(&portcullis.Policy{Sources: []portcullis.TokenSource{portcullis.Cookie("session")}},
		http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			calls++
			id, ok := portcullis.FromContext(r.Context())
			var name string
			if !ok || !id.Claim("name", &name) || name != "Alice" || id.Subject != "u-alice" {
				t.Errorf("identity %+v, %v; want Alice", id, ok)
			}
			if got := r.Header.Get("Cookie"); got != "theme=dark" {
				t.Errorf("the handler sees the cookies %q, want only theme=dark", got)
			}
			w.WriteHeader(http.StatusNoContent)
		}))
	for _, tt := range []struct {
		name, cookie     string
		status           int
		challenge, reply string
	}{
		{"good", "session=good; theme=dark", http.StatusNoContent, "", ""},
		{"bad", "session=bad; theme=dark", http.StatusUnauthorized, `Bearer error="invalid_token", error_description="token not valid"`, "token not valid\n"},
		{"empty", "session=", http.StatusUnauthorized, `Bearer error="invalid_token", error_description="token not valid"`, "token not valid\n"},
		{"two different", "session=good; session=bad", http.StatusUnauthorized, `Bearer error="invalid_token", error_description="token not valid"`, "token not valid\n"},
		{"another cookie", "other=good", http.StatusUnauthorized, "Bearer", "no token\n"},
		{"none", "", http.StatusUnauthorized, "Bearer", "no token\n"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			before := calls
			resp := get(t, h, "/api/me", "Cookie", tt.cookie)
			body, _ := io.ReadAll(resp.Body)
			if resp.StatusCode != tt.status || resp.Header.Get("WWW-Authenticate") != tt.challenge || string(body) != tt.reply {
				t.Errorf("got %d %q %q, want %d %q %q", resp.StatusCode, resp.Header.Get("WWW-Authenticate"), body, tt.status, tt.challenge, tt.reply)
			}
			if passed := calls > before; passed != (tt.status < 300) {
				t.Errorf("the handler was called: %v", passed)
			}
		})
	}
	if !g.Empty() {
		t.Error("sessions are left")
	}
}

// S2: the token of a handshake comes as URL parameter, cookie, bearer header or
// subprotocol, and is checked before the upgrade. S5: if it isn't valid the
// handshake fails with 401 and the handler never hears of it. S6: whatever
// package makes the upgrade.
func TestS2S5S6Handshake(t *testing.T) {
	for _, p := range peers {
		g := newGuard()
		g.Sources = []portcullis.TokenSource{
			portcullis.Query("token"), portcullis.Cookie("session"), portcullis.Bearer, portcullis.Subprotocol("bearer"),
		}
		var calls atomic.Int32
		var seen atomic.Value
		h, running := p.handler(t, behaviours[0], how{})
		s := start(t, g.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			calls.Add(1)
			seen.Store(r.RequestURI + " " + r.URL.String() + strings.Join(r.Header["Cookie"], "") +
				strings.Join(r.Header["Authorization"], "") + strings.Join(r.Header["Sec-Websocket-Protocol"], ""))
			h.ServeHTTP(w, r)
		})), false)
		own := "Origin: http://app.example.com"
		for _, tt := range []struct {
			name, target string
			headers      []string
			status       int
			protocol     string
		}{
			{"URL parameter", "/wsapi/?token=good&x=1", nil, 101, ""},
			{"URL parameter, bad", "/wsapi/?token=bad&x=1", nil, 401, ""},
			{"cookie", "/wsapi/?x=1", []string{"Cookie: session=good", own}, 101, ""},
			{"cookie, bad", "/wsapi/?x=1", []string{"Cookie: session=bad", own}, 401, ""},
			{"bearer", "/wsapi/?x=1", []string{"Authorization: Bearer good"}, 101, ""},
			{"bearer, bad", "/wsapi/?x=1", []string{"Authorization: Bearer bad"}, 401, ""},
			{"W6 subprotocol", "/wsapi/?x=1", []string{"Sec-WebSocket-Protocol: bearer, good"}, 101, "bearer"},
			{"W6 subprotocol, base64url", "/wsapi/?x=1", []string{"Sec-WebSocket-Protocol: base64url.bearer.authorization.Z29vZA"}, 101, ""},
			{"W6 subprotocol, Kubernetes", "/wsapi/?x=1", []string{"Sec-WebSocket-Protocol: base64url.bearer.authorization.k8s.io.Z29vZA"}, 101, ""},
			{"subprotocol, bad", "/wsapi/?x=1", []string{"Sec-WebSocket-Protocol: bearer, bad"}, 401, ""},
			{"none", "/wsapi/?x=1", nil, 401, ""},
			{"W3 foreign Origin", "/wsapi/?token=good&x=1", []string{"Origin: https://evil.example.com"}, 403, ""},
			{"W3 null Origin", "/wsapi/?token=good&x=1", []string{"Origin: null"}, 403, ""},
			{"W3 two Origins", "/wsapi/?token=good&x=1", []string{own, own}, 403, ""},
			{"W3 suffix trick", "/wsapi/?token=good&x=1", []string{"Origin: http://app.example.com.evil.example.com"}, 403, ""},
			{"W3 other scheme", "/wsapi/?token=good&x=1", []string{"Origin: https://app.example.com"}, 403, ""},
			{"W3 cookie without Origin", "/wsapi/?x=1", []string{"Cookie: session=good"}, 403, ""},
		} {
			t.Run(p.name+"/"+tt.name, func(t *testing.T) {
				before := calls.Load()
				c := connect(t, s, handshake(tt.target, tt.headers...))
				resp := c.answer()
				if resp.StatusCode != tt.status {
					t.Fatalf("status %d, want %d", resp.StatusCode, tt.status)
				}
				if passed := calls.Load() > before; passed != (tt.status == 101) {
					t.Errorf("the handler was called: %v", passed)
				}
				if tt.status != 101 {
					return
				}
				if got := resp.Header.Get("Sec-WebSocket-Protocol"); got != tt.protocol {
					t.Errorf("subprotocol %q, want %q", got, tt.protocol)
				}
				if got := seen.Load(); got != "/wsapi/?x=1 /wsapi/?x=1" {
					t.Errorf("the handler saw %q", got)
				}
				c.wantEcho([]byte("hello"))
				_ = c.Close()
			})
		}
		eventually(t, "the handlers return", func() bool { return running.Load() == 0 })
	}
}

// W3: origins in the list may open sockets.
func TestW3ListedOrigins(t *testing.T) {
	g := newGuard()
	g.Origins = []string{"https://app.example.com", "https://other.example.com:8443"}
	h := g.Handler(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) }))
	for origin, want := range map[string]int{
		"https://app.example.com":       204,
		"https://app.example.com:443":   204,
		"HTTPS://APP.example.com":       204,
		"https://other.example.com":     403,
		"https://other.example.com:844": 403,
		"https://app.example.com/":      403,
		"https://x@app.example.com":     403,
		"":                              403,
	} {
		resp := get(t, h, "/?token=good", "Connection", "Upgrade", "Upgrade", "websocket", "Origin", origin)
		if resp.StatusCode != want {
			t.Errorf("Origin %q: %d, want %d", origin, resp.StatusCode, want)
		}
	}
}

// Answers: what the Verifier says becomes the status; what it can't say is 503,
// never 401.
func TestStatusOfEveryVerdict(t *testing.T) {
	past := &portcullis.Identity{Subject: "u", ExpiresAt: time.Now().Add(-time.Second)}
	for _, tt := range []struct {
		name   string
		id     *portcullis.Identity
		err    error
		allow  error
		status int
	}{
		{name: "invalid", err: portcullis.ErrInvalid, status: 401},
		{name: "expired", err: portcullis.ErrExpired, status: 401},
		{name: "says yes, but its time is over", id: past, status: 401},
		{name: "revoked", err: portcullis.ErrRevoked, status: 401},
		{name: "unavailable", err: portcullis.ErrUnavailable, status: 503},
		{name: "one says no, another can't tell", err: errors.Join(portcullis.ErrInvalid, portcullis.ErrUnavailable), status: 503},
		{name: "any other error", err: errors.New("connection refused"), status: 503},
		{name: "the caller's context", err: context.DeadlineExceeded, status: 503},
		{name: "neither identity nor error", status: 503},
		{name: "rule says no", id: alice(), allow: errors.New("not in the group"), status: 403},
		{name: "rule can't tell", id: alice(), allow: portcullis.ErrUnavailable, status: 503},
		{name: "yes", id: alice(), status: 204},
	} {
		t.Run(tt.name, func(t *testing.T) {
			g := &portcullis.Guard{
				Verifier: portcullis.VerifierFunc(func(context.Context, string) (*portcullis.Identity, error) { return tt.id, tt.err }),
			}
			g.Allow = func(*http.Request, *portcullis.Identity) error { return tt.allow }
			h := g.Handler(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) }))
			resp := get(t, h, "/", "Authorization", "Bearer x")
			if resp.StatusCode != tt.status {
				t.Errorf("status %d, want %d", resp.StatusCode, tt.status)
			}
			if retry := resp.Header.Get("Retry-After") != ""; retry != (tt.status == 503) {
				t.Errorf("Retry-After: %v", retry)
			}
			if resp.StatusCode != 204 && resp.Header.Get("Cache-Control") != "no-store" {
				t.Error("a refusal may be cached")
			}
		})
	}
}

// Promise 5: no token in the log, whatever becomes of it.
func TestNoTokenInTheLog(t *testing.T) {
	const secret = "s3cr3t-t0ken"
	var log bytes.Buffer
	g := newGuard()
	g.Verifier = tokens{secret + "good": alice()}
	g.Sources = append(g.Sources, portcullis.Cookie("session"), portcullis.Subprotocol("bearer"))
	g.Log = slog.New(slog.NewTextHandler(&log, nil))
	h := g.Handler(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) }))
	upgrade := []string{"Connection", "Upgrade", "Upgrade", "websocket"}
	for _, token := range []string{secret + "good", secret + "bad"} {
		get(t, h, "/?token="+token, upgrade...)
		get(t, h, "/", append([]string{"Authorization", "Bearer " + token}, upgrade...)...)
		get(t, h, "/", append([]string{"Cookie", "session=" + token, "Origin", "http://example.com"}, upgrade...)...)
		get(t, h, "/", append([]string{"Sec-WebSocket-Protocol", "bearer, " + token}, upgrade...)...)
	}
	for _, want := range []string{"socket opened", "socket ended", "refused", "u-alice"} {
		if !strings.Contains(log.String(), want) {
			t.Errorf("the log says nothing of %q", want)
		}
	}
	if strings.Contains(log.String(), secret) {
		t.Errorf("the log holds a token:\n%s", log.String())
	}
}

// S7: each later message is handled with the user at hand, and after a renewal
// with the current user information.
func TestS7MessagesKnowTheCurrentUser(t *testing.T) {
	for _, p := range peers {
		t.Run(p.name, func(t *testing.T) {
			renamed := alice()
			renamed.Claims, renamed.ExpiresAt = []byte(`{"name":"Alice Liddell"}`), time.Now().Add(2*time.Hour)
			mallory := alice()
			mallory.Subject = "u-mallory"
			g := newGuard()
			g.Verifier = tokens{"good": alice(), "renewed": renamed, "mallory": mallory}
			h, _ := p.handler(t, behaviour{serve: func(ctx context.Context, s socket) {
				defer s.close()
				for {
					p, err := s.read()
					if err != nil {
						return
					}
					if token, ok := strings.CutPrefix(string(p), "renew "); ok {
						err = portcullis.Renew(ctx, token)
					}
					var name string
					id, _ := portcullis.FromContext(ctx)
					id.Claim("name", &name)
					if err != nil {
						name += ", " + err.Error()
					}
					if s.write([]byte(name)) != nil {
						return
					}
				}
			}}, how{})
			c := open(t, start(t, g.Handler(h), false))
			for _, tt := range []struct{ message, answer string }{
				{"who am I?", "Alice"},
				{"renew bad", "Alice, portcullis: token not valid"},
				{"renew mallory", "Alice, portcullis: not allowed: the token is somebody else's"},
				{"renew renewed", "Alice Liddell"},
				{"renew good", "Alice Liddell"}, // expires earlier
				{"who am I?", "Alice Liddell"},
			} {
				c.send(wsText(tt.message))
				f, err := c.next()
				if err != nil || string(f.Payload) != tt.answer {
					t.Fatalf("%q: answer %q, err %v; want %q", tt.message, f.Payload, err, tt.answer)
				}
			}
			g.ExpireAt(time.Now().Add(61 * time.Minute)) // the first token's time is over
			c.send(wsText("still there?"))
			if f, err := c.next(); err != nil || string(f.Payload) != "Alice Liddell" {
				t.Errorf("after the first token's expiry: %q, err %v", f.Payload, err)
			}
			g.ExpireAt(time.Now().Add(121 * time.Minute))
			c.wantClose(3000, "token_expired")
			eventually(t, "the session is gone", g.Empty)
		})
	}
}

// A renewal after which the rule says no ends the socket.
func TestRenewalThatLosesARightEndsTheSocket(t *testing.T) {
	g := newGuard()
	less := alice()
	less.Scopes, less.ExpiresAt = nil, time.Now().Add(2*time.Hour)
	more := alice()
	more.Scopes = []string{"chat"}
	g.Verifier = tokens{"good": more, "less": less}
	g.Allow = func(_ *http.Request, id *portcullis.Identity) error {
		if !id.HasScope("chat") {
			return errors.New("needs the scope chat")
		}
		return nil
	}
	h, _ := peers[0].handler(t, behaviours[0], how{})
	c := open(t, start(t, g.Handler(h), false))
	var handle string
	for info := range g.Sessions() {
		handle = info.Handle
	}
	if err := g.Renew(t.Context(), handle, "less"); !errors.Is(err, portcullis.ErrForbidden) {
		t.Errorf("Renew: %v, want ErrForbidden", err)
	}
	c.wantClose(3003, "forbidden")
	if err := g.Renew(t.Context(), handle, "good"); err == nil {
		t.Error("renewed a session that is over")
	}
}

func TestSessionsDescribesThem(t *testing.T) {
	g := newGuard()
	h, _ := peers[0].handler(t, behaviours[0], how{})
	c := open(t, start(t, g.Handler(h), false))
	var got []portcullis.SessionInfo
	for info := range g.Sessions() {
		got = append(got, info)
	}
	if len(got) != 1 || got[0].Handle == "" || got[0].Opened.IsZero() || got[0].Remote == "" || got[0].Expires.IsZero() || got[0].Verified.IsZero() {
		t.Fatalf("got %+v", got)
	}
	got[0].Handle, got[0].Opened, got[0].Expires, got[0].Verified, got[0].Remote = "", time.Time{}, time.Time{}, time.Time{}, ""
	want := portcullis.SessionInfo{
		Kind: "socket", Method: "GET", Host: "app.example.com", Path: "/wsapi/",
		Issuer: "https://id.example.com", Subject: "u-alice", SessionID: "sid-1", TokenID: "jti-1", ClientID: "app",
	}
	if diff := cmp.Diff(want, got[0]); diff != "" {
		t.Error(diff)
	}
	_ = c.Close()
	eventually(t, "the session is gone", g.Empty)
}

// http.Server.Shutdown ignores sockets; the Guard's tells them to come back.
func TestShutdown(t *testing.T) {
	g := newGuard()
	h, running := peers[0].handler(t, behaviours[0], how{})
	s := start(t, g.Handler(h), false)
	c := open(t, s)
	done := make(chan error, 1)
	go func() { done <- g.Shutdown(t.Context()) }()
	c.wantClose(1012, "shutdown")
	if err := <-done; err != nil {
		t.Errorf("Shutdown: %v", err)
	}
	eventually(t, "the handler returns", func() bool { return running.Load() == 0 })
	if got := connect(t, s, handshake("/wsapi/?token=good")).answer().StatusCode; got != 503 {
		t.Errorf("after Shutdown: %d, want 503", got)
	}
}
