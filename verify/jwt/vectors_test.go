package jwt_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/portcullis-auth/portcullis/verify/jwt"
)

// A vector is a token, and what is to be said of it: "" if it is good.
type vector struct{ name, token, want string }

// tokens are vectors for all that is around the claims, for a Verifier that
// accepts at+jwt and every algorithm. elsewhere is a URL that must not be asked.
func tokens(t testing.TB, elsewhere string) []vector {
	payload := claims(nil)
	with := func(h object) string { return sign(header(h), payload, edPrivate) }
	forged := func(h object) string { return sign(header(h), payload, forger) }
	valid := with(nil)
	parts := strings.Split(valid, ".")
	jose := func(h string) string { return encode([]byte(h)) + "." + parts[1] + "." + parts[2] }
	bare := func(alg string) string { return encode(header(object{"alg": alg})) + "." + parts[1] + "." }
	last := strings.IndexByte(base64url, valid[len(valid)-1])
	rsaPEM := pemOf(t, rsaKey.Public())
	list := []vector{
		{"good", valid, ""},

		// J1
		{"J1 the name of RFC 9864", with(object{"alg": "Ed25519"}), ""},
		{"J1 the name of RFC 9864, forged", forged(object{"alg": "Ed25519"}), "signature"},
		{"J1 none", bare("none"), "three parts"},
		{"J1 none, with a signature", with(object{"alg": "none"}), `"alg"`},
		{"J1 None", with(object{"alg": "None"}), `"alg"`},
		{"J1 NONE", with(object{"alg": "NONE"}), `"alg"`},
		{"J1 nOnE", with(object{"alg": "nOnE"}), `"alg"`},
		{"J1 none and a space", with(object{"alg": "none "}), `"alg"`},
		{"J1 no algorithm", with(object{"alg": gone}), `"alg"`},
		{"J1 empty algorithm", with(object{"alg": ""}), `"alg"`},
		{"J1 algorithm null", with(object{"alg": nil}), `"alg"`},
		{"J1 algorithm an array", with(object{"alg": []string{"EdDSA"}}), `"alg"`},
		{"J1 algorithm in another case", with(object{"alg": "eddsa"}), `"alg"`},
		{"J1 HS256 with the RSA key in PEM", sign(header(object{"alg": "HS256", "kid": "RS256"}), payload, rsaPEM), `"alg"`},
		{"J1 HS256 with the RSA key in PEM, trimmed", sign(header(object{"alg": "HS256", "kid": "RS256"}), payload, bytes.TrimSpace(rsaPEM)), `"alg"`},
		{"J1 HS256 with the key set", sign(header(object{"alg": "HS256", "kid": "RS256"}), payload, public()), `"alg"`},
		{"J1 HMAC under RS256", sign(header(object{"alg": "RS256", "kid": "RS256"}), payload, rsaPEM), "signature"},
		{"J1 HMAC under EdDSA", sign(header(nil), payload, []byte(edPublic)), "signature"},
		{"J1 key of another type", sign(header(object{"kid": "RS256"}), payload, edPrivate), "no such key"},
		{"J1 key for another algorithm", sign(header(object{"alg": "RS256", "kid": "PS256"}), payload, rsaKey), "no such key"},
		{"J1 key for encryption", with(object{"kid": "enc"}), "no such key"},
		{"J1 key that must not verify", with(object{"kid": "ops"}), "no such key"},

		// J2: typ
		{"J2 typ in capitals", with(object{"typ": "AT+JWT"}), ""},
		{"J2 typ in full", with(object{"typ": "application/at+jwt"}), ""},
		{"J2 typ in full capitals", with(object{"typ": "APPLICATION/AT+JWT"}), ""},
		{"J2 no typ", with(object{"typ": gone}), `"typ"`},
		{"J2 typ empty", with(object{"typ": ""}), `"typ"`},
		{"J2 typ null", with(object{"typ": nil}), `"typ"`},
		{"J2 typ a number", with(object{"typ": 1}), `"typ"`},
		{"J2 typ JWT", with(object{"typ": "JWT"}), `"typ"`},
		{"J2 typ of a logout token", with(object{"typ": "logout+jwt"}), `"typ"`},
		{"J2 typ of an event", with(object{"typ": "secevent+jwt"}), `"typ"`},
		{"J2 typ with a parameter", with(object{"typ": "at+jwt;x=1"}), `"typ"`},
		{"J2 Typ", with(object{"typ": gone, "Typ": "at+jwt"}), `"typ"`},

		// J3
		{"J3 no kid, local keys", with(object{"kid": gone}), ""},
		{"J3 kid unknown", with(object{"kid": "other"}), "no such key"},
		{"J3 kid in another case", with(object{"kid": "eddsa"}), "no such key"},
		{"J3 kid up the tree", with(object{"kid": "../../../../dev/null"}), "no such key"},
		{"J3 kid a URL", with(object{"kid": elsewhere}), "no such key"},
		{"J3 kid an injection", with(object{"kid": "' OR 1=1; --\x00"}), "no such key"},
		{"J3 kid empty", with(object{"kid": ""}), `"kid"`},
		{"J3 kid null", with(object{"kid": nil}), `"kid"`},
		{"J3 kid a number", with(object{"kid": 1}), `"kid"`},
		{"J3 kid an array", with(object{"kid": []string{"EdDSA"}}), `"kid"`},
		{"J3 kid long", with(object{"kid": strings.Repeat("k", 512)}), "no such key"},
		{"J3 kid too long", with(object{"kid": strings.Repeat("k", 513)}), `"kid"`},
		{"J3 forged", forged(nil), "signature"},
		{"J3 forged, jwk", forged(object{"jwk": jwk(forger.Public(), nil)}), "signature"},
		{"J3 forged, jwk, no kid", forged(object{"kid": gone, "jwk": jwk(forger.Public(), nil)}), "signature"},
		{"J3 forged, jwk with our kid", forged(object{"jwk": jwk(forger.Public(), object{"kid": "EdDSA"})}), "signature"},
		{"J3 forged, jku", forged(object{"jku": elsewhere}), "signature"},
		{"J3 forged, jku, unknown kid", forged(object{"jku": elsewhere, "kid": "forged"}), "no such key"},
		{"J3 forged, x5u", forged(object{"x5u": elsewhere}), "signature"},
		{"J3 forged, x5c", forged(object{"x5c": []string{"AAAA"}}), "signature"},
		{"J3 good, jku and x5u beside", with(object{"jku": elsewhere, "x5u": elsewhere}), ""},

		// J4
		{"J4 alg twice", jose(`{"alg":"EdDSA","alg":"EdDSA","kid":"EdDSA","typ":"at+jwt"}`), "duplicate"},
		{"J4 alg twice, escaped", jose(`{"alg":"EdDSA","\u0061lg":"none","kid":"EdDSA","typ":"at+jwt"}`), "duplicate"},
		{"J4 Alg beside", with(object{"Alg": "none"}), ""},
		{"J4 Alg alone", with(object{"alg": gone, "Alg": "EdDSA"}), `"alg"`},
		{"J4 header an array", jose(`[]`), "not a JSON object"},
		{"J4 header with data behind", jose(string(header(nil)) + "{}"), "data behind"},
		{"J4 header not UTF-8", jose("{\"alg\":\"EdDSA\",\"x\":\"\xff\"}"), "UTF-8"},
		{"J4 header deep", jose(`{"x":` + strings.Repeat("[", 1000) + strings.Repeat("]", 1000) + `}`), "deeper"},
		{"J4 header not JSON", jose(`x`), "header"},
		{"J4 claims not JSON", sign(header(nil), []byte("x"), edPrivate), "claims"},
		{"J4 claims an array", sign(header(nil), []byte("["+string(payload)+"]"), edPrivate), "not a JSON object"},
		{"J4 claims twice", sign(header(nil), append(payload[:len(payload):len(payload)], payload...), edPrivate), "data behind"},
		{"J4 a claim twice", sign(header(nil), bytes.Replace(payload, []byte("{"), []byte(`{"sub":"admin",`), 1), edPrivate), "duplicate"},
		{"J4 a claim twice, inside", sign(header(nil), claims(object{"x": json.RawMessage(`{"a":[{"b":1,"b":2}]}`)}), edPrivate), "duplicate"},
		{"J4 claims not UTF-8", sign(header(nil), bytes.Replace(payload, []byte("alice"), []byte("\xffice"), 1), edPrivate), "UTF-8"},

		// J5 and the form
		{"J5 empty", "", "empty"},
		{"J5 100 KB", parts[0] + "." + strings.Repeat("A", 100_000) + "." + parts[2], "too long"},
		{"J5 a million dots", strings.Repeat(".", 1_000_000), "too long"},
		{"J5 as many dots as may be", strings.Repeat(".", 16<<10), "three parts"},
		{"J5 as long as may be", sign(header(nil), claims(object{"x": strings.Repeat("x", 11_700)}), edPrivate), ""},
		{"J5 JWE", encrypted(t, payload), "three parts"},
		{"J5 JWE, cut to three parts", strings.Join(strings.Split(encrypted(t, payload), ".")[:3], "."), "enc"},
		{"J5 zip", with(object{"zip": "DEF"}), "zip"},
		{"J5 enc", with(object{"enc": "A256GCM"}), "enc"},
		{"J5 PBES2", with(object{"alg": "PBES2-HS256+A128KW", "p2c": 1 << 30, "p2s": "AAAA"}), `"alg"`},
		{"crit", with(object{"crit": []string{"exp"}, "exp": 1}), "crit"},
		{"crit empty", with(object{"crit": []string{}}), "crit"},
		{"crit null", with(object{"crit": nil}), "crit"},
		{"b64", with(object{"b64": false}), "b64"},
		{"b64 true", with(object{"b64": true}), "b64"},
		{"crit b64", with(object{"b64": false, "crit": []string{"b64"}}), "crit"},
		{"one part", parts[0], "three parts"},
		{"two parts", parts[0] + "." + parts[1], "three parts"},
		{"four parts", valid + ".x", "three parts"},
		{"no header", "." + parts[1] + "." + parts[2], "three parts"},
		{"no claims", parts[0] + ".." + parts[2], "three parts"},
		{"no signature", parts[0] + "." + parts[1] + ".", "three parts"},
		{"JSON serialization", `{"payload":"` + parts[1] + `","protected":"` + parts[0] + `","signature":"` + parts[2] + `"}`, "three parts"},
		{"signature cut", valid[:len(valid)-4], "signature"},
		{"another signature", parts[0] + "." + parts[1] + "." + strings.Split(good(object{"jti": "j2"}), ".")[2], "signature"},
		{"other claims", parts[0] + "." + encode(claims(object{"sub": "admin"})) + "." + parts[2], "signature"},
		{"header padded", parts[0] + "=." + parts[1] + "." + parts[2], "base64url"},
		{"claims padded", parts[0] + "." + parts[1] + "==." + parts[2], "base64url"},
		{"signature padded", valid + "==", "base64url"},
		{"signature's idle bits set", valid[:len(valid)-1] + base64url[last+1:last+2], "base64url"},
		{"standard base64", parts[0] + "." + parts[1] + ".+/+/", "base64url"},
		{"line feed in the signature", valid[:len(valid)-4] + "\n" + valid[len(valid)-4:], "visible ASCII"},
		{"line feed behind", valid + "\n", "visible ASCII"},
		{"space before", " " + valid, "visible ASCII"},
		{"Bearer before", "Bearer" + valid, "header"},
	}
	return list
}

