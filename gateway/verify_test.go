package gateway_test

import (
	"fmt"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/portcullis-auth/portcullis/dev/issuer"
)

// tokenSystems are the ways to ask the embedded token system.
var tokenSystems = map[string]string{
	"introspection": "introspection: {url: ISSUER/oauth/introspect, client_id: gateway, client_secret_env: SECRET}",
	"discovered":    "introspection: {issuer: ISSUER, client_id: gateway, client_auth: post, client_secret_env: SECRET}",
	"jwt":           "jwt: {issuer: ISSUER, audience: gateway}\n  userinfo: {url: ISSUER/userinfo}",
	"jwks":          "jwt: {issuer: ISSUER, audience: [other, gateway], jwks_url: ISSUER/keys}\n  userinfo: {url: ISSUER/userinfo, on_failure: without}",
	"http_check": "http_check: {url: ISSUER/check, method: POST, token_in: {form: token}, issuer: ISSUER,\n" +
		"    fields: {valid: valid, subject: user_id, expiry: valid_until, issued_at: valid_from, session_id: login, scopes: roles}}",
}

// S3, S4: whichever way the token system is asked, the backend is told the
// same, rules see the same, and a logout ends the socket.
func TestS3S4EveryTokenSystem(t *testing.T) {
	for name, verify := range tokenSystems {
		t.Run(name, func(t *testing.T) {
			b := newBackend()
			h := openWith(t, start(t, b), verify, chatAndAPI)
			token := h.token("alice", issuer.TokenOptions{Kind: issuer.JWT, Scopes: []string{"openid", "profile", "email", "chat"}})
			status, _, body := h.get("/api/me", "Authorization", "Bearer "+token.Access)
			if got := b.header(); status != 200 || body != "alice" || got.Get("X-Forwarded-User") != "u-alice" || got.Get("X-Forwarded-Email") != "alice@example.com" {
				t.Fatalf("%d %q, and the backend was told %v", status, body, got)
			}
			for _, bad := range []string{"bad", token.Access[:len(token.Access)-8] + "AAAAAAAA", token.Access + "." + token.Access} {
				if status, header, _ := h.get("/api/me", "Authorization", "Bearer "+bad); status != 401 || header.Get("WWW-Authenticate") == "" {
					t.Errorf("%d for a bad token, want 401", status)
				}
			}
			carol := h.token("carol", issuer.TokenOptions{Kind: issuer.JWT, Scopes: []string{"openid", "profile"}})
			if got := h.send(handshake("/wsapi/?token=" + carol.Access)).answer(); got.StatusCode != 403 {
				t.Errorf("carol's socket: %d, want 403", got.StatusCode)
			}
			c := h.socket("/wsapi/?token=" + token.Access)
			c.text("hello")
			c.want("alice: hello")
			if err := h.issuer.LogoutSession(t.Context(), token.SID); err != nil {
				t.Fatal(err)
			}
			c.wantClose(3003, "session_revoked")
		})
	}
}

// Who owns a token has the last word; what nobody owns is shown to the others.
func TestSeveralTokenSystems(t *testing.T) {
	asked := func(status int, body string) (string, *atomic.Int32) {
		calls := new(atomic.Int32)
		return start(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			calls.Add(1)
			w.Header().Set("Content-Type", "application/json")
			w.WriteHeader(status)
			fmt.Fprint(w, body)
		})), calls
	}
	legacy, legacyCalls := asked(200, `{"sub":"u-legacy"}`)
	partner, partnerCalls := asked(500, ``)
	h := openWith(t, start(t, newBackend()), fmt.Sprintf(`
  - {name: own, jwt: {issuer: ISSUER, audience: gateway}}
  - {name: legacy, for: {prefixes: old_}, http_check: {url: %q}}
  - {name: partner, for: {issuers: 'https://partner.example.com'}, http_check: {url: %q}}
  - {name: rest, introspection: {url: ISSUER/oauth/introspect, client_id: gateway, client_secret_env: SECRET}}`, legacy, partner), chatAndAPI)
	jwt := h.token("alice", issuer.TokenOptions{Kind: issuer.JWT}).Access
	opaque := h.token("bob", issuer.TokenOptions{}).Access
	partners := "e30.eyJpc3MiOiJodHRwczovL3BhcnRuZXIuZXhhbXBsZS5jb20ifQ.AA" // {"iss":"https://partner.example.com"}
	for _, tt := range []struct {
		name, token     string
		status          int
		legacy, partner int32 // calls so far
	}{
		{"own", jwt, 200, 0, 0},
		{"own, tampered: its no is final", jwt[:len(jwt)-8] + "AAAAAAAA", 401, 0, 0},
		{"legacy", "old_x", 200, 1, 0},
		{"partner: its outage is final", partners, 503, 1, 1},
		{"nobody's", opaque, 200, 1, 1},
		{"nobody's, and bad", "x", 401, 1, 1},
	} {
		status, _, _ := h.get("/api/me", "Authorization", "Bearer "+tt.token)
		if status != tt.status || legacyCalls.Load() != tt.legacy || partnerCalls.Load() != tt.partner {
			t.Errorf("%s: %d with %d and %d calls, want %d with %d and %d", tt.name, status, legacyCalls.Load(), partnerCalls.Load(), tt.status, tt.legacy, tt.partner)
		}
	}
	eventually(t, "no session is left", func() bool {
		for range h.Guard().Sessions() {
			return false
		}
		return true
	})
}

