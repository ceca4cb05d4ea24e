package interop

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/portcullis-auth/portcullis"
	"github.com/portcullis-auth/portcullis/verify/httpcheck"
	"github.com/portcullis-auth/portcullis/verify/introspect"
	"github.com/portcullis-auth/portcullis/verify/jwt"
	"github.com/portcullis-auth/portcullis/verify/userinfo"
)

// A target is one place where a Verifier asks a token system something.
type target struct {
	name  string
	media string // the type of what is right to answer
	calls int64  // how many requests it takes, if they fail

	good     func(base string) string            // what is right to answer
	honest   func(base string) map[string]string // what the paths answer that aren't attacked
	verifier func(t testing.TB, base string, timeout time.Duration) portcullis.Verifier
	token    func(base string) string // a good one

	says map[string]error // attacks in which there is an answer after all
}

var (
	gatewaySecret = said.secret("the gateway's secret", rand.Text()+rand.Text())
	hostileToken  = opaque("the token for the hostile token system")
)

func opaqueToken(string) string { return hostileToken }

var targets = []target{
	{
		"introspection", "application/json", 1, activeAnswer, nothing,
		func(t testing.TB, base string, timeout time.Duration) portcullis.Verifier {
			return newIntrospect(t, introspect.Config{URL: base + "/introspect", ClientSecret: gatewaySecret, Timeout: timeout})
		},
		opaqueToken, nil,
	},
	{
		"introspection by POST", "application/json", 1, activeAnswer, nothing,
		func(t testing.TB, base string, timeout time.Duration) portcullis.Verifier {
			return newIntrospect(t, introspect.Config{URL: base + "/introspect", ClientSecret: gatewaySecret, Auth: introspect.AuthPost, Timeout: timeout})
		},
		opaqueToken, nil,
	},
	{
		// Both documents are asked for. What they point to, if it comes to that,
		// is as bad.
		"introspection's discovery", "application/json", 2, metadata,
		func(base string) map[string]string { return map[string]string{"/introspect": activeAnswer(base)} },
		func(t testing.TB, base string, timeout time.Duration) portcullis.Verifier {
			return newIntrospect(t, introspect.Config{Issuer: base, ClientSecret: gatewaySecret, Timeout: timeout})
		},
		opaqueToken, nil,
	},
	{
		"signed introspection", "application/token-introspection+jwt", 1, signedAnswer,
		func(base string) map[string]string {
			return map[string]string{"/.well-known/openid-configuration": metadata(base), "/keys": publicKeys(base)}
		},
		newSignedIntrospect,
		opaqueToken, nil,
	},
	{
		"HTTP check", "application/json", 1, userAnswer, nothing,
		func(t testing.TB, base string, timeout time.Duration) portcullis.Verifier {
			return newHTTPCheck(t, httpcheck.Config{URL: base + "/me", Timeout: timeout})
		},
		opaqueToken, nil,
	},
	{
		"HTTP check by cookie", "application/json", 1, userAnswer, nothing,
		func(t testing.TB, base string, timeout time.Duration) portcullis.Verifier {
			return newHTTPCheck(t, httpcheck.Config{URL: base + "/me", Method: "POST", Cookie: "session", Timeout: timeout})
		},
		opaqueToken, nil,
	},
	{
		"HTTP check by JSON", "application/json", 1, userAnswer, nothing,
		func(t testing.TB, base string, timeout time.Duration) portcullis.Verifier {
			return newHTTPCheck(t, httpcheck.Config{URL: base + "/me", BodyField: "token", BodyFormat: httpcheck.BodyJSON, Secret: gatewaySecret, CacheHeaders: true, Timeout: timeout})
		},
		opaqueToken, nil,
	},
	{
		"userinfo", "application/json", 1, userAnswer, nothing,
		func(t testing.TB, base string, timeout time.Duration) portcullis.Verifier {
			return newUserinfo(t, userinfo.Config{Verifier: knows("u1"), URL: base + "/userinfo", Timeout: timeout})
		},
		opaqueToken, nil,
	},
	{
		"userinfo by subject", "application/json", 1, userAnswer, nothing,
		func(t testing.TB, base string, timeout time.Duration) portcullis.Verifier {
			return newUserinfo(t, userinfo.Config{Verifier: knows("u1"), URL: base + "/users/{sub}", BearerToken: gatewaySecret, Timeout: timeout})
		},
		opaqueToken,
		map[string]error{"404": portcullis.ErrForbidden, "an empty object": nil}, // no such user; nothing known
	},
	{
		"JWT discovery", "application/json", 2, metadata,
		func(base string) map[string]string { return map[string]string{"/keys": publicKeys(base)} },
		func(t testing.TB, base string, timeout time.Duration) portcullis.Verifier {
			return newJWT(t, jwt.Config{Issuer: base, Audience: []string{"api"}, Timeout: timeout})
		},
		signedToken, nil,
	},
	{
		"JWT keys", "application/jwk-set+json", 1, publicKeys,
		func(base string) map[string]string {
			return map[string]string{"/.well-known/openid-configuration": metadata(base)}
		},
		func(t testing.TB, base string, timeout time.Duration) portcullis.Verifier {
			return newJWT(t, jwt.Config{Issuer: base, Audience: []string{"api"}, Timeout: timeout})
		},
		signedToken, nil,
	},
	{
		"JWT keys without discovery", "application/json", 1, publicKeys, nothing,
		func(t testing.TB, base string, timeout time.Duration) portcullis.Verifier {
			return newJWT(t, jwt.Config{Issuer: base, JWKSURL: base + "/keys", Audience: []string{"api"}, Timeout: timeout})
		},
		signedToken, nil,
	},
}

