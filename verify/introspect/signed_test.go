package introspect_test

import (
	"crypto/ed25519"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/google/go-cmp/cmp"

	"github.com/portcullis-auth/portcullis"
	"github.com/portcullis-auth/portcullis/verify/introspect"
)

// verifySigned demands a signed answer and gets the one given.
func verifySigned(t testing.TB, jwt string) (*portcullis.Identity, error) {
	t.Helper()
	server := newSite(reply(200, signedType, jwt))
	id, err := check(t, newDiscovery(t, server, introspect.Config{SignedResponse: introspect.SignedRequired}))
	for _, asked := range server.take() {
		switch asked[strings.IndexByte(asked, ' ')+1:] {
		case oidcDoc, jwksURL, endpoint:
		default: // J3
			t.Errorf("asked for %s", asked)
		}
	}
	return id, err
}

// A signedCase is an answer, and what the error says; "": there is none.
type signedCase struct{ name, jwt, want string }

func signedCases(t *testing.T, cases []signedCase) {
	t.Helper()
	for _, tt := range cases {
		t.Run(tt.name, func(t *testing.T) {
			id, err := verifySigned(t, tt.jwt)
			if tt.want == "" {
				if err != nil {
					t.Fatal(err)
				}
				want := &portcullis.Identity{Issuer: issuer, Subject: "ada", Claims: []byte(`{"active":true,"sub":"ada"}`)}
				if diff := cmp.Diff(want, id); diff != "" {
					t.Errorf("identity (-want +got):\n%s", diff)
				}
				return
			}
			checkError(t, err, portcullis.ErrUnavailable)
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("err = %v, want %q in it", err, tt.want)
			}
		})
	}
}

// J1: the issuer's keys, each with its algorithm, and no other.
func TestJ1SignedAlgorithms(t *testing.T) {
	public, err := x509.MarshalPKIXPublicKey(rsaKey().Public())
	if err != nil {
		t.Fatal(err)
	}
	with := func(alg, kid string, key any) string {
		return sign(head(object{"alg": alg, "kid": kid}), claims(nil), key)
	}
	signedCases(t, []signedCase{
		{"EdDSA", good(), ""},
		{"EdDSA without kid", sign(head(object{"kid": gone}), claims(nil), edPrivate), ""},
		{"RS256", with("RS256", "rsa", nil), ""},
		{"PS256", with("PS256", "rsa-pss", nil), ""},
		{"ES256", with("ES256", "ec", nil), ""},
		{"one key, one algorithm", with("PS256", "rsa", nil), "no such key"},
		{"the other way", with("RS256", "rsa-pss", nil), "no such key"},
		{"another's key", with("EdDSA", "ed", forger), "not by a key"},
		{"another's kid", with("EdDSA", "ec", edPrivate), "no such key"},
		{"unknown kid", with("EdDSA", "../ed", forger), "no such key"},
		{"none", with("none", "ed", nil), "algorithm"},
		{"None", with("None", "ed", nil), "algorithm"},
		{"NONE without kid", sign(head(object{"alg": "NONE", "kid": gone}), claims(nil), nil), "algorithm"},
		{"no alg", sign(head(object{"alg": gone}), claims(nil), nil), "algorithm"},
		{"alg as list", sign(head(object{"alg": []string{"EdDSA"}}), claims(nil), nil), "algorithm"},
		{"HS256 with the public key as DER", with("HS256", "rsa", public), "algorithm"},
		{"HS256 with the public key as PEM", with("HS256", "rsa", []byte(pemOf("PUBLIC KEY", public, nil))), "algorithm"},
		{"HS256 with the public key as bytes", with("HS256", "ed", []byte(edPublic)), "algorithm"},
		{"RS384, not in the list", with("RS384", "rsa", nil), "algorithm"},
	})
}

