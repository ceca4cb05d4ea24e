package jwt_test

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/hmac"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"maps"
	"math/big"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"github.com/portcullis-auth/portcullis"
	"github.com/portcullis-auth/portcullis/verify/jwt"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	issuer   = "https://id.example.com"
	audience = "https://api.example.com"
)

var (
	edPublic, edPrivate, _ = ed25519.GenerateKey(rand.Reader)
	_, forger, _           = ed25519.GenerateKey(rand.Reader)
	rsaKey, _              = rsa.GenerateKey(rand.Reader, 2048)
	p256, _                = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	p384, _                = ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	p521, _                = ecdsa.GenerateKey(elliptic.P521(), rand.Reader)
)

// everything is all algorithms that can be had. A key is called like the one
// that it is for.
var everything = []string{"RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA"}

// private is the keys that tokens are signed with, public those that the issuer
// publishes.
func private(alg string) crypto.Signer {
	switch alg {
	case "EdDSA":
		return edPrivate
	case "ES256":
		return p256
	case "ES384":
		return p384
	case "ES512":
		return p521
	}
	return rsaKey
}

var public = sync.OnceValue(func() []byte {
	keys := []object{jwk(edPublic, object{"kid": "enc", "use": "enc"}), jwk(edPublic, object{"kid": "ops", "key_ops": []string{"sign"}})}
	for _, alg := range everything {
		keys = append(keys, jwk(private(alg).Public(), object{"kid": alg, "alg": alg, "use": "sig"}))
	}
	return marshal(object{"keys": keys})
})

func jwk(key crypto.PublicKey, more object) (m object) {
	if err := json.Unmarshal(marshal(jose.JSONWebKey{Key: key}), &m); err != nil {
		panic(err)
	}
	maps.Copy(m, more)
	return m
}

func pemOf(t testing.TB, key crypto.PublicKey) []byte {
	t.Helper()
	der, err := x509.MarshalPKIXPublicKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})
}

type object = map[string]any

// gone, as a value, removes the member.
var gone = new(int)

func change(base, with object) []byte {
	maps.Copy(base, with)
	maps.DeleteFunc(base, func(_ string, v any) bool { return v == gone })
	return marshal(base)
}

// claims are good ones, with changes.
func claims(with object) []byte {
	now := time.Now().Unix()
	return change(object{
		"iss": issuer, "sub": "u-alice", "aud": audience, "client_id": "app", "jti": "j1", "sid": "s1",
		"scope": "chat read", "iat": now - 10, "exp": now + 600, "email": "alice@example.com",
	}, with)
}

// header is a good one for EdDSA, with changes.
func header(with object) []byte {
	return change(object{"alg": "EdDSA", "kid": "EdDSA", "typ": "at+jwt"}, with)
}

// good signs claims with changes as the issuer would.
func good(with object) string { return sign(header(nil), claims(with), edPrivate) }

// sign signs any bytes under any header, so that nothing keeps a test from
// making a bad token. The algorithm is the header's, where key can do it.
func sign(header, payload []byte, key any) string {
	var h struct{ Alg string }
	_ = json.Unmarshal(header, &h)
	input := encode(header) + "." + encode(payload)
	return input + "." + encode(signature(h.Alg, []byte(input), key))
}

func signature(alg string, input []byte, key any) []byte {
	hash := crypto.SHA256
	if strings.HasSuffix(alg, "384") {
		hash = crypto.SHA384
	} else if strings.HasSuffix(alg, "512") {
		hash = crypto.SHA512
	}
	h := hash.New()
	h.Write(input)
	switch key := key.(type) {
	case []byte:
		mac := hmac.New(sha256.New, key)
		mac.Write(input)
		return mac.Sum(nil)
	case ed25519.PrivateKey:
		return ed25519.Sign(key, input)
	case *ecdsa.PrivateKey:
		r, s, err := ecdsa.Sign(rand.Reader, key, h.Sum(nil))
		if err != nil {
			panic(err)
		}
		size := (key.Params().BitSize + 7) / 8
		return append(r.FillBytes(make([]byte, size)), s.FillBytes(make([]byte, size))...)
	case *rsa.PrivateKey:
		var opts crypto.SignerOpts = hash
		if strings.HasPrefix(alg, "PS") {
			opts = &rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthEqualsHash, Hash: hash}
		}
		sig, err := key.Sign(rand.Reader, h.Sum(nil), opts)
		if err != nil {
			panic(err)
		}
		return sig
	}
	panic("no such key")
}

func encode(b []byte) string { return base64.RawURLEncoding.EncodeToString(b) }

func marshal(v any) []byte {
	raw, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	return raw
}

