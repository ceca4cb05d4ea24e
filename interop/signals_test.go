package interop

import (
	"crypto/rand"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"
)

const sessionRevoked = "https://schemas.openid.net/secevent/caep/event-type/session-revoked"

// revokedSET returns the claims of a SET which says that the subject's session
// was revoked (CAEP 1.0).
func revokedSET(transmitter string, subject claims) claims {
	now := time.Now().Unix()
	return claims{
		"iss": transmitter, "aud": "gateway", "jti": rand.Text(), "iat": now, "sub_id": subject,
		"events": claims{sessionRevoked: claims{"event_timestamp": now, "initiating_entity": "admin"}},
	}
}

// pushSET delivers a SET (RFC 8935), and returns the gateway's answer.
func pushSET(t testing.TB, gateway, authorization, set string) (status int, answer string) {
	t.Helper()
	said.secret("a SET", set)
	return deliver(t, gateway+"/.portcullis/ssf/push", http.Header{
		"Content-Type": {"application/secevent+jwt"}, "Authorization": {authorization},
	}, set)
}

// R1, R4: a small transmitter of security events, which isn't the token system,
// ends whom it names by a SET (RFC 8935, CAEP 1.0); one that isn't good is
// refused, and nobody else hears of it.
func TestR1R4SecurityEvents(t *testing.T) {
	issuer, transmitter, backend, l := startSigner(t), startSigner(t), startNodeBackend(t), listen(t)
	base := "http://" + l.Addr().String()
	serveGateway(t, l, fmt.Sprintf(`
verify: {jwt: {issuer: %s, audience: api}}
signals: {issuer: %s, audience: gateway, push_secret_env: SECRET}
routes: [{path: /, backend: %s}]
`, issuer, transmitter, backend.url))
	alice := join(t, base, accessToken(issuer, "alice"), "alice")
	bob := join(t, base, accessToken(issuer, "bob"), "bob")
	carol := join(t, base, accessToken(issuer, "carol"), "carol")
	push := func(authorization, set string) (int, string) { return pushSET(t, base, authorization, set) }
	now := time.Now()
	user := func(name string) claims { return claims{"format": "iss_sub", "iss": issuer, "sub": name} }
	good := func(changes claims) claims { return revokedSET(transmitter, user("alice")).with(changes) }

	bad := forgeries(t, "secevent+jwt", good(nil))
	bad["an access token"] = accessToken(transmitter, "alice")
	for name, changes := range map[string]claims{
		"wrong aud":       {"aud": "other"},
		"wrong iss":       {"iss": issuer},
		"no iss":          {"iss": nil},
		"iat to come":     {"iat": now.Add(10 * time.Minute).Unix()},
		"no jti":          {"jti": nil},
		"exp":             {"exp": now.Add(time.Hour).Unix()},
		"sub":             {"sub": "alice"},
		"no events":       {"events": nil},
		"about nobody":    {"sub_id": nil},
		"about no sub":    {"sub_id": claims{"format": "iss_sub", "iss": issuer}},
		"unknown format":  {"sub_id": claims{"format": "phone_number", "phone_number": "+12065550100"}},
		"unknown member":  {"sub_id": claims{"format": "complex", "user": user("alice"), "tenant": claims{"format": "opaque", "id": "t1"}}},
		"several events":  {"events": claims{sessionRevoked: claims{}, strings.Replace(sessionRevoked, "session-revoked", "credential-change", 1): claims{}}},
		"event no object": {"events": claims{sessionRevoked: true}},
	} {
		bad[name] = sign("secevent+jwt", good(changes))
	}
	for name, set := range bad {
		t.Run(name, func(t *testing.T) {
			if status, answer := push(gatewaySecret, set); status != http.StatusBadRequest || !strings.Contains(answer, `"err":"`) {
				t.Errorf("%d %s, want 400", status, answer)
			}
			alice.say("still here")
			bob.say("still here")
		})
	}
	for name, authorization := range map[string]string{"nothing": "", "another secret": opaque("a wrong secret"), "twice": gatewaySecret + gatewaySecret} {
		t.Run("authorized by "+name, func(t *testing.T) {
			if status, answer := push(authorization, sign("secevent+jwt", good(nil))); status != http.StatusUnauthorized {
				t.Errorf("%d %s, want 401", status, answer)
			}
			alice.say("still here")
		})
	}

	for name, set := range map[string]claims{
		"bob's, not alice's": good(claims{"sub_id": claims{"format": "complex", "user": user("bob"), "session": claims{"format": "opaque", "id": "s-alice"}}}),
		"another issuer's":   good(claims{"sub_id": claims{"format": "iss_sub", "iss": transmitter, "sub": "alice"}}),
		"of no meaning":      good(claims{"events": claims{"https://events.example.com/raining": claims{}}}),
	} {
		t.Run(name, func(t *testing.T) {
			if status, answer := push(gatewaySecret, sign("secevent+jwt", set)); status != http.StatusAccepted {
				t.Errorf("%d %s, want 202", status, answer)
			}
			alice.say("still here")
			bob.say("still here")
		})
	}

	session := claims{"format": "complex", "user": user("carol"), "session": claims{"format": "opaque", "iss": issuer, "id": "s-carol"}}
	for _, end := range []struct {
		socket *chatter
		set    claims
	}{
		{alice, good(nil)},
		{carol, good(claims{"sub_id": session})},
	} {
		set := sign("secevent+jwt", end.set)
		began := time.Now()
		for range 2 { // it may come again (RFC 8935, section 2)
			if status, answer := push(gatewaySecret, set); status != http.StatusAccepted {
				t.Errorf("a good one: %d %s", status, answer)
			}
		}
		took := end.socket.wantClose(3003, "session_revoked").Sub(began)
		if t.Logf("Close after %d ms", took.Milliseconds()); took > soon {
			t.Errorf("Close after %v, want at most %v", took, soon)
		}
	}
	bob.say("alone")
	backend.wantEnds(t,
		socketEnd{User: "alice", Code: 3003, Reason: "session_revoked"},
		socketEnd{User: "carol", Code: 3003, Reason: "session_revoked"})
}