// J1: a list of one's own is obeyed.
func TestJ1SignedAlgorithmsConfigured(t *testing.T) {
	for _, tt := range []struct {
		algorithms []string
		want       error
	}{{[]string{"EdDSA"}, nil}, {[]string{"ES256", "RS256"}, portcullis.ErrUnavailable}} {
		_, err := check(t, newDiscovery(t, newSite(reply(200, signedType, good())), introspect.Config{
			SignedResponse: introspect.SignedRequired, Algorithms: tt.algorithms,
		}))
		checkError(t, err, tt.want)
	}
}

// J2: from this issuer, for us, an introspection response, made now.
func TestJ2SignedClaims(t *testing.T) {
	with := func(changes object) string { return sign(head(nil), claims(changes), edPrivate) }
	typ := func(v any) string { return sign(head(object{"typ": v}), claims(nil), edPrivate) }
	now := time.Now().Unix()
	signedCases(t, []signedCase{
		{"typ as media type", typ("Application/Token-Introspection+JWT"), ""},
		{"no typ", typ(gone), "typ"},
		{"typ of a token", typ("at+jwt"), "typ"},
		{"typ JWT", typ("JWT"), "typ"},
		{"typ as list", typ([]string{"token-introspection+jwt"}), "typ"},
		{"no iss", with(object{"iss": gone}), "iss"},
		{"wrong iss", with(object{"iss": "https://evil.example.com"}), "iss"},
		{"iss with a slash more", with(object{"iss": issuer + "/"}), "iss"},
		{"iss as list", with(object{"iss": []string{issuer}}), "wrong type"},
		{"aud among others", with(object{"aud": []string{"x", clientID}}), ""},
		{"no aud", with(object{"aud": gone}), "aud"},
		{"wrong aud", with(object{"aud": "another gateway"}), "aud"},
		{"part of aud", with(object{"aud": clientID + "2"}), "aud"},
		{"empty aud", with(object{"aud": []string{}}), "aud"},
		{"aud with a number", with(object{"aud": []any{clientID, 1}}), "aud"},
		{"aud with null", with(object{"aud": []any{clientID, nil}}), "aud"},
		{"aud as object", with(object{"aud": object{clientID: true}}), "aud"},
		{"clock behind", with(object{"iat": now - 45}), ""},
		{"clock ahead", with(object{"iat": now + 45}), ""},
		{"no iat", with(object{"iat": gone}), "iat"},
		{"iat null", with(object{"iat": nil}), "iat"},
		{"iat as text", with(object{"iat": "now"}), "wrong type"},
		{"kept and played again", with(object{"iat": now - 75}), "too long ago"},
		{"made in the future", with(object{"iat": now + 3600}), "in the future"},
		{"exp to come", with(object{"exp": now + 60}), ""},
		{"exp past", with(object{"exp": now - 120}), "exp"},
		{"exp null", with(object{"exp": nil}), "exp"},
	})
}

// J3: only the issuer's published keys count, and nobody else is asked
// (verifySigned looks).
func TestJ3SignedKeys(t *testing.T) {
	own := json.RawMessage(jwk(jose.JSONWebKey{Key: forger.Public(), KeyID: "ed"}))
	with := func(changes object) string { return sign(head(changes), claims(nil), forger) }
	signedCases(t, []signedCase{
		{"jwk", with(object{"jwk": own}), "not by a key"},
		{"jwk without kid", with(object{"jwk": own, "kid": gone}), "not by a key"},
		{"jku", with(object{"jku": "https://evil.example.com/keys"}), "not by a key"},
		{"x5u", with(object{"x5u": "https://evil.example.com/cert"}), "not by a key"},
		{"kid as URL", with(object{"kid": "https://evil.example.com/keys"}), "no such key"},
		{"kid empty", sign(head(object{"kid": ""}), claims(nil), edPrivate), "kid"},
		{"kid as number", sign(head(object{"kid": 1}), claims(nil), edPrivate), "kid"},
		{"jku, but the issuer's signature", sign(head(object{"jku": "https://evil.example.com/keys"}), claims(nil), edPrivate), ""},
	})
}

