package ssf_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/portcullis-auth/portcullis"
	"github.com/portcullis-auth/portcullis/revoke/ssf"
)

// R4, J1 to J5: each bad SET is refused with its reason, and nobody is
// disconnected by it.
func TestR4Refused(t *testing.T) {
	now := time.Now().Unix()
	valid := good(nil)
	parts := strings.Split(valid, ".")
	payload := marshal(claims(nil))
	raw := func(old, change string) string {
		return sign(header(nil), bytes.Replace(payload, []byte(old), []byte(change), 1), private)
	}
	head := func(change object) string { return sign(header(change), payload, private) }
	s := newSite(t, ssf.Config{})
	for _, tt := range []struct{ name, set, want string }{
		{"J1 none", head(object{"alg": "none"}), "invalid_request"},
		{"J1 none, unsigned", encode([]byte(`{"alg":"none","typ":"secevent+jwt"}`)) + "." + parts[1] + ".", "invalid_request"},
		{"J1 HMAC with the public key", symmetric(), "invalid_request"},
		{"J1 not in the list", head(object{"alg": "ES512"}), "invalid_request"},
		{"J2 typ missing", head(object{"typ": gone}), "invalid_request"},
		{"J2 typ JWT", head(object{"typ": "JWT"}), "invalid_request"},
		{"J2 logout token", head(object{"typ": "logout+jwt"}), "invalid_request"},
		{"J2 access token", head(object{"typ": "at+jwt"}), "invalid_request"},
		{"J2 iss missing", good(object{"iss": gone}), "invalid_issuer"},
		{"J2 iss wrong", good(object{"iss": other}), "invalid_issuer"},
		{"J2 iss with a slash", good(object{"iss": issuer + "/"}), "invalid_issuer"},
		{"J2 iss a list", good(object{"iss": []string{issuer}}), "invalid_request"},
		{"J2 aud missing", good(object{"aud": gone}), "invalid_audience"},
		{"J2 aud wrong", good(object{"aud": audience + "2"}), "invalid_audience"},
		{"J2 aud without us", good(object{"aud": []string{"x"}}), "invalid_audience"},
		{"J3 unknown kid", head(object{"kid": "new"}), "invalid_key"},
		{"J3 another algorithm than the key's", head(object{"alg": "ES256"}), "invalid_key"},
		{"J3 forged", sign(header(nil), payload, forger), "authentication_failed"},
		{"J3 forged, jku", sign(header(object{"jku": "http://127.0.0.1:1/"}), payload, forger), "authentication_failed"},
		{"J3 other claims", parts[0] + "." + encode(payload) + "." + parts[2], "authentication_failed"},
		{"J3 signature cut", valid[:len(valid)-2], "authentication_failed"},
		{"J4 crit", head(object{"crit": []string{"b64"}, "b64": false}), "invalid_request"},
		{"J4 claims twice", sign(header(nil), append(bytes.Clone(payload), payload...), private), "invalid_request"},
		{"J4 a claim twice", raw("{", `{"aud":"`+audience+`",`), "invalid_request"},
		{"J4 an event twice", raw(`"events":{`, `"events":{"`+ssf.SessionRevoked+`":{},`), "invalid_request"},
		{"J4 sub_id twice", raw(`"sub_id":{`, `"sub_id":{"sub":"bob",`), "invalid_request"},
		{"J4 not UTF-8", raw("ann", "\xff"), "invalid_request"},
		{"J5 too long", valid + strings.Repeat("A", 16<<10), "invalid_request"},
		{"J5 JWE", valid + ".a.b", "invalid_request"},
		{"empty", "", "invalid_request"},
		{"line feed", valid + "\n", "invalid_request"},
		{"no SET", `{"events":{}}`, "invalid_request"},

		{"exp, as of an ID token", good(object{"exp": now + 100}), "invalid_request"},
		{"exp null", good(object{"exp": nil}), "invalid_request"},
		{"nonce", good(object{"nonce": "n"}), "invalid_request"},
		{"sub", good(object{"sub": "ann"}), "invalid_request"},
		{"jti missing", good(object{"jti": gone}), "invalid_request"},
		{"jti empty", good(object{"jti": ""}), "invalid_request"},
		{"iat missing", good(object{"iat": gone}), "invalid_request"},
		{"iat null", good(object{"iat": nil}), "invalid_request"},
		{"iat text", good(object{"iat": fmt.Sprint(now)}), "invalid_request"},
		{"iat ahead", good(object{"iat": now + 100}), "invalid_request"},

		{"events missing", good(object{"events": gone}), "invalid_request"},
		{"events null", good(object{"events": nil}), "invalid_request"},
		{"events empty", good(object{"events": object{}}), "invalid_request"},
		{"events a list", good(object{"events": []string{ssf.SessionRevoked}}), "invalid_request"},
		{"Events", good(object{"events": gone, "Events": object{ssf.SessionRevoked: object{}}}), "invalid_request"},
		{"event null", good(object{"events": object{ssf.SessionRevoked: nil}}), "invalid_request"},
		{"event true", good(object{"events": object{ssf.SessionRevoked: true}}), "invalid_request"},
		{"two events", good(object{"events": object{ssf.SessionRevoked: object{}, ssf.CredentialChange: object{}}}), "invalid_request"},
		{"an event and a verification", good(object{"events": object{ssf.SessionRevoked: object{}, verification: object{}}}), "invalid_request"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s.t = t
			if status, code := s.push(tt.set); status != 400 || code != tt.want {
				t.Errorf("%d %q, want 400 %q", status, code, tt.want)
			}
			if got := s.ended(); got != "" || len(s.revoked)+len(s.asked) > 0 {
				t.Errorf("ended %q, revoked %v, asked %v", got, s.revoked, s.asked)
			}
		})
	}
	s.want(valid, 202, "ann1 ann2")

	// J1: the list is the caller's.
	newSite(t, ssf.Config{Algorithms: []string{"ES256"}}).want(valid, 400, "")
}

