package interop

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/portcullis-auth/portcullis"
	"github.com/portcullis-auth/portcullis/verify/introspect"
	"github.com/portcullis-auth/portcullis/verify/jwt"
)

const resource = "https://api.example.com"

// I1, I2: npm oidc-provider by introspection, in every way to authenticate that
// it offers.
func TestI1I2OIDCProviderIntrospection(t *testing.T) {
	p := getOIDCProvider(t)
	endpoint := p.issuer + "/token/introspection"
	for name, c := range map[string]introspect.Config{
		"basic":                        {URL: endpoint, ClientSecret: gatewaySecret},
		"post":                         {URL: endpoint, ClientID: "gateway-post", ClientSecret: gatewaySecret, Auth: introspect.AuthPost},
		"private_key_jwt":              {URL: endpoint, ClientID: "gateway-key", ClientKey: clientKey(), ClientAssertionAudience: p.issuer},
		"private_key_jwt, issuer":      {URL: endpoint, Issuer: p.issuer, ClientID: "gateway-key", ClientKey: clientKey()},
		"discovery":                    {Issuer: p.issuer, ClientSecret: gatewaySecret},
		"signed answers":               {Issuer: p.issuer, ClientSecret: gatewaySecret, SignedResponse: introspect.SignedRequired},
		"signed answers, welcome":      {Issuer: p.issuer, ClientSecret: gatewaySecret, SignedResponse: introspect.SignedAccept},
		"signed answers, with key JWT": {Issuer: p.issuer, ClientID: "gateway-key", ClientKey: clientKey(), SignedResponse: introspect.SignedRequired},
	} {
		t.Run(name, func(t *testing.T) {
			v := newIntrospect(t, c)
			began := time.Now().Truncate(time.Second)
			token, _ := p.mint(t, minting{User: "u-" + strings.Repeat("x", 100)})
			id := verify(t, v, token, nil)
			if id == nil {
				t.FailNow()
			}
			if id.Issuer != p.issuer || id.Subject != "u-"+strings.Repeat("x", 100) || id.ClientID != "app" ||
				!id.HasScope("chat") || id.IssuedAt.Before(began) || !id.ExpiresAt.Equal(id.IssuedAt.Add(600*time.Second)) {
				t.Errorf("identity %+v", id)
			}
			// For a resource; the provider says which.
			aimed, _ := p.mint(t, minting{Audience: resource})
			var aud string
			if id := verify(t, v, aimed, nil); id == nil || !id.Claim("aud", &aud) || aud != resource {
				t.Errorf("aud %q, want %q", aud, resource)
			}

			p.revoke(t, token)
			verify(t, v, token, portcullis.ErrInvalid)
			verify(t, v, aimed, nil)

			other, _ := p.mint(t, minting{Client: "other"})
			verify(t, v, other, portcullis.ErrInvalid)
			verify(t, v, opaque("a made-up token"), portcullis.ErrInvalid)
			verify(t, v, aimed+"x", portcullis.ErrInvalid)

			// About JWTs, its own too, it says nothing: 400, unsupported_token_type.
			signed, _ := p.mint(t, minting{Audience: resource, Alg: "RS256"})
			verify(t, v, signed, portcullis.ErrInvalid)
		})
	}

	t.Run("expired", func(t *testing.T) {
		v := newIntrospect(t, introspect.Config{URL: endpoint, ClientSecret: gatewaySecret})
		token, _ := p.mint(t, minting{Lifetime: 1})
		eventually(t, "the token's end", func() bool {
			_, err := v.Verify(t.Context(), token)
			if heard(err) != nil && !errors.Is(err, portcullis.ErrInvalid) {
				t.Fatal(err)
			}
			return err != nil
		})
	})

	// What is wrong with us says nothing about the token.
	t.Run("wrong credentials", func(t *testing.T) {
		token, _ := p.mint(t, minting{})
		for name, c := range map[string]introspect.Config{
			"secret":     {URL: endpoint, ClientSecret: opaque("a wrong secret")},
			"client":     {URL: endpoint, ClientID: "nobody", ClientSecret: gatewaySecret},
			"key":        {URL: endpoint, Issuer: p.issuer, ClientID: "gateway-key", ClientKey: newClientKey("client-key")},
			"audience":   {URL: endpoint, ClientID: "gateway-key", ClientKey: clientKey(), ClientAssertionAudience: resource},
			"no client":  {URL: endpoint, ClientID: "app", ClientSecret: gatewaySecret},
			"our bearer": {URL: endpoint, BearerToken: opaque("a bearer token of ours")},
		} {
			t.Run(name, func(t *testing.T) {
				verify(t, newIntrospect(t, c), token, portcullis.ErrUnavailable)
			})
		}
	})
}