// J4: strict JSON in the header, the claims and the response inside.
func TestJ4SignedStrict(t *testing.T) {
	payload := func(s string) string {
		s = strings.NewReplacer("ISS", `"iss":"`+issuer+`"`, "AUD", `"aud":"`+clientID+`"`, "IAT", `"iat":`+string(marshal(time.Now().Unix()))).Replace(s)
		return sign(head(nil), []byte(s), edPrivate)
	}
	header := func(s string) string {
		input := encode([]byte(s)) + "." + encode(claims(nil))
		return input + "." + encode(ed25519.Sign(edPrivate, []byte(input)))
	}
	signedCases(t, []signedCase{
		{"as it should be", payload(`{ISS,AUD,IAT,"token_introspection":{"active":true,"sub":"ada"}}`), ""},
		{"response twice", payload(`{ISS,AUD,IAT,"token_introspection":{"active":false},"token_introspection":{"active":true}}`), "duplicate"},
		{"active twice", payload(`{ISS,AUD,IAT,"token_introspection":{"active":false,"active":true}}`), "duplicate"},
		{"name in another case", payload(`{ISS,AUD,IAT,"Token_Introspection":{"active":true}}`), "not JSON"},
		{"iss in another case", payload(`{"Iss":"` + issuer + `",AUD,IAT,"token_introspection":{"active":true}}`), "iss"},
		{"data behind", payload(`{ISS,AUD,IAT,"token_introspection":{"active":true}}{}`), "behind"},
		{"huge iat", payload(`{ISS,AUD,"iat":1e300,"token_introspection":{"active":true}}`), "wrong type"},
		{"not an object", payload(`[]`), "not a JSON object"},
		{"empty", payload(``), "three parts"},
		{"header with alg twice", header(`{"alg":"none","alg":"EdDSA","typ":"token-introspection+jwt"}`), "duplicate"},
		{"header with Alg", header(`{"Alg":"EdDSA","typ":"token-introspection+jwt"}`), "algorithm"},
		{"header with data behind", header(`{"alg":"EdDSA","typ":"token-introspection+jwt"} {}`), "behind"},
		{"crit", header(`{"alg":"EdDSA","typ":"token-introspection+jwt","crit":["exp"],"exp":1}`), "crit"},
		{"crit empty", header(`{"alg":"EdDSA","typ":"token-introspection+jwt","crit":[]}`), "crit"},
		{"b64", header(`{"alg":"EdDSA","typ":"token-introspection+jwt","b64":false,"crit":["b64"]}`), "crit"},
		{"b64 without crit", header(`{"alg":"EdDSA","typ":"token-introspection+jwt","b64":false}`), "b64"},
		{"header not base64url", "!" + good(), "base64url"},
	})
}

// J5: an encrypted answer, and whatever else isn't a signed one.
func TestJ5SignedIsNotEncrypted(t *testing.T) {
	encrypter, err := jose.NewEncrypter(jose.A256GCM, jose.Recipient{Algorithm: jose.RSA_OAEP, Key: rsaKey().Public()},
		(&jose.EncrypterOptions{Compression: jose.DEFLATE}).WithType("token-introspection+jwt").WithContentType("JWT"))
	if err != nil {
		t.Fatal(err)
	}
	jwe, err := encrypter.Encrypt([]byte(good()))
	if err != nil {
		t.Fatal(err)
	}
	encrypted, err := jwe.CompactSerialize()
	if err != nil {
		t.Fatal(err)
	}
	signedCases(t, []signedCase{
		{"JWE", encrypted, "encrypted"},
		{"plain JSON", `{"active":true}`, "not a signed token"},
		{"JSON serialization", `{"payload":"e30","signatures":[]}`, "not a signed token"},
		{"two parts", strings.Join(strings.Split(good(), ".")[:2], "."), "not a signed token"},
		{"no signature", good()[:strings.LastIndexByte(good(), '.')+1], "not a signed token"},
		{"no payload", encode(marshal(head(nil))) + "..", "not a signed token"},
		{"dots", strings.Repeat(".", 200<<10), "not a signed token"},
		{"two dots", "..", "not a signed token"},
		{"too large", good() + strings.Repeat("A", 256<<10), "larger"},
	})
}

