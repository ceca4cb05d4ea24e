package backchannel_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/portcullis-auth/portcullis/revoke/backchannel"
)

// R3: each claim, missing, wrong and right.
func TestR3Claims(t *testing.T) {
	now := time.Now().Unix()
	for _, tt := range []struct {
		name   string
		change object
		want   string // "": accepted; else what the description names
	}{
		{"good", nil, ""},
		{"other claims", object{"trace_id": "x", "toe": now}, ""},

		{"iss missing", object{"iss": gone}, "iss"},
		{"iss wrong", object{"iss": "https://evil.example.com"}, "iss"},
		{"iss with a slash", object{"iss": issuer + "/"}, "iss"},
		{"iss in capitals", object{"iss": strings.ToUpper(issuer)}, "iss"},
		{"iss an array", object{"iss": []string{issuer}}, "wrong type"},
		{"ISS", object{"iss": gone, "ISS": issuer}, "iss"},

		{"aud missing", object{"aud": gone}, "aud"},
		{"aud wrong", object{"aud": "other"}, "aud"},
		{"aud null", object{"aud": nil}, "aud"},
		{"aud empty", object{"aud": []string{}}, "aud"},
		{"aud with us", object{"aud": []string{"other", client}}, ""},
		{"aud without us", object{"aud": []string{"other", client + "x"}}, "aud"},
		{"aud holds us", object{"aud": "other " + client}, "aud"},
		{"aud of mixed types", object{"aud": []any{client, 1}}, "aud"},
		{"aud with null", object{"aud": []any{client, nil}}, "aud"},
		{"aud an object", object{"aud": object{client: client}}, "aud"},

		{"iat missing", object{"iat": gone}, "is missing"},
		{"iat null", object{"iat": nil}, "is missing"},
		{"iat text", object{"iat": fmt.Sprint(now)}, "wrong type"},
		{"iat zero", object{"iat": 0}, "iat"},
		{"iat negative", object{"iat": -now}, "wrong type"},
		{"iat huge", object{"iat": 1e300}, "wrong type"},
		{"iat ahead, within leeway", object{"iat": now + 50}, ""},
		{"iat ahead", object{"iat": now + 70}, "iat"},
		{"iat old, within leeway", object{"iat": now - 350, "exp": gone}, ""},
		{"iat old", object{"iat": now - 370, "exp": gone}, "iat"},
		{"iat old, exp in the future", object{"iat": now - 370, "exp": now + 1000}, "iat"},

		{"exp missing", object{"exp": gone}, ""},
		{"exp over, within leeway", object{"exp": now - 50}, ""},
		{"exp over", object{"exp": now - 70}, "exp"},
		{"exp zero", object{"exp": 0}, "exp"},
		{"exp null", object{"exp": nil}, "exp"},
		{"exp text", object{"exp": "never"}, "wrong type"},

		{"events missing", object{"events": gone}, "events"},
		{"events null", object{"events": nil}, "events"},
		{"events an array", object{"events": []string{event}}, "events"},
		{"events a string", object{"events": event}, "events"},
		{"events empty", object{"events": object{}}, "events"},
		{"events of another kind", object{"events": object{"https://schemas.openid.net/secevent/caep/event-type/session-revoked": object{}}}, "events"},
		{"events in another case", object{"events": object{strings.ToUpper(event): object{}}}, "events"},
		{"Events", object{"events": gone, "Events": object{event: object{}}}, "events"},
		{"event null", object{"events": object{event: nil}}, "events"},
		{"event true", object{"events": object{event: true}}, "events"},
		{"event an array", object{"events": object{event: []any{}}}, "events"},
		{"event with members", object{"events": object{event: object{"x": 1}}}, ""},
		{"event among others", object{"events": object{event: object{}, "https://x": object{}}}, ""},

		{"nonce", object{"nonce": "n"}, "nonce"},
		{"nonce null", object{"nonce": nil}, "nonce"},
		{"nonce empty", object{"nonce": ""}, "nonce"},

		{"sub only", object{"sid": gone}, ""},
		{"sid only", object{"sub": gone}, ""},
		{"neither", object{"sub": gone, "sid": gone}, "neither"},
		{"both empty", object{"sub": "", "sid": ""}, "neither"},
		{"both null", object{"sub": nil, "sid": nil}, "neither"},
		{"sub a number", object{"sub": 1}, "wrong type"},
		{"sid a number", object{"sid": 1}, "wrong type"},
		{"SID", object{"sub": gone, "sid": gone, "SID": "s1"}, "neither"},

		{"jti missing", object{"jti": gone}, "jti"},
		{"jti empty", object{"jti": ""}, "jti"},
		{"jti null", object{"jti": nil}, "jti"},
		{"jti a number", object{"jti": 7}, "wrong type"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := newReceiver(t, backchannel.Config{})
			w := r.post(t, good(t, tt.change))
			if tt.want == "" {
				wantStatus(t, w, 200)
			} else if wantStatus(t, w, 400); !strings.Contains(w.Body.String(), tt.want) {
				t.Errorf("body %s, want %q in it", w.Body, tt.want)
			}
			if got, want := len(r.revoked) > 0, tt.want == ""; got != want {
				t.Errorf("revoked: %v", r.revoked)
			}
		})
	}
}