// R4: what a good SET may look like besides.
func TestR4Accepted(t *testing.T) {
	now := time.Now().Unix()
	for name, set := range map[string]string{
		"typ in full":           sign(header(object{"typ": "application/secevent+jwt"}), marshal(claims(nil)), private),
		"no kid":                sign(header(object{"kid": gone}), marshal(claims(nil)), private),
		"aud a list":            good(object{"aud": []string{"x", audience}}),
		"clock ahead":           good(object{"iat": now + 50}),
		"delivered a week late": good(object{"iat": now - 7*24*3600, "events": object{ssf.SessionRevoked: object{"event_timestamp": now - 60}}}),
		"other claims":          good(object{"txn": "1", "toe": now}),
		"event with members":    good(object{"events": object{ssf.SessionRevoked: object{"reason_admin": object{"en": "x"}}}}),
		"an unknown event too":  good(object{"events": object{ssf.SessionRevoked: object{}, "https://example.com/x": object{}}}),
		"subject in the event":  good(object{"sub_id": gone, "events": object{ssf.SessionRevoked: object{"subject": claims(nil)["sub_id"]}}}),
	} {
		t.Run(name, func(t *testing.T) {
			s := newSite(t, ssf.Config{})
			want := "ann1 ann2"
			if name == "delivered a week late" { // and issued before the tokens: they are spared
				want = ""
			}
			s.want(set, 202, want)
		})
	}
}

// R4: what we don't know, and what concerns the stream alone, is acknowledged
// and disconnects nobody.
func TestR4Acknowledged(t *testing.T) {
	stream := object{"format": "opaque", "id": "ann"} // a stream may be called as a user is
	for name, tt := range map[string]struct {
		change object
		log    string
	}{
		"unknown event":               {object{"events": object{"https://example.com/x": object{}}}, "no event that we know"},
		"unknown event and subject":   {object{"events": object{"https://example.com/x": object{}}, "sub_id": "x"}, "no event that we know"},
		"RISC":                        {object{"events": object{disabled: object{}}}, "no event that we know"},
		"known in another case":       {object{"events": object{strings.ToUpper(ssf.SessionRevoked): object{}}}, "no event that we know"},
		"ignored":                     {object{"events": object{ssf.TokenClaimsChange: object{}}}, "ignored, as configured"},
		"verification":                {object{"events": object{verification: object{"state": "x"}}, "sub_id": stream}, "stream verified"},
		"verification, without state": {object{"events": object{verification: object{}}, "sub_id": stream}, "stream verified"},
		"stream updated":              {object{"events": object{streamUpdated: object{"status": "paused"}}, "sub_id": stream}, "status=paused"},
	} {
		t.Run(name, func(t *testing.T) {
			s := newSite(t, ssf.Config{Actions: map[string]ssf.Action{ssf.TokenClaimsChange: ssf.Ignore}})
			s.want(good(tt.change), 202, "")
			if len(s.revoked)+len(s.asked) > 0 || !strings.Contains(s.logged(), tt.log) {
				t.Errorf("revoked %v, asked %v, log:\n%s", s.revoked, s.asked, s.logged())
			}
		})
	}
}