// I1: what is signed is an answer like any other.
func TestI1SignedActive(t *testing.T) {
	for _, tt := range []struct {
		name     string
		response any
		want     error
	}{
		{"yes", object{"active": true}, nil},
		{"no", object{"active": false}, portcullis.ErrInvalid},
		{"no to another issuer's token", object{"active": true, "iss": "https://other.example.com"}, portcullis.ErrInvalid},
		{"text", object{"active": "true"}, portcullis.ErrUnavailable},
		{"number", object{"active": 1}, portcullis.ErrUnavailable},
		{"another case", object{"Active": true}, portcullis.ErrUnavailable},
		{"nothing", object{}, portcullis.ErrUnavailable},
		{"bad exp", object{"active": true, "exp": "never"}, portcullis.ErrUnavailable},
		{"list", []any{object{"active": true}}, portcullis.ErrUnavailable},
		{"encoded", `{"active":true}`, portcullis.ErrUnavailable},
		{"true", true, portcullis.ErrUnavailable},
		{"null", nil, portcullis.ErrUnavailable},
		{"missing", gone, portcullis.ErrUnavailable},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, err := verifySigned(t, sign(head(nil), claims(object{"token_introspection": tt.response, "active": true}), edPrivate))
			checkError(t, err, tt.want)
		})
	}
	// A no that nobody signed is none: the server may be another one.
	_, err := verifySigned(t, sign(head(nil), claims(object{"token_introspection": object{"active": false}}), forger))
	checkError(t, err, portcullis.ErrUnavailable)
}

// I1: no bit of a signed answer can be changed so that it says something else.
func TestI1SignedBitFlips(t *testing.T) {
	jwt := good()
	for i := range jwt {
		flipped := []byte(jwt)
		flipped[i] ^= 1 << (i % 7)
		id, err := verifySigned(t, string(flipped))
		if err != nil {
			checkError(t, err, portcullis.ErrUnavailable)
		} else if string(id.Claims) != `{"active":true,"sub":"ada"}` {
			t.Errorf("byte %d: claims %s", i, id.Claims)
		}
	}
}

// Which kinds of answer each mode asks for and takes.
func TestI2SignedResponse(t *testing.T) {
	plain := answer(`{"active":true}`)
	signed := reply(200, signedType+"; charset=us-ascii", good())
	forged := reply(200, signedType, sign(head(nil), claims(nil), forger))
	for _, tt := range []struct {
		mode   introspect.SignedResponse
		accept string
		page   http.HandlerFunc
		want   string // "": let in
	}{
		{"", "application/json", plain, ""},
		{"", "application/json", signed, "Content-Type is not application/json"},
		{introspect.SignedOff, "application/json", plain, ""},
		{introspect.SignedOff, "application/json", signed, "Content-Type is not application/json"},
		{introspect.SignedAccept, signedType + ", application/json", plain, ""},
		{introspect.SignedAccept, signedType + ", application/json", signed, ""},
		{introspect.SignedAccept, signedType + ", application/json", forged, "not by a key"},
		{introspect.SignedAccept, signedType + ", application/json", reply(200, "text/html", "<html>"), "HTML"},
		{introspect.SignedAccept, signedType + ", application/json", reply(200, "application/jwt", good()), "Content-Type"},
		{introspect.SignedAccept, signedType + ", application/json", reply(200, signedType, `{"active":true}`), "not a signed token"},
		{introspect.SignedRequired, signedType, plain, "not signed"},
		{introspect.SignedRequired, signedType, signed, ""},
		{introspect.SignedRequired, signedType, reply(200, signedType, good()+"\n"), ""},
		{introspect.SignedRequired, signedType, reply(200, signedType, strings.Replace(good(), ".", "\n.", 1)), "base64url"},
		{introspect.SignedRequired, signedType, forged, "not by a key"},
		{introspect.SignedRequired, signedType, reply(200, "", good()), "not signed"},
		{introspect.SignedRequired, signedType, reply(200, signedType, ""), "empty"},
		{introspect.SignedRequired, signedType, reply(401, signedType, good()), "credentials"},
	} {
		server := newSite(func(w http.ResponseWriter, r *http.Request) {
			if got := r.Header.Get("Accept"); got != tt.accept {
				t.Errorf("%q: Accept %q, want %q", tt.mode, got, tt.accept)
			}
			tt.page(w, r)
		})
		_, err := check(t, newDiscovery(t, server, introspect.Config{SignedResponse: tt.mode}))
		if tt.want == "" && err != nil || tt.want != "" && (err == nil || !strings.Contains(err.Error(), tt.want)) {
			t.Errorf("%q: err = %v, want %q", tt.mode, err, tt.want)
		}
		if err != nil {
			checkError(t, err, portcullis.ErrUnavailable)
		}
	}
}