const base64url = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"

// encrypted returns a JWE that becomes a thousand times as large when it is
// decompressed.
func encrypted(t testing.TB, payload []byte) string {
	t.Helper()
	e, err := jose.NewEncrypter(jose.A128GCM, jose.Recipient{Algorithm: jose.RSA_OAEP, Key: rsaKey.Public(), KeyID: "RS256"},
		(&jose.EncrypterOptions{Compression: jose.DEFLATE}).WithType("at+jwt").WithContentType("JWT"))
	if err != nil {
		t.Fatal(err)
	}
	bomb, err := e.Encrypt(append(payload, make([]byte, 5<<20)...))
	if err != nil {
		t.Fatal(err)
	}
	token, err := bomb.CompactSerialize()
	if err != nil {
		t.Fatal(err)
	}
	return token
}

// assertions are vectors for the claims.
func assertions() []vector {
	now := time.Now().Unix()
	var list []vector
	for _, tt := range []struct {
		name   string
		change object
		want   string
	}{
		{"J2 iss missing", object{"iss": gone}, "iss"},
		{"J2 iss null", object{"iss": nil}, "iss"},
		{"J2 iss wrong", object{"iss": "https://evil.example.com"}, "iss"},
		{"J2 iss with a slash", object{"iss": issuer + "/"}, "iss"},
		{"J2 iss in capitals", object{"iss": strings.ToUpper(issuer)}, "iss"},
		{"J2 iss escaped", object{"iss": json.RawMessage(`"https:\/\/id.example.com"`)}, ""},
		{"J2 iss an array", object{"iss": []string{issuer}}, "iss"},
		{"J4 ISS", object{"iss": gone, "ISS": issuer}, "iss"},
		{"J4 Iss beside", object{"Iss": "https://evil.example.com"}, ""},

		{"J2 aud missing", object{"aud": gone}, "aud"},
		{"J2 aud null", object{"aud": nil}, "aud"},
		{"J2 aud wrong", object{"aud": "https://other.example.com"}, "aud"},
		{"J2 aud begins like ours", object{"aud": audience + "/x"}, "aud"},
		{"J2 aud in capitals", object{"aud": strings.ToUpper(audience)}, "aud"},
		{"J2 aud empty", object{"aud": []string{}}, "aud"},
		{"J2 aud with us", object{"aud": []string{"x", audience}}, ""},
		{"J2 aud without us", object{"aud": []string{"x", "y"}}, "aud"},
		{"J2 aud holds us", object{"aud": "x " + audience}, "aud"},
		{"J2 aud of mixed types", object{"aud": []any{audience, 1}}, "aud"},
		{"J2 aud with null", object{"aud": []any{audience, nil}}, "aud"},
		{"J2 aud an object", object{"aud": object{audience: true}}, "aud"},
		{"J4 AUD", object{"aud": "x", "AUD": audience}, "aud"},

		{"J2 exp missing", object{"exp": gone}, `"exp" is missing`},
		{"J2 exp null", object{"exp": nil}, `"exp" is missing`},
		{"J2 exp zero", object{"exp": 0}, "expired"},
		{"J2 exp long ago", object{"exp": now - 1000}, "expired"},
		{"J4 exp text", object{"exp": fmt.Sprint(now + 100)}, "wrong type"},
		{"J4 exp true", object{"exp": true}, "wrong type"},
		{"J4 exp negative", object{"exp": -1}, "out of range"},
		{"J4 exp huge", object{"exp": 1e300}, "out of range"},
		{"J4 exp beyond float", object{"exp": json.RawMessage("1e400")}, "exp"},
		{"J4 exp of 1000 digits", object{"exp": json.RawMessage(strings.Repeat("9", 1000))}, "exp"},
		{"J4 exp in the year 9999", object{"exp": 253402300799}, ""},
		{"J4 exp with a fraction", object{"exp": float64(now) + 100.5}, ""},
		{"J4 Exp", object{"exp": gone, "Exp": now + 100}, "exp"},
		{"J4 Exp beside", object{"exp": now - 1000, "Exp": now + 100}, "expired"},

		{"J2 iat missing", object{"iat": gone}, `"iat" is missing`},
		{"J2 iat null", object{"iat": nil}, `"iat" is missing`},
		{"J2 iat zero", object{"iat": 0}, ""},
		{"J2 iat ahead", object{"iat": now + 1000}, `"iat" is in the future`},
		{"J4 iat text", object{"iat": "now"}, "wrong type"},
		{"J4 iat huge", object{"iat": 1e300}, "out of range"},
		{"J2 nbf ahead", object{"nbf": now + 1000}, `"nbf" is in the future`},
		{"J2 nbf over", object{"nbf": now}, ""},
		{"J4 nbf null", object{"nbf": nil}, "nbf"},
		{"J4 nbf text", object{"nbf": "0"}, "nbf"},
		{"J4 nbf negative", object{"nbf": -1}, "nbf"},
		{"J4 nbf huge", object{"nbf": 1e300}, "nbf"},
		{"J4 nbf beyond float", object{"nbf": json.RawMessage("1e400")}, "nbf"},

		{"J2 sub missing", object{"sub": gone}, "sub"},
		{"J2 sub empty", object{"sub": ""}, "sub"},
		{"J4 sub a number", object{"sub": 1}, "wrong type"},
		{"J4 SUB beside", object{"SUB": "admin"}, ""},
		{"J4 jti a number", object{"jti": 1}, "wrong type"},
		{"J4 scope an array", object{"scope": []string{"chat"}}, "wrong type"},

		{"J2 logout token", object{"events": object{"http://schemas.openid.net/event/backchannel-logout": object{}}}, "events"},
		{"J2 events null", object{"events": nil}, "events"},
		{"J2 nonce in what says that it is an access token", object{"nonce": "n"}, ""},
		{"the error tells nothing", object{"aud": "SECRET", "iss": "SECRET"}, "iss"},
	} {
		list = append(list, vector{tt.name, good(tt.change), tt.want})
	}
	return list
}