// J1, J2, J3: npm oidc-provider's signed access tokens (RFC 9068), by its keys.
func TestJ1J2OIDCProviderJWT(t *testing.T) {
	p := getOIDCProvider(t)
	v := newJWT(t, jwt.Config{Issuer: p.issuer, Audience: []string{"https://else.example.com", resource}})
	for _, alg := range []string{"RS256", "ES256"} {
		t.Run(alg, func(t *testing.T) {
			token, jti := p.mint(t, minting{Audience: resource, Alg: alg})
			id := verify(t, v, token, nil)
			if id == nil {
				t.FailNow()
			}
			if id.Issuer != p.issuer || id.Subject != "u1" || id.ClientID != "app" || id.TokenID != jti ||
				!id.HasScope("chat") || !id.ExpiresAt.Equal(id.IssuedAt.Add(600*time.Second)) {
				t.Errorf("identity %+v", id)
			}
			// Signatures of its issuer's other key, and of nobody.
			head, rest, _ := strings.Cut(token, ".")
			payload, signature, _ := strings.Cut(rest, ".")
			verify(t, v, head+"."+payload+".", portcullis.ErrInvalid)
			verify(t, v, head+"."+payload+"."+signature[:len(signature)-8]+"AAAAAAAA", portcullis.ErrInvalid)
			aimed, _ := p.mint(t, minting{Audience: resource, Alg: alg, User: "u2"})
			_, rest, _ = strings.Cut(aimed, ".")
			payload, _, _ = strings.Cut(rest, ".")
			verify(t, v, head+"."+payload+"."+signature, portcullis.ErrInvalid)

			wrong, _ := p.mint(t, minting{Audience: "https://other.example.com", Alg: alg})
			verify(t, v, wrong, portcullis.ErrInvalid)
		})
	}

	t.Run("expired", func(t *testing.T) {
		strict := newJWT(t, jwt.Config{Issuer: p.issuer, Audience: []string{resource}, Leeway: time.Millisecond})
		token, _ := p.mint(t, minting{Audience: resource, Alg: "RS256", Lifetime: 1})
		eventually(t, "the token's end", func() bool {
			_, err := strict.Verify(t.Context(), token)
			if heard(err) != nil && !errors.Is(err, portcullis.ErrExpired) {
				t.Fatal(err)
			}
			return err != nil
		})
	})

	t.Run("another issuer's keys", func(t *testing.T) {
		token, _ := p.mint(t, minting{Audience: resource, Alg: "ES256"})
		i := startZitadel(t)
		verify(t, newJWT(t, jwt.Config{Issuer: i.URL(), Audience: []string{resource}}), token, portcullis.ErrInvalid)
		verify(t, newJWT(t, jwt.Config{Issuer: p.issuer, JWKSURL: i.URL() + "/keys", Audience: []string{resource}}), token, portcullis.ErrInvalid)
		// Not even where the name of the key fits.
		forged := keySet(jose.JSONWebKey{Key: issuerKey().Public(), KeyID: "key-ES256", Algorithm: "ES256", Use: "sig"})
		verify(t, newJWT(t, jwt.Config{Issuer: p.issuer, Keys: []byte(forged), Audience: []string{resource}}), token, portcullis.ErrInvalid)
	})

	t.Run("opaque", func(t *testing.T) {
		token, _ := p.mint(t, minting{})
		verify(t, v, token, portcullis.ErrInvalid)
	})

	t.Run("caller gives up", func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		token, _ := p.mint(t, minting{Audience: resource, Alg: "RS256"})
		fresh := newJWT(t, jwt.Config{Issuer: p.issuer, Audience: []string{resource}})
		verify(withContext{t, ctx}, fresh, token, portcullis.ErrUnavailable)
	})
}