// L4: without the keys a signed answer says nothing, and it is over when they
// are back.
func TestL4SignedKeysDown(t *testing.T) {
	server := newSite(reply(200, signedType, good()))
	server.set(jwksURL, reply(503, "text/plain", "S3CR3T"))
	v := newDiscovery(t, server, introspect.Config{SignedResponse: introspect.SignedAccept})
	_, err := check(t, v)
	checkError(t, err, portcullis.ErrUnavailable)
	if err == nil || !strings.Contains(err.Error(), "status 503") {
		t.Errorf("err = %v", err)
	}

	// A key set of its own, which metadata doesn't name.
	server = newSite(reply(200, signedType, good()))
	server.set("https://keys.example.com/", server.pages[jwksURL])
	server.set(jwksURL, http.NotFound)
	_, err = check(t, newDiscovery(t, server, introspect.Config{
		URL: endpoint, SignedResponse: introspect.SignedRequired, JWKSURL: "https://keys.example.com/",
	}))
	if err != nil {
		t.Error(err)
	}
	if diff := cmp.Diff([]string{"POST " + endpoint, "GET https://keys.example.com/"}, server.take()); diff != "" {
		t.Errorf("asked for (-want +got):\n%s", diff)
	}
}

// FuzzSignedClaims: whatever claims the issuer signs, nobody gets in unless a
// lenient parser, too, finds them meant for us and the token active. NOW stands
// for the time.
func FuzzSignedClaims(f *testing.F) {
	for _, seed := range []string{
		`{"iss":"` + issuer + `","aud":"` + clientID + `","iat":NOW,"token_introspection":{"active":true,"sub":"ada"}}`,
		`{"iss":"` + issuer + `","aud":["x","` + clientID + `"],"iat":NOW,"exp":NOW,"token_introspection":{"active":false}}`,
		`{"iss":"` + issuer + `","aud":"` + clientID + `","iat":1,"token_introspection":{"active":true}}`,
		`{"active":true}`,
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, seed string) {
		payload := []byte(strings.ReplaceAll(seed, "NOW", string(marshal(time.Now().Unix()))))
		id, err := verifySigned(t, sign(head(nil), payload, edPrivate))
		if err != nil {
			return
		}
		var got map[string]any
		_ = json.Unmarshal(payload, &got)
		response, _ := got["token_introspection"].(map[string]any)
		issuedAt, _ := got["iat"].(float64)
		if got["iss"] != issuer || !strings.Contains(fmt.Sprint(got["aud"]), clientID) || issuedAt < 1e9 ||
			response["active"] != true || !strings.Contains(string(payload), string(id.Claims)) {
			t.Errorf("let in by %q", payload)
		}
	})
}