// R3, J1, J3, J4, J5: the token around the claims.
func TestR3Token(t *testing.T) {
	payload := marshal(t, claims(nil))
	with := func(header object) string { return sign(t, header, payload, edPrivate) }
	evilJWK := marshal(t, jose.JSONWebKey{Key: forger.Public()})
	valid := with(object{"alg": "EdDSA", "kid": "ed"})
	parts := strings.Split(valid, ".")
	pss := sign(t, object{"alg": "PS256", "kid": "rsa"}, payload, nil)
	for _, tt := range []struct {
		name, token string
		want        string
	}{
		{"no type", valid, ""},
		{"typ logout+jwt", with(object{"alg": "EdDSA", "kid": "ed", "typ": "logout+jwt"}), ""},
		{"typ in capitals", with(object{"alg": "EdDSA", "kid": "ed", "typ": "Logout+JWT"}), ""},
		{"typ in full", with(object{"alg": "EdDSA", "kid": "ed", "typ": "application/logout+jwt"}), ""},
		{"typ JWT", with(object{"alg": "EdDSA", "kid": "ed", "typ": "JWT"}), "typ"},
		{"typ at+jwt", with(object{"alg": "EdDSA", "kid": "ed", "typ": "at+jwt"}), "typ"},
		{"typ empty", with(object{"alg": "EdDSA", "kid": "ed", "typ": ""}), "typ"},
		{"typ null", with(object{"alg": "EdDSA", "kid": "ed", "typ": nil}), "typ"},
		{"typ a number", with(object{"alg": "EdDSA", "kid": "ed", "typ": 1}), "typ"},
		{"cty beside", with(object{"alg": "EdDSA", "kid": "ed", "cty": "x"}), ""},

		{"RS256", sign(t, object{"alg": "RS256", "kid": "rsa"}, payload, nil), ""},
		{"PS256", pss, ""},
		{"ES256", sign(t, object{"alg": "ES256", "kid": "ec"}, payload, nil), ""},
		{"no kid, one key", with(object{"alg": "EdDSA"}), ""},
		{"two keys of that name", with(object{"alg": "EdDSA", "kid": "two"}), ""},

		{"alg none", encode([]byte(`{"alg":"none"}`)) + "." + parts[1] + ".", "three parts"},
		{"alg None, signed", encode([]byte(`{"alg":"None"}`)) + "." + parts[1] + "." + parts[2], "algorithm"},
		{"alg none, signed", encode([]byte(`{"alg":"none","kid":"ed"}`)) + "." + parts[1] + "." + parts[2], "algorithm"},
		{"alg missing", encode([]byte(`{"kid":"ed"}`)) + "." + parts[1] + "." + parts[2], "algorithm"},
		{"alg HS256 with the public key", sign(t, object{"alg": "HS256", "kid": "ed"}, payload, []byte(edPublic)), "algorithm"},
		{"alg RS384, not in the list", encode([]byte(`{"alg":"RS384","kid":"rsa"}`)) + "." + parts[1] + "." + parts[2], "algorithm"},
		{"alg twice", encode([]byte(`{"alg":"EdDSA","alg":"EdDSA","kid":"ed"}`)) + "." + parts[1] + "." + parts[2], "header"},
		{"Alg beside", with(object{"alg": "EdDSA", "kid": "ed", "Alg": "none"}), ""},
		{"key of another algorithm", with(object{"alg": "EdDSA", "kid": "rsa"}), "no such key"},

		{"crit", with(object{"alg": "EdDSA", "kid": "ed", "crit": []string{"b64"}, "b64": false}), "crit"},
		{"crit empty", with(object{"alg": "EdDSA", "kid": "ed", "crit": []string{}}), "crit"},
		{"b64 without crit", with(object{"alg": "EdDSA", "kid": "ed", "b64": false}), "b64"},
		{"zip", with(object{"alg": "EdDSA", "kid": "ed", "zip": "DEF"}), "zip"},
		{"kid a number", with(object{"alg": "EdDSA", "kid": 1}), "kid"},
		{"kid null", with(object{"alg": "EdDSA", "kid": nil}), "kid"},
		{"kid empty", with(object{"alg": "EdDSA", "kid": ""}), "kid"},
		{"kid unknown", with(object{"alg": "EdDSA", "kid": "../../etc/passwd"}), "no such key"},
		{"kid too long", with(object{"alg": "EdDSA", "kid": strings.Repeat("k", 513)}), "kid"},

		{"forged", sign(t, object{"alg": "EdDSA", "kid": "ed"}, payload, forger), "signature"},
		{"forged, key in the header", sign(t, object{"alg": "EdDSA", "kid": "ed", "jwk": json.RawMessage(evilJWK)}, payload, forger), "signature"},
		{"forged, key in the header, no kid", sign(t, object{"alg": "EdDSA", "jwk": json.RawMessage(evilJWK)}, payload, forger), "signature"},
		{"forged, jku", sign(t, object{"alg": "EdDSA", "kid": "ed", "jku": "http://127.0.0.1:1/"}, payload, forger), "signature"},
		{"forged, x5u", sign(t, object{"alg": "EdDSA", "kid": "ed", "x5u": "http://127.0.0.1:1/"}, payload, forger), "signature"},
		{"jku beside a good signature", with(object{"alg": "EdDSA", "kid": "ed", "jku": "http://127.0.0.1:1/"}), ""},

		{"other claims", parts[0] + "." + encode(marshal(t, claims(object{"sub": "u2"}))) + "." + parts[2], "signature"},
		{"no signature", parts[0] + "." + parts[1] + ".", "three parts"},
		{"signature cut", valid[:len(valid)-4], "signature"},
		{"two parts", parts[0] + "." + parts[1], "signed"},
		{"five parts (JWE)", valid + ".a.b", "signed"},
		{"one part", "abc", "three parts"},
		{"dots", "..", "three parts"},
		{"padded", parts[0] + "=." + parts[1] + "." + parts[2], "base64url"},
		{"JSON serialization", `{"payload":"` + parts[1] + `","protected":"` + parts[0] + `","signature":"` + parts[2] + `"}`, "signed"},
		{"empty", "", "empty"},
		{"line feed", valid + "\n", "visible ASCII"},
		{"too long", valid + strings.Repeat("A", 16<<10), "too long"},

		{"claims not JSON", sign(t, object{"alg": "EdDSA", "kid": "ed"}, []byte("x"), edPrivate), "claims"},
		{"claims an array", sign(t, object{"alg": "EdDSA", "kid": "ed"}, []byte("["+string(payload)+"]"), edPrivate), "claims"},
		{"claims twice", sign(t, object{"alg": "EdDSA", "kid": "ed"}, append(payload[:len(payload):len(payload)], payload...), edPrivate), "claims"},
		{"a claim twice", sign(t, object{"alg": "EdDSA", "kid": "ed"}, bytes.Replace(payload, []byte("{"), []byte(`{"sub":"u2",`), 1), edPrivate), "claims"},
		{"an event twice", sign(t, object{"alg": "EdDSA", "kid": "ed"}, bytes.Replace(payload, []byte(`"events":{`), []byte(`"events":{"`+event+`":{},`), 1), edPrivate), "claims"},
		{"not UTF-8", sign(t, object{"alg": "EdDSA", "kid": "ed"}, bytes.Replace(payload, []byte("u1"), []byte("\xff1"), 1), edPrivate), "claims"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := newReceiver(t, backchannel.Config{})
			w := r.post(t, tt.token)
			if tt.want == "" {
				wantStatus(t, w, 200)
			} else if wantStatus(t, w, 400); !strings.Contains(w.Body.String(), tt.want) {
				t.Errorf("body %s, want %q in it", w.Body, tt.want)
			}
			if got, want := len(r.revoked) > 0, tt.want == ""; got != want {
				t.Errorf("revoked: %v", r.revoked)
			}
		})
	}

	// J1: the list is the caller's, and cannot be weakened.
	wantStatus(t, newReceiver(t, backchannel.Config{Algorithms: []string{"ES256"}}).post(t, valid), 400)
	wantStatus(t, newReceiver(t, backchannel.Config{Algorithms: []string{"PS256"}}).post(t, pss), 200)
}