// A tokenSystem is one that can be stopped, and counts.
type tokenSystem struct {
	down  atomic.Bool
	calls atomic.Int32
}

func (s *tokenSystem) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.calls.Add(1)
	if s.down.Load() {
		http.Error(w, "maintenance", http.StatusInternalServerError)
		return
	}
	if !strings.HasSuffix(r.Header.Get("Authorization"), "-good") {
		http.Error(w, "no", http.StatusUnauthorized)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	fmt.Fprint(w, `{"sub":"u","scope":"chat"}`)
}

// Promise 4: in an outage newcomers get 503 with Retry-After, known tokens what
// the policy says; and it ends by itself.
func TestOutagePolicy(t *testing.T) {
	for _, tt := range []struct {
		name, policy string
		known        int // status for a token that was good before
	}{
		{"by default", "", 200},
		{"nothing remembered", "\n  cache: {max_age: 0s}", 503},
		{"nothing remembered, but in an outage", "\n  cache: {max_age: 0s}\n  outage: {stale_for: 1h}", 200},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := new(tokenSystem)
			cooldown := "\n  outage: {cooldown: 100ms}"
			if strings.Contains(tt.policy, "outage") {
				cooldown = ""
			}
			h := openWith(t, start(t, newBackend()), "http_check: {url: "+start(t, s)+"}"+tt.policy+cooldown, chatAndAPI)
			get := func(token string) int {
				status, header, _ := h.get("/api/me", "Authorization", "Bearer "+token)
				if status == 503 && header.Get("Retry-After") == "" {
					t.Errorf("503 without Retry-After")
				}
				return status
			}
			if got := get("known-good"); got != 200 {
				t.Fatalf("before: %d, want 200", got)
			}
			s.down.Store(true)
			for i := range 20 { // the circuit opens on the way
				if got := get(fmt.Sprintf("new%d-good", i)); got != 503 {
					t.Fatalf("newcomer %d: %d, want 503", i, got)
				}
				if got := get("known-good"); got != tt.known {
					t.Fatalf("known: %d, want %d", got, tt.known)
				}
			}
			if n := s.calls.Load(); n > 15 {
				t.Errorf("the token system was called %d times while it was down", n)
			}
			s.down.Store(false)
			eventually(t, "the outage is over", func() bool { return get("new-good") == 200 })
			if got := get("bad"); got != 401 {
				t.Errorf("bad, after the outage: %d, want 401", got)
			}
		})
	}
}

// Promise 4: live sockets end with 1013 once nobody has answered for so long.
func TestOutageEndsSockets(t *testing.T) {
	s, other := new(tokenSystem), new(tokenSystem)
	h := openWith(t, start(t, newBackend()), fmt.Sprintf(`
  - {name: down, for: {prefixes: a}, http_check: {url: %q}, outage: {end_sessions_after: 1s}}
  - {name: up, for: {prefixes: b}, http_check: {url: %q}, outage: {end_sessions_after: 1s}}`, start(t, s), start(t, other)), chatAndAPI)
	ends := h.socket("/wsapi/?token=a-good")
	stays := h.socket("/wsapi/?token=b-good")
	s.down.Store(true)
	if status, _, _ := h.get("/api/me", "Authorization", "Bearer a-new-good"); status != 503 {
		t.Fatalf("newcomer: %d, want 503", status)
	}
	ends.wantClose(1013, "unavailable")
	stays.text("still here")
	stays.want(": still here")
	eventually(t, "the log says so", func() bool { return strings.Contains(h.log.String(), "token system out of reach") })
}

// I4: a thousand first requests with one token are one question.
func TestI4OneQuestionForAThousandRequests(t *testing.T) {
	s := new(tokenSystem)
	h := openWith(t, start(t, newBackend()), "http_check: {url: "+start(t, s)+"}", chatAndAPI)
	transport := &http.Transport{MaxIdleConnsPerHost: 100, MaxConnsPerHost: 200}
	defer transport.CloseIdleConnections()
	var wg sync.WaitGroup
	begin := make(chan struct{})
	for range 1000 {
		wg.Go(func() {
			r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, h.url+"/api/me", nil)
			if err != nil {
				t.Error(err)
				return
			}
			r.Header.Set("Authorization", "Bearer x-good")
			<-begin
			resp, err := transport.RoundTrip(r)
			if err != nil {
				t.Error(err)
				return
			}
			_ = resp.Body.Close()
			if resp.StatusCode != 200 {
				t.Errorf("status %d, want 200", resp.StatusCode)
			}
		})
	}
	close(begin)
	wg.Wait()
	if n := s.calls.Load(); n != 1 {
		t.Errorf("the token system was asked %d times, want once", n)
	}
}