func TestVectors(t *testing.T) {
	elsewhere := counter(t)
	v := newVerifier(t, jwt.Config{})
	for _, tt := range append(tokens(t, elsewhere.URL), assertions()...) {
		t.Run(tt.name, func(t *testing.T) {
			id := check(t, v, tt.token, tt.want)
			if id != nil && (id.Subject != "u-alice" || id.Issuer != issuer) {
				t.Errorf("identity %+v", id)
			}
		})
	}
	elsewhere.want(t, 0) // J3
}

// J5: what is too long is not looked at, and dots make for no list of parts.
func TestJ5Cheap(t *testing.T) {
	v := newVerifier(t, jwt.Config{})
	for name, token := range map[string]string{
		"a million dots":    strings.Repeat(".", 1_000_000),
		"16 KiB of dots":    strings.Repeat(".", 16<<10),
		"100 KB":            good(nil) + strings.Repeat("A", 100_000),
		"a 16 KiB one part": strings.Repeat("A", 16<<10),
	} {
		if got := testing.AllocsPerRun(10, func() { _, _ = v.Verify(t.Context(), token) }); got > 6 {
			t.Errorf("%s: %v allocations", name, got)
		}
	}
}

// J2: other types by explicit setting only, and then no ID tokens.
func TestJ2OtherTypes(t *testing.T) {
	hash := encode(make([]byte, 16))
	for _, tt := range []struct {
		name   string
		types  []string
		typ    any
		claims object
		want   string
	}{
		{"JWT", []string{"JWT"}, "JWT", nil, ""},
		{"jwt", []string{"JWT"}, "jwt", nil, ""},
		{"application/jwt", []string{"JWT"}, "application/jwt", nil, ""},
		{"set in full", []string{"application/JWT"}, "JWT", nil, ""},
		{"JWT, access tokens not", []string{"JWT"}, "at+jwt", nil, "typ"},
		{"both", []string{"JWT", "at+jwt"}, "at+jwt", nil, ""},
		{"none", []string{""}, gone, nil, ""},
		{"none, but one", []string{""}, "JWT", nil, "typ"},
		{"none, but an empty one", []string{""}, "", nil, "typ"},
		{"none, but null", []string{""}, nil, nil, "typ"},
		{"none, but only a prefix", []string{""}, "application/", nil, "typ"},
		{"JWT, but none", []string{"JWT"}, gone, nil, "typ"},

		{"no user, but a client", []string{"JWT"}, "JWT", object{"sub": gone}, ""},
		{"no user, but an azp", []string{"JWT"}, "JWT", object{"sub": gone, "client_id": gone, "azp": "app"}, ""},
		{"nobody", []string{"JWT"}, "JWT", object{"sub": gone, "client_id": gone}, "sub"},
		{"no user in an access token", []string{"JWT", "at+jwt"}, "at+jwt", object{"sub": gone}, "sub"},

		{"ID token by nonce", []string{"JWT"}, "JWT", object{"nonce": "n"}, "nonce"},
		{"ID token by null nonce", []string{""}, gone, object{"nonce": nil}, "nonce"},
		{"ID token by at_hash", []string{"JWT"}, "JWT", object{"at_hash": hash}, "at_hash"},
		{"ID token by c_hash", []string{"JWT"}, "JWT", object{"c_hash": hash}, "c_hash"},
		{"ID token by s_hash", []string{"JWT"}, "JWT", object{"s_hash": hash}, "s_hash"},
		{"ID token by Keycloak", []string{"JWT"}, "JWT", object{"typ": "ID"}, "claim"},
		{"refresh token by Keycloak", []string{"JWT"}, "JWT", object{"typ": "Refresh"}, "claim"},
		{"offline token by Keycloak", []string{"JWT"}, "JWT", object{"typ": "Offline"}, "claim"},
		{"logout token by Keycloak", []string{"JWT"}, "JWT", object{"typ": "Logout"}, "claim"},
		{"access token by Keycloak", []string{"JWT"}, "JWT", object{"typ": "Bearer"}, ""},
		{"logout token", []string{"JWT"}, "JWT", object{"events": object{}}, "events"},
		{"ID token by audience", []string{"JWT"}, "JWT", object{"aud": "app"}, "aud"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			v := newVerifier(t, jwt.Config{Issuer: issuer, Keys: public(), Types: tt.types})
			check(t, v, sign(header(object{"typ": tt.typ}), claims(tt.claims), edPrivate), tt.want)
		})
	}
}

// J2: several audiences of ours.
func TestJ2Audiences(t *testing.T) {
	v := newVerifier(t, jwt.Config{Issuer: issuer, Keys: public(), Audience: []string{"a", "b"}})
	check(t, v, good(object{"aud": "b"}), "")
	check(t, v, good(object{"aud": []string{"c", "a"}}), "")
	check(t, v, good(object{"aud": []string{"c", "d"}}), "aud")
}