// R4: what each event leads to.
func TestR4Actions(t *testing.T) {
	for _, tt := range []struct {
		event, ended, asked string
		actions             map[string]ssf.Action
	}{
		{ssf.SessionRevoked, "ann1 ann2", "", nil},
		{ssf.CredentialChange, "", "ann1 ann2", nil},
		{ssf.TokenClaimsChange, "", "ann1 ann2", nil},
		{ssf.AssuranceLevelChange, "", "ann1 ann2", nil},
		{ssf.DeviceComplianceChange, "", "ann1 ann2", nil},
		{ssf.CredentialChange, "ann1 ann2", "", map[string]ssf.Action{ssf.CredentialChange: ssf.Revoke}},
		{ssf.SessionRevoked, "", "ann1 ann2", map[string]ssf.Action{ssf.SessionRevoked: ssf.Recheck}},
		{ssf.SessionRevoked, "", "", map[string]ssf.Action{ssf.SessionRevoked: ssf.Ignore}},
		{disabled, "ann1 ann2", "", map[string]ssf.Action{disabled: ssf.Revoke}},
	} {
		s := newSite(t, ssf.Config{Actions: tt.actions})
		s.want(good(object{"events": object{tt.event: object{}}}), 202, tt.ended)
		if got := strings.Join(s.asked, " "); got != tt.asked {
			t.Errorf("%s: asked about %q, want %q", tt.event, got, tt.asked)
		}
	}
}

// FuzzR4Claims: whatever a transmitter signs, what is acted upon says of itself,
// by a lenient reading too, that it is for us and about a known event; and what
// is revoked names somebody.
func FuzzR4Claims(f *testing.F) {
	for _, change := range []object{
		nil,
		{"exp": 1},
		{"iat": gone},
		{"sub_id": gone},
		{"events": object{ssf.CredentialChange: object{}}},
		{"sub_id": object{"format": "email", "email": "ann@example.com"}},
		{"sub_id": object{"format": "opaque", "id": "ann"}},
		{"sub_id": object{"format": "jwt_id", "iss": issuer, "jti": "t1"}},
		{"sub_id": object{"format": "complex", "user": object{"format": "opaque", "id": "ann"}, "session": object{"format": "opaque", "id": "s1"}}},
		{"sub_id": object{"format": "complex", "tenant": object{"format": "opaque", "id": "acme"}}},
	} {
		f.Add(marshal(claims(change)))
	}
	f.Fuzz(func(t *testing.T, payload []byte) {
		s := newSite(t, ssf.Config{Members: map[string]string{"tenant": "tid", "device": ""}})
		status, _ := s.push(sign(header(nil), payload, private))
		acted := len(s.revoked)+len(s.asked) > 0 || s.ended() != ""
		if status != 202 {
			if status != 400 || acted {
				t.Errorf("status %d, revoked %v, asked %v, ended %q", status, s.revoked, s.asked, s.ended())
			}
			return
		}
		var c struct {
			Iss    string
			Aud    any
			Jti    string
			Iat    *float64
			Events map[string]any
			SubID  any `json:"sub_id"`
		}
		if err := json.Unmarshal(payload, &c); err != nil {
			t.Fatalf("accepted what is no JSON: %v", err)
		}
		if c.Iss != issuer || !strings.Contains(fmt.Sprint(c.Aud), audience) || c.Jti == "" || c.Iat == nil || len(c.Events) == 0 {
			t.Errorf("accepted: %s", payload)
		}
		if acted && c.Events[ssf.SessionRevoked] == nil && len(s.asked) == 0 {
			t.Errorf("acted upon: %s", payload)
		}
		for _, rev := range s.revoked {
			if rev.Subject == "" && rev.SessionID == "" && rev.TokenID == "" || rev.Issuer == "" {
				t.Errorf("revoked %v by %s", rev, payload)
			}
		}
	})
}

// FuzzR4Token: nothing but what the transmitter has signed does anything.
func FuzzR4Token(f *testing.F) {
	valid := good(nil)
	f.Add(valid)
	f.Add(symmetric())
	f.Add(sign(header(nil), marshal(claims(nil)), forger))
	f.Add(encode([]byte(`{"alg":"none","typ":"secevent+jwt"}`)) + "." + strings.Split(valid, ".")[1] + ".")
	f.Fuzz(func(t *testing.T, in string) {
		s := newSite(t, ssf.Config{})
		if status, _ := s.push(in); status == 202 != (in == valid) || in != valid && s.ended() != "" {
			t.Errorf("status %d for %s", status, in)
		}
	})
}

// R4: what can't be told, or done, now is neither a yes nor a no.
func TestR4Unavailable(t *testing.T) {
	s := newSite(t, ssf.Config{Keys: fixed{errors.New("down")}})
	s.want(good(nil), 503, "")
	if len(s.revoked) > 0 || !strings.Contains(s.logged(), portcullis.ErrUnavailable.Error()) {
		t.Errorf("revoked %v, log:\n%s", s.revoked, s.logged())
	}
}
