package interop

import (
	"crypto/rand"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"
)

// R3: a logout token that isn't good is refused, and nobody else hears of it.
func TestR3BadLogoutTokens(t *testing.T) {
	issuer, partner, backend, l := startSigner(t), startSigner(t), startNodeBackend(t), listen(t)
	base := "http://" + l.Addr().String()
	serveGateway(t, l, fmt.Sprintf(`
verify: {jwt: {issuer: %s, audience: api}}
logout: [{issuer: %[1]s, client_id: app}, {issuer: %s, client_id: gateway}]
routes: [{path: /, backend: %s}]
`, issuer, partner, backend.url))
	alice := join(t, base, accessToken(issuer, "alice"), "alice")
	bob := join(t, base, accessToken(issuer, "bob"), "bob")
	send := func(token string) (int, string) {
		said.secret("a logout token", token)
		return deliver(t, base+"/.portcullis/backchannel-logout",
			http.Header{"Content-Type": {"application/x-www-form-urlencoded"}}, "logout_token="+url.QueryEscape(token))
	}
	now := time.Now()
	good := func(changes claims) claims {
		return claims{
			"iss": issuer, "aud": "app", "sub": "alice", "sid": "s-alice", "jti": rand.Text(),
			"iat": now.Unix(), "exp": now.Add(2 * time.Minute).Unix(),
			"events": claims{"http://schemas.openid.net/event/backchannel-logout": claims{}},
		}.with(changes)
	}

	used := good(claims{"sub": "carol", "sid": "s-carol"})
	if status, answer := send(sign("logout+jwt", used)); status != http.StatusOK {
		t.Fatalf("a good one: %d %s", status, answer)
	}
	bad := forgeries(t, "logout+jwt", good(nil))
	bad["replayed"] = sign("logout+jwt", used)
	bad["an access token"] = accessToken(issuer, "alice")
	for name, changes := range map[string]claims{
		"wrong aud":       {"aud": "other"},
		"partner's aud":   {"aud": "gateway"},
		"wrong iss":       {"iss": "https://other.example.com"},
		"partner's iss":   {"iss": partner},
		"no iss":          {"iss": nil},
		"old iat":         {"iat": now.Add(-10 * time.Minute).Unix()},
		"iat to come":     {"iat": now.Add(10 * time.Minute).Unix()},
		"expired":         {"iat": now.Add(-4 * time.Minute).Unix(), "exp": now.Add(-2 * time.Minute).Unix()},
		"jti used before": {"jti": used["jti"]},
		"no jti":          {"jti": nil},
		"nonce":           {"nonce": rand.Text()},
		"no events":       {"events": nil},
		"other event":     {"events": claims{sessionRevoked: claims{}}},
		"about nobody":    {"sub": nil, "sid": nil},
	} {
		bad[name] = sign("logout+jwt", good(changes))
	}
	for name, token := range bad {
		t.Run(name, func(t *testing.T) {
			if status, answer := send(token); status != http.StatusBadRequest || !strings.Contains(answer, `"error":"invalid_request"`) {
				t.Errorf("%d %s, want 400", status, answer)
			}
			alice.say("still here")
			bob.say("still here")
		})
	}

	// The partner's alice is somebody else.
	if status, answer := send(sign("logout+jwt", good(claims{"iss": partner, "aud": "gateway"}))); status != http.StatusOK {
		t.Errorf("a good one of the partner: %d %s", status, answer)
	}
	alice.say("still here")
	if status, answer := send(sign("logout+jwt", good(nil))); status != http.StatusOK {
		t.Errorf("a good one: %d %s", status, answer)
	}
	alice.wantClose(3003, "session_revoked")
	bob.say("alone")
	backend.wantEnds(t, socketEnd{User: "alice", Code: 3003, Reason: "session_revoked"})
}
