package jwt_test

import (
	"crypto/ed25519"
	"encoding/base64"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	josejwt "github.com/go-jose/go-jose/v4/jwt"

	"github.com/portcullis-auth/portcullis/verify/jwt"
)

// reference reports whether go-jose accepts the token too: its signature, its
// times, its issuer and audience.
func reference(token string) (claims josejwt.Claims, err error) {
	algorithms := make([]jose.SignatureAlgorithm, len(everything))
	for i, alg := range everything {
		algorithms[i] = jose.SignatureAlgorithm(alg)
	}
	parsed, err := josejwt.ParseSigned(token, algorithms)
	if err != nil {
		return claims, err
	}
	// The key by the algorithm: the set has one for each, of that name.
	key := private(parsed.Headers[0].Algorithm).Public()
	if err := parsed.Claims(key, &claims); err != nil {
		return claims, err
	}
	return claims, claims.ValidateWithLeeway(josejwt.Expected{Issuer: issuer, AnyAudience: josejwt.Audience{audience}, Time: time.Now()}, 2*time.Minute)
}

// FuzzVerify: what is accepted is accepted by go-jose too, and says of itself, by
// a lenient reading, what it must. With resign, the signature is made good, so
// that header and claims are what is tried.
func FuzzVerify(f *testing.F) {
	for _, v := range append(tokens(f, "https://elsewhere.example.com/"), assertions()...) {
		f.Add(v.token, false)
		f.Add(v.token, true)
	}
	for _, alg := range everything {
		f.Add(sign(header(object{"alg": alg, "kid": alg}), claims(nil), private(alg)), false)
	}
	// Every type that can be had, so that the claims are looked at.
	types := []string{"at+jwt", "JWT", ""}
	v, err := jwt.New(jwt.Config{Issuer: issuer, Keys: public(), Algorithms: everything, Audience: []string{audience}, Types: types})
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, token string, resign bool) {
		if i := strings.LastIndexByte(token, '.'); resign && i > 0 {
			token = token[:i] + "." + encode(ed25519.Sign(edPrivate, []byte(token[:i])))
		}
		id, err := v.Verify(t.Context(), token)
		if (id == nil) == (err == nil) {
			t.Fatalf("identity %v and error %v", id, err)
		}
		if err != nil {
			return
		}
		var h, c object
		parts := strings.Split(token, ".")
		for i, into := range []*object{&h, &c} {
			raw, err := base64.RawURLEncoding.DecodeString(parts[i])
			if err != nil || json.Unmarshal(raw, into) != nil {
				t.Fatalf("accepted what can't be read: %s", token)
			}
		}
		for name := range h {
			switch name {
			case "alg", "kid", "typ":
			case "crit", "b64", "enc", "zip":
				t.Errorf("accepted with %q: %s", name, token)
			default:
				// go-jose reads members that we don't look at, and refuses
				// what it doesn't like there.
				return
			}
		}
		if h["alg"] == "Ed25519" { // go-jose doesn't know RFC 9864
			return
		}
		want, err := reference(token)
		if err != nil {
			t.Fatalf("accepted what go-jose refuses (%v): %s", err, token)
		}
		if want.Issuer != id.Issuer || want.Subject != id.Subject || want.ID != id.TokenID ||
			want.Expiry.Time().Unix() != id.ExpiresAt.Unix() || want.IssuedAt.Time().Unix() != id.IssuedAt.Unix() {
			t.Errorf("identity %+v, want %+v", id, want)
		}
		if _, ok := c["events"]; ok {
			t.Errorf("accepted an event: %s", token)
		}
		if id.Subject == "" && id.ClientID == "" {
			t.Errorf("accepted what is nobody's: %s", token)
		}
	})
}

// The reference accepts what is good, or the fuzz test would mean nothing.
func TestReference(t *testing.T) {
	for _, alg := range everything {
		if _, err := reference(sign(header(object{"alg": alg, "kid": alg}), claims(nil), private(alg))); err != nil {
			t.Errorf("%s: %v", alg, err)
		}
	}
	if _, err := reference(sign(header(nil), claims(nil), forger)); err == nil {
		t.Error("accepts a forged one")
	}
}