func newIntrospect(t testing.TB, c introspect.Config) portcullis.Verifier {
	t.Helper()
	if c.ClientID == "" {
		c.ClientID = "gateway"
	}
	v, err := introspect.New(c)
	return made(t, v, err)
}

func newSignedIntrospect(t testing.TB, base string, timeout time.Duration) portcullis.Verifier {
	return newIntrospect(t, introspect.Config{
		URL: base + "/introspect", Issuer: base, ClientSecret: gatewaySecret,
		SignedResponse: introspect.SignedRequired, Timeout: timeout,
	})
}

func newHTTPCheck(t testing.TB, c httpcheck.Config) portcullis.Verifier {
	t.Helper()
	v, err := httpcheck.New(c)
	return made(t, v, err)
}

func newJWT(t testing.TB, c jwt.Config) portcullis.Verifier {
	t.Helper()
	v, err := jwt.New(c)
	return made(t, v, err)
}

func newUserinfo(t testing.TB, c userinfo.Config) portcullis.Verifier {
	t.Helper()
	v, err := userinfo.New(c)
	if err == nil {
		t.Cleanup(func() { _ = v.Close() })
	}
	return made(t, v, err)
}

// knows is a Verifier for which every token is that user's.
func knows(subject string) portcullis.Verifier {
	return portcullis.VerifierFunc(func(context.Context, string) (*portcullis.Identity, error) {
		return &portcullis.Identity{Subject: subject, Claims: json.RawMessage(fmt.Sprintf(`{"sub":%q}`, subject))}, nil
	})
}

// made wants v to have been made.
func made(t testing.TB, v portcullis.Verifier, err error) portcullis.Verifier {
	t.Helper()
	if heard(err) != nil {
		t.Fatal(err)
	}
	return v
}

func nothing(string) map[string]string { return nil }

func activeAnswer(base string) string {
	return fmt.Sprintf(`{"active":true,"iss":%q,"sub":"u1"}`, base)
}

func userAnswer(string) string { return `{"sub":"u1"}` }

func metadata(base string) string {
	return fmt.Sprintf(`{"issuer":%[1]q,"jwks_uri":"%[1]s/keys","introspection_endpoint":"%[1]s/introspect"}`, base)
}

// clientKey is the gateway's own at the token systems.
var clientKey = sync.OnceValue(func() *introspect.ClientKey { return newClientKey("client-key") })

func newClientKey(kid string) *introspect.ClientKey {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		panic(err)
	}
	return &introspect.ClientKey{Signer: key, KeyID: kid}
}

func clientKeySet() string {
	return keySet(jose.JSONWebKey{Key: clientKey().Signer.Public(), KeyID: "client-key", Algorithm: "ES256", Use: "sig"})
}

// issuerKey is what the hostile token system signs with when it is right.
var issuerKey = sync.OnceValue(func() *ecdsa.PrivateKey {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		panic(err)
	}
	return key
})

func publicKeys(string) string {
	return keySet(jose.JSONWebKey{Key: issuerKey().Public(), KeyID: "k1", Algorithm: "ES256", Use: "sig"})
}

func keySet(key jose.JSONWebKey) string {
	raw, err := json.Marshal(jose.JSONWebKeySet{Keys: []jose.JSONWebKey{key}})
	if err != nil {
		panic(err)
	}
	return string(raw)
}

func signedToken(base string) string {
	return said.secret("a signed token", sign("at+jwt", map[string]any{
		"iss": base, "aud": "api", "sub": "u1", "client_id": "app", "jti": rand.Text(),
		"iat": time.Now().Unix(), "exp": time.Now().Add(time.Hour).Unix(),
	}))
}

func signedAnswer(base string) string {
	return sign("token-introspection+jwt", map[string]any{
		"iss": base, "aud": "gateway", "iat": time.Now().Unix(),
		"token_introspection": json.RawMessage(activeAnswer(base)),
	})
}

func sign(typ string, claims map[string]any) string {
	signer, err := jose.NewSigner(
		jose.SigningKey{Algorithm: jose.ES256, Key: jose.JSONWebKey{Key: issuerKey(), KeyID: "k1"}},
		(&jose.SignerOptions{}).WithType(jose.ContentType(typ)))
	if err != nil {
		panic(err)
	}
	payload, err := json.Marshal(claims)
	if err != nil {
		panic(err)
	}
	signed, err := signer.Sign(payload)
	if err != nil {
		panic(err)
	}
	token, err := signed.CompactSerialize()
	if err != nil {
		panic(err)
	}
	return token
}
