package issuer_test

import (
	"log/slog"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/portcullis-auth/portcullis/dev/issuer"
)

// without returns a copy of claims lacking some, which are checked to be there.
func without(t *testing.T, claims map[string]any, names ...string) map[string]any {
	t.Helper()
	rest := map[string]any{}
	for k, v := range claims {
		rest[k] = v
	}
	for _, n := range names {
		if v, ok := rest[n]; !ok || v == "" {
			t.Errorf("claim %q is missing", n)
		}
		delete(rest, n)
	}
	return rest
}

func TestFlow(t *testing.T) {
	for _, kind := range []string{"opaque", "jwt"} {
		t.Run(kind, func(t *testing.T) {
			f := start(t, nil)
			b := f.browser()
			access := b.login("alice", kind)
			now := f.clock.Now()

			clientID := issuer.ClientOpaque
			if kind == "jwt" {
				clientID = issuer.ClientJWT
			}
			user := map[string]any{
				"sub": "u-alice", "preferred_username": "alice", "name": "Alice Adams",
				"email": "alice@example.com", "email_verified": true,
				"groups": []any{"staff", "chat", "admin"},
			}
			token := map[string]any{
				"iss": f.url, "aud": []any{"gateway"}, "client_id": clientID,
				"scope": "openid profile email offline_access admin chat",
				"iat":   float64(now.Unix()), "exp": float64(now.Add(5 * time.Minute).Unix()),
				"auth_time": float64(now.Unix()),
			}
			for k, v := range user {
				token[k] = v
			}

			// Introspection tells everything about the token and the user.
			got := f.introspect(access)
			want := map[string]any{"active": true, "token_type": "Bearer", "username": "alice"}
			for k, v := range token {
				want[k] = v
			}
			if diff := cmp.Diff(want, without(t, got, "jti", "sid")); diff != "" {
				t.Errorf("introspection (-want +got):\n%s", diff)
			}
			sid := got["sid"]

			// A JWT says the same by itself.
			if kind == "jwt" {
				typ, claims := f.verify(access)
				if typ != "at+jwt" {
					t.Errorf("typ = %q, want at+jwt", typ)
				}
				if diff := cmp.Diff(token, without(t, claims, "jti", "sid")); diff != "" {
					t.Errorf("JWT (-want +got):\n%s", diff)
				}
				if claims["sid"] != sid || claims["jti"] != got["jti"] {
					t.Errorf("sid, jti of the JWT and of introspection differ: %v, %v", claims, got)
				}
			} else if strings.Contains(access, ".") {
				t.Errorf("the opaque token looks like a JWT")
			}

			resp, body := f.userinfo(access)
			if resp.StatusCode != http.StatusOK {
				t.Fatalf("userinfo: %s", resp.Status)
			}
			if diff := cmp.Diff(user, decode(t, body)); diff != "" {
				t.Errorf("userinfo (-want +got):\n%s", diff)
			}

			// A refresh gives another token of the same session; the old one lives on.
			f.clock.advance(time.Minute)
			resp, _ = b.post("/app/refresh", nil, nil)
			if resp.StatusCode != http.StatusNoContent {
				t.Fatalf("refresh: %s", resp.Status)
			}
			fresh := b.cookie("session")
			if fresh == access {
				t.Fatal("the refresh gave no new token")
			}
			f.wantActive(access, true)
			if got := f.introspect(fresh); got["sid"] != sid || got["exp"] != float64(now.Add(6*time.Minute).Unix()) {
				t.Errorf("refreshed token: sid %v, exp %v; want sid %v, exp %v", got["sid"], got["exp"], sid, now.Add(6*time.Minute).Unix())
			}

			// When the logout answers, the tokens are dead and the gateway has been told so,
			// in this order.
			other, err := f.IssueToken("alice", issuer.TokenOptions{})
			if err != nil {
				t.Fatal(err)
			}
			f.gotten.before = func() {
				f.wantActive(access, false)
				f.wantActive(fresh, false)
			}
			resp, _ = b.post("/app/logout", nil, nil)
			if resp.StatusCode != http.StatusNoContent {
				t.Fatalf("logout: %s", resp.Status)
			}
			logoutTokens := f.gotten.take()
			if len(logoutTokens) != 1 {
				t.Fatalf("%d logout tokens, want 1", len(logoutTokens))
			}
			f.wantActive(fresh, false)
			f.wantActive(other.Access, true) // another session of hers
			if b.cookie("session") != "" {
				t.Error("the cookie is still there after the logout")
			}
			if resp, _ := f.userinfo(fresh); resp.StatusCode != http.StatusUnauthorized || resp.Header.Get("WWW-Authenticate") == "" {
				t.Errorf("userinfo after the logout: %s, %v", resp.Status, resp.Header)
			}
			if resp, _ := b.post("/app/refresh", nil, nil); resp.StatusCode != http.StatusUnauthorized {
				t.Errorf("refresh after the logout: %s", resp.Status)
			}

			typ, claims := f.verify(logoutTokens[0])
			if typ != "logout+jwt" {
				t.Errorf("typ = %q, want logout+jwt", typ)
			}
			wantLogout := map[string]any{
				"iss": f.url, "aud": "gateway", "sub": "u-alice", "sid": sid,
				"iat": float64(now.Add(time.Minute).Unix()), "exp": float64(now.Add(3 * time.Minute).Unix()),
				"events": map[string]any{"http://schemas.openid.net/event/backchannel-logout": map[string]any{}},
			}
			if diff := cmp.Diff(wantLogout, without(t, claims, "jti")); diff != "" {
				t.Errorf("logout token (-want +got):\n%s", diff)
			}
		})
	}
}

