package interop

import (
	"testing"

	"github.com/portcullis-auth/portcullis"
	"github.com/portcullis-auth/portcullis/dev/issuer"
	"github.com/portcullis-auth/portcullis/verify/introspect"
	"github.com/portcullis-auth/portcullis/verify/jwt"
	"github.com/portcullis-auth/portcullis/verify/userinfo"
)

func wantName(t testing.TB, id *portcullis.Identity, want string) {
	t.Helper()
	var name string
	if id != nil && (!id.Claim("name", &name) || name != want) {
		t.Errorf("name %q, want %q", name, want)
	}
}

// The user's name, which the token doesn't say, from npm oidc-provider.
func TestI2OIDCProviderUserinfo(t *testing.T) {
	p := getOIDCProvider(t)
	tokens := newIntrospect(t, introspect.Config{Issuer: p.issuer, ClientSecret: gatewaySecret})
	v := newUserinfo(t, userinfo.Config{Verifier: tokens, URL: p.issuer + "/me"})
	token, _ := p.mint(t, minting{User: "u1"})
	id := verify(t, v, token, nil)
	wantName(t, id, "u1 of the tests")
	if id != nil && (id.Issuer != p.issuer || id.ClientID != "app" || id.ExpiresAt.IsZero()) {
		t.Errorf("identity %+v", id)
	}
	second, _ := p.mint(t, minting{User: "u2"})
	wantName(t, verify(t, v, second, nil), "u2 of the tests")

	// What is known about the user doesn't keep the token good.
	p.revoke(t, token)
	verify(t, v, token, portcullis.ErrInvalid)

	// The endpoint's own no, and what says nothing about the token.
	for name, tt := range map[string]struct {
		minting minting
		subject string
		want    error
	}{
		"scope":         {minting{Scope: "profile"}, "u1", portcullis.ErrInvalid},
		"audience":      {minting{Audience: resource}, "u1", portcullis.ErrInvalid},
		"JWT":           {minting{Audience: resource, Alg: "RS256"}, "u1", portcullis.ErrInvalid},
		"other subject": {minting{User: "u2"}, "u1", portcullis.ErrUnavailable},
	} {
		t.Run(name, func(t *testing.T) {
			v := newUserinfo(t, userinfo.Config{Verifier: knows(tt.subject), URL: p.issuer + "/me"})
			token, _ := p.mint(t, tt.minting)
			verify(t, v, token, tt.want)
		})
	}
}

// The same from zitadel/oidc, for both kinds of tokens.
func TestI2ZitadelUserinfo(t *testing.T) {
	i := startZitadel(t)
	for kind, tokens := range map[issuer.Kind]portcullis.Verifier{
		issuer.Opaque: newIntrospect(t, introspect.Config{Issuer: i.URL(), ClientSecret: gatewaySecret}),
		issuer.JWT:    newJWT(t, jwt.Config{Issuer: i.URL(), Audience: []string{"gateway"}}),
	} {
		v := newUserinfo(t, userinfo.Config{Verifier: tokens, URL: i.URL() + "/userinfo"})
		token := issue(t, i, "alice", issuer.TokenOptions{Kind: kind})
		id := verify(t, v, token.Access, nil)
		wantName(t, id, "Alice Adams")
		wantAlice(t, i, id, token)

		i.RevokeSession(token.SID)
		fresh := newUserinfo(t, userinfo.Config{Verifier: knows("u-alice"), URL: i.URL() + "/userinfo"})
		verify(t, fresh, token.Access, portcullis.ErrInvalid)
	}
}