// newVerifier returns one with local keys, unless c says otherwise.
func newVerifier(t testing.TB, c jwt.Config) *jwt.Verifier {
	t.Helper()
	if c.Issuer == "" {
		c.Issuer, c.Keys, c.Algorithms = issuer, public(), everything
	}
	if c.Audience == nil {
		c.Audience = []string{audience}
	}
	v, err := jwt.New(c)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// check verifies the token. want is "" if it is to be accepted, else what the
// error says.
func check(t testing.TB, v *jwt.Verifier, token, want string) *portcullis.Identity {
	t.Helper()
	id, err := v.Verify(t.Context(), token)
	checkError(t, token, id, err)
	switch {
	case want == "":
		if err != nil {
			t.Errorf("refused: %v", err)
		}
	case err == nil:
		t.Errorf("accepted, want an error about %s", want)
	case !strings.Contains(err.Error(), want):
		t.Errorf("error %q, want one about %s", err, want)
	}
	return id
}

// checkError checks what holds for every answer: it is one thing or the other,
// of a class that callers know, and tells nothing of the token.
func checkError(t testing.TB, token string, id *portcullis.Identity, err error) {
	t.Helper()
	if (id == nil) == (err == nil) {
		t.Errorf("identity %v and error %v", id, err)
	}
	if err == nil {
		return
	}
	classes := 0
	for _, class := range []error{portcullis.ErrInvalid, portcullis.ErrExpired, portcullis.ErrUnavailable} {
		if errors.Is(err, class) {
			classes++
		}
	}
	if classes != 1 {
		t.Errorf("error of %d classes: %v", classes, err)
	}
	for _, part := range strings.Split(token, ".") {
		raw, _ := base64.RawURLEncoding.DecodeString(part)
		for _, secret := range []string{part, string(raw), "SECRET"} {
			if len(secret) > 5 && strings.Contains(err.Error(), secret) {
				t.Errorf("the error holds a part of the token: %v", err)
			}
		}
	}
}

func TestIdentity(t *testing.T) {
	now := time.Now().Truncate(time.Second)
	payload := claims(object{"iat": now.Unix(), "exp": now.Add(time.Hour).Unix(), "aud": []string{"x", audience}})
	got := check(t, newVerifier(t, jwt.Config{}), sign(header(nil), payload, edPrivate), "")
	want := &portcullis.Identity{
		Issuer: issuer, Subject: "u-alice", SessionID: "s1", TokenID: "j1", ClientID: "app", Scopes: []string{"chat", "read"},
		IssuedAt: now, ExpiresAt: now.Add(time.Hour), Claims: payload,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

// J1: each algorithm, where it is in the list and by its own key only.
func TestJ1Algorithms(t *testing.T) {
	all, payload := newVerifier(t, jwt.Config{}), claims(nil)
	for _, alg := range everything {
		one := newVerifier(t, jwt.Config{Issuer: issuer, Keys: public(), Algorithms: []string{alg}})
		for _, named := range everything {
			t.Run(alg+" with the key of "+named, func(t *testing.T) {
				token := sign(header(object{"alg": alg, "kid": named}), payload, private(alg))
				want := ""
				if named != alg {
					want = "no such key"
				}
				check(t, all, token, want)
				check(t, one, token, want)
				if named == alg {
					return
				}
				check(t, one, sign(header(object{"alg": named, "kid": named}), payload, private(named)), `"alg"`)
				// What is signed as the other one says, under this one's name.
				input := encode(header(object{"alg": alg, "kid": alg})) + "." + encode(payload)
				check(t, all, input+"."+encode(signature(named, []byte(input), private(named))), "signature")
			})
		}
	}
	// The default list.
	v := newVerifier(t, jwt.Config{Issuer: issuer, Keys: public()})
	for _, alg := range everything {
		want := `"alg"`
		switch alg {
		case "RS256", "ES256", "PS256", "EdDSA":
			want = ""
		}
		check(t, v, sign(header(object{"alg": alg, "kid": alg}), payload, private(alg)), want)
	}
}

// J1: a signature is one string of bytes of one length.
func TestJ1SignatureForm(t *testing.T) {
	v := newVerifier(t, jwt.Config{})
	token := sign(header(object{"alg": "ES256", "kid": "ES256"}), claims(nil), p256)
	input, tail := cutLast(token)
	raw, _ := base64.RawURLEncoding.DecodeString(tail)
	r, s := new(big.Int).SetBytes(raw[:32]), new(big.Int).SetBytes(raw[32:])
	der, err := p256.Sign(rand.Reader, digest(input), crypto.SHA256)
	if err != nil {
		t.Fatal(err)
	}
	long := func(n *big.Int) []byte { return n.FillBytes(make([]byte, 33)) }
	for name, signature := range map[string][]byte{
		"zero":             make([]byte, 64),
		"one byte less":    raw[:63],
		"one byte more":    append(raw[:64:64], 0),
		"33 bytes each":    append(long(r), long(s)...),
		"33 bytes of s":    append(raw[:32:32], long(s)...),
		"DER":              der,
		"s out of range":   append(raw[:32:32], p256.Params().N.FillBytes(make([]byte, 32))...),
		"of other numbers": append(raw[32:64:64], raw[:32]...),
	} {
		t.Run(name, func(t *testing.T) { check(t, v, input+"."+encode(signature), "signature") })
	}
	// The known weakness of ECDSA: n-s verifies too. It is another string for
	// the same token, so nothing may tell tokens apart by their signature.
	other := new(big.Int).Sub(p256.Params().N, s).FillBytes(make([]byte, 32))
	if diff := cmp.Diff(check(t, v, token, ""), check(t, v, input+"."+encode(append(raw[:32:32], other...)), "")); diff != "" {
		t.Error(diff)
	}
	// RFC 7518, section 3.5: another length of salt.
	input = encode(header(object{"alg": "PS256", "kid": "PS256"})) + "." + encode(claims(nil))
	salty, err := rsa.SignPSS(rand.Reader, rsaKey, crypto.SHA256, digest(input), &rsa.PSSOptions{SaltLength: 20})
	if err != nil {
		t.Fatal(err)
	}
	check(t, v, input+"."+encode(salty), "signature")
}

func digest(s string) []byte {
	sum := sha256.Sum256([]byte(s))
	return sum[:]
}

func cutLast(token string) (input, signature string) {
	i := strings.LastIndexByte(token, '.')
	return token[:i], token[i+1:]
}

func TestNew(t *testing.T) {
	for _, tt := range []struct {
		name   string
		change func(*jwt.Config)
		want   string
	}{
		{"discovery", func(*jwt.Config) {}, ""},
		{"JWKS URL, and a name that is no URL", func(c *jwt.Config) { c.Issuer, c.JWKSURL = "home", "https://id.example.com/keys" }, ""},
		{"local keys, and a name that is no URL", func(c *jwt.Config) { c.Issuer, c.Keys = "home", public() }, ""},
		{"no issuer", func(c *jwt.Config) { c.Issuer = "" }, "Issuer"},
		{"name that is no URL", func(c *jwt.Config) { c.Issuer = "home" }, "URL"},
		{"plain issuer", func(c *jwt.Config) { c.Issuer = "http://id.example.com" }, "InsecurePlainHTTP"},
		{"plain issuer, permitted", func(c *jwt.Config) { c.Issuer, c.InsecurePlainHTTP = "http://id.example.com", true }, ""},
		{"no audience", func(c *jwt.Config) { c.Audience = nil }, "Audience"},
		{"empty audience", func(c *jwt.Config) { c.Audience = []string{"a", ""} }, "Audience"},
		{"J1 none", func(c *jwt.Config) { c.Algorithms = []string{"none"} }, "algorithm"},
		{"J1 HMAC", func(c *jwt.Config) { c.Algorithms = []string{"RS256", "HS256"} }, "algorithm"},
		{"J2 logout tokens", func(c *jwt.Config) { c.Types = []string{"logout+jwt"} }, "Types"},
		{"J2 security events", func(c *jwt.Config) { c.Types = []string{"at+jwt", "application/SecEvent+JWT"} }, "Types"},
		{"J2 ID tokens", func(c *jwt.Config) { c.Types = []string{"id_token"} }, "Types"},
		{"negative leeway", func(c *jwt.Config) { c.Leeway = -1 }, "Leeway"},
		{"negative cool-down", func(c *jwt.Config) { c.Cooldown = -1 }, "Cooldown"},
		{"empty keys", func(c *jwt.Config) { c.Keys = []byte{} }, "keys"},
		{"two sources of keys", func(c *jwt.Config) { c.Keys, c.JWKSURL = public(), "https://id.example.com/keys" }, "exclude"},
	} {
		c := jwt.Config{Issuer: issuer, Audience: []string{audience}}
		tt.change(&c)
		_, err := jwt.New(c)
		if (err == nil) != (tt.want == "") || err != nil && !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: err = %v, want %q", tt.name, err, tt.want)
		}
	}
}

// The caller's lists are the caller's.
func TestConfigIsCopied(t *testing.T) {
	c := jwt.Config{Issuer: issuer, Keys: public(), Audience: []string{audience}, Types: []string{"AT+jwt"}, Algorithms: []string{"EdDSA"}}
	v := newVerifier(t, c)
	if c.Types[0] != "AT+jwt" {
		t.Error("New changed the caller's list")
	}
	c.Audience[0], c.Types[0], c.Algorithms[0] = "x", "x", "x"
	if _, err := v.Verify(context.Background(), good(nil)); err != nil {
		t.Error(err)
	}
}