// FuzzR3Claims: whatever an issuer signs, what is accepted has, by a lenient
// reading too, our issuer and audience, the event, somebody to log out, a jti,
// no nonce; and exactly that is revoked.
func FuzzR3Claims(f *testing.F) {
	for _, change := range []object{nil, {"sid": gone}, {"sub": gone, "aud": []string{client}}, {"nonce": "x"}, {"exp": gone}} {
		f.Add(marshal(f, claims(change)))
	}
	f.Fuzz(func(t *testing.T, payload []byte) {
		r := newReceiver(t, backchannel.Config{})
		w := r.post(t, sign(t, object{"alg": "EdDSA", "kid": "ed"}, payload, edPrivate))
		if w.Code != 200 {
			if wantStatus(t, w, 400); len(r.revoked) != 0 {
				t.Errorf("refused, but revoked %v", r.revoked)
			}
			return
		}
		var c object
		if err := json.Unmarshal(payload, &c); err != nil {
			t.Fatalf("accepted what is no JSON: %v", err)
		}
		_, nonce := c["nonce"]
		events, _ := c["events"].(object)
		_, logout := events[event].(object)
		jti, _ := c["jti"].(string)
		sub, _ := c["sub"].(string)
		sid, _ := c["sid"].(string)
		if c["iss"] != issuer || !strings.Contains(fmt.Sprint(c["aud"]), client) || nonce || !logout || jti == "" || sub+sid == "" {
			t.Errorf("accepted: %s", payload)
		}
		if len(r.revoked) != 1 || r.revoked[0].Issuer != issuer || r.revoked[0].SessionID != sid ||
			sid == "" && (r.revoked[0].Subject != sub || r.revoked[0].IssuedBefore.IsZero()) {
			t.Errorf("revoked %v by %s", r.revoked, payload)
		}
	})
}

// FuzzR3Token: nothing that isn't the issuer's signature revokes.
func FuzzR3Token(f *testing.F) {
	token := good(f, nil)
	f.Add(token)
	f.Add(sign(f, object{"alg": "HS256"}, marshal(f, claims(nil)), []byte(edPublic)))
	f.Add(encode([]byte(`{"alg":"none"}`)) + "." + strings.Split(token, ".")[1] + ".")
	signed := token[:strings.LastIndexByte(token, '.')]
	f.Fuzz(func(t *testing.T, in string) {
		r := newReceiver(t, backchannel.Config{})
		if w := r.post(t, in); w.Code == 200 && !strings.HasPrefix(in, signed+".") {
			t.Errorf("accepted: %s", in)
		}
	})
}