func TestScopesFollowRights(t *testing.T) {
	f := start(t, nil)
	for user, want := range map[string]string{
		"alice": "openid profile email offline_access admin chat",
		"bob":   "openid profile email offline_access chat",
		"carol": "openid profile email offline_access",
	} {
		if got := f.introspect(f.browser().login(user, "opaque"))["scope"]; got != want {
			t.Errorf("%s: scope %q, want %q", user, got, want)
		}
	}
	tok, err := f.IssueToken("bob", issuer.TokenOptions{Scopes: []string{"openid", "admin", "chat"}})
	if err != nil {
		t.Fatal(err)
	}
	if got, want := f.introspect(tok.Access)["scope"], "openid chat"; got != want {
		t.Errorf("issued for bob: scope %q, want %q", got, want)
	}
}

// TestA1NoTokenIsLogged goes through everything with all logs on, those of op too.
func TestA1NoTokenIsLogged(t *testing.T) {
	var logged lockedBuffer
	log := slog.New(slog.NewTextHandler(&logged, &slog.HandlerOptions{Level: slog.LevelDebug}))
	before := slog.Default()
	slog.SetDefault(log) // op logs there
	defer slog.SetDefault(before)

	f := start(t, func(c *issuer.Config) { c.Log = log })
	var tokens []string
	for _, kind := range []string{"opaque", "jwt"} {
		b := f.browser()
		tokens = append(tokens, b.login("alice", kind))
		b.post("/app/refresh", nil, nil)
		tokens = append(tokens, b.cookie("session"))
		f.gotten.answers = []int{500, 400}
		b.post("/app/logout", nil, nil)
	}
	tokens = append(tokens, f.gotten.take()...)
	tokens = append(tokens, secret)
	for _, tok := range tokens {
		f.browser().get("/end_session?id_token_hint=" + tok[:20] + "&" + "state=" + tok[20:])
		if strings.Contains(logged.String(), tok[len(tok)/2:]) {
			t.Errorf("a token is in the log: %s", logged.String())
		}
	}
	if !strings.Contains(logged.String(), "logout token delivered") && !strings.Contains(logged.String(), "logout token not delivered") {
		t.Errorf("the logout is not in the log: %s", logged.String())
	}
}
