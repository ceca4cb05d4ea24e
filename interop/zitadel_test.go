package interop

import (
	"errors"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/portcullis-auth/portcullis"
	"github.com/portcullis-auth/portcullis/dev/issuer"
	"github.com/portcullis-auth/portcullis/verify/introspect"
	"github.com/portcullis-auth/portcullis/verify/jwt"
)

// startZitadel starts dev/issuer, which is zitadel/oidc's op with a storage.
func startZitadel(t *testing.T) *issuer.Issuer {
	t.Helper()
	l, err := issuer.Listen("127.0.0.1:0", false)
	if err != nil {
		t.Fatal(err)
	}
	i, err := issuer.New(issuer.Config{
		URL:                 "http://" + l.Addr().String(),
		IntrospectionSecret: gatewaySecret,
		IntrospectionKey:    &jose.JSONWebKey{Key: clientKey().Signer.Public(), KeyID: "client-key", Algorithm: "ES256", Use: "sig"},
		Log:                 slog.New(slog.NewJSONHandler(&said, nil)),
	})
	if err != nil {
		t.Fatal(err)
	}
	server := &http.Server{Handler: i}
	var serving sync.WaitGroup
	serving.Go(func() { _ = server.Serve(l) })
	t.Cleanup(func() {
		_ = i.Close()
		_ = server.Close()
		serving.Wait()
	})
	return i
}

func issue(t testing.TB, i *issuer.Issuer, user string, o issuer.TokenOptions) *issuer.Token {
	t.Helper()
	token, err := i.IssueToken(user, o)
	if err != nil {
		t.Fatal(err)
	}
	said.secret("a token of zitadel/oidc", token.Access)
	return token
}

func wantAlice(t testing.TB, i *issuer.Issuer, id *portcullis.Identity, token *issuer.Token) {
	t.Helper()
	if id != nil && (id.Issuer != i.URL() || id.Subject != "u-alice" || id.SessionID != token.SID || id.TokenID != token.JTI ||
		!id.HasScope("chat") || id.ExpiresAt.Unix() != token.Expires.Unix()) {
		t.Errorf("identity %+v of %+v", id, token.SID)
	}
}

// I1, I2: zitadel/oidc by introspection, of both kinds of tokens.
func TestI1I2ZitadelIntrospection(t *testing.T) {
	i := startZitadel(t)
	endpoint := i.URL() + "/oauth/introspect"
	for name, c := range map[string]introspect.Config{
		"basic":                      {URL: endpoint, ClientSecret: gatewaySecret},
		"post":                       {URL: endpoint, ClientSecret: gatewaySecret, Auth: introspect.AuthPost},
		"private_key_jwt":            {URL: endpoint, ClientKey: clientKey(), ClientAssertionAudience: i.URL()},
		"discovery":                  {Issuer: i.URL(), ClientSecret: gatewaySecret},
		"discovery, private_key_jwt": {Issuer: i.URL(), ClientKey: clientKey()},
		// It signs no answers, and so sends plain JSON.
		"signed answers, welcome": {Issuer: i.URL(), ClientSecret: gatewaySecret, SignedResponse: introspect.SignedAccept},
	} {
		for kind, kindName := range []string{issuer.Opaque: "opaque", issuer.JWT: "JWT"} {
			t.Run(name+"/"+kindName, func(t *testing.T) {
				v := newIntrospect(t, c)
				token := issue(t, i, "alice", issuer.TokenOptions{Kind: issuer.Kind(kind)})
				same := issue(t, i, "alice", issuer.TokenOptions{Kind: issuer.Kind(kind), SID: token.SID})
				other := issue(t, i, "alice", issuer.TokenOptions{Kind: issuer.Kind(kind)})
				wantAlice(t, i, verify(t, v, token.Access, nil), token)
				verify(t, v, token.Access+"x", portcullis.ErrInvalid)
				verify(t, v, opaque("a made-up token"), portcullis.ErrInvalid)

				if !i.RevokeSession(token.SID) {
					t.Error("no such session")
				}
				verify(t, v, token.Access, portcullis.ErrInvalid)
				verify(t, v, same.Access, portcullis.ErrInvalid)
				wantAlice(t, i, verify(t, v, other.Access, nil), other)
			})
		}
	}
	t.Run("expired", func(t *testing.T) {
		v := newIntrospect(t, introspect.Config{URL: endpoint, ClientSecret: gatewaySecret})
		token := issue(t, i, "alice", issuer.TokenOptions{Lifetime: time.Second})
		eventually(t, "the token's end", func() bool {
			_, err := v.Verify(t.Context(), token.Access)
			if heard(err) != nil && !errors.Is(err, portcullis.ErrInvalid) {
				t.Fatal(err)
			}
			return err != nil
		})
	})
	t.Run("wrong credentials", func(t *testing.T) {
		token := issue(t, i, "alice", issuer.TokenOptions{})
		for name, c := range map[string]introspect.Config{
			"secret":     {URL: endpoint, ClientSecret: opaque("a wrong secret")},
			"client":     {URL: endpoint, ClientID: "nobody", ClientSecret: gatewaySecret},
			"key":        {URL: endpoint, Issuer: i.URL(), ClientKey: newClientKey("client-key")},
			"kid":        {URL: endpoint, Issuer: i.URL(), ClientKey: newClientKey("another")},
			"our bearer": {URL: endpoint, BearerToken: opaque("a bearer token of ours")},
			"unsigned":   {Issuer: i.URL(), ClientSecret: gatewaySecret, SignedResponse: introspect.SignedRequired},
		} {
			t.Run(name, func(t *testing.T) {
				verify(t, newIntrospect(t, c), token.Access, portcullis.ErrUnavailable)
			})
		}
	})
}

// J1, J2: zitadel/oidc's signed access tokens, by its keys.
func TestJ1J2ZitadelJWT(t *testing.T) {
	i := startZitadel(t)
	v := newJWT(t, jwt.Config{Issuer: i.URL(), Audience: []string{"gateway"}})
	token := issue(t, i, "alice", issuer.TokenOptions{Kind: issuer.JWT})
	wantAlice(t, i, verify(t, v, token.Access, nil), token)

	for name, o := range map[string]issuer.TokenOptions{
		"audience":    {Audience: []string{"another"}},
		"no expiry":   {Omit: []string{"exp"}},
		"no issue":    {Omit: []string{"iat"}},
		"no audience": {Omit: []string{"aud"}},
		"no issuer":   {Omit: []string{"iss"}},
		"no subject":  {Omit: []string{"sub"}},
	} {
		t.Run(name, func(t *testing.T) {
			o.Kind = issuer.JWT
			verify(t, v, issue(t, i, "alice", o).Access, portcullis.ErrInvalid)
		})
	}
	t.Run("expired", func(t *testing.T) {
		strict := newJWT(t, jwt.Config{Issuer: i.URL(), Audience: []string{"gateway"}, Leeway: time.Millisecond})
		token := issue(t, i, "alice", issuer.TokenOptions{Kind: issuer.JWT, Lifetime: time.Second})
		eventually(t, "the token's end", func() bool {
			_, err := strict.Verify(t.Context(), token.Access)
			if heard(err) != nil && !errors.Is(err, portcullis.ErrExpired) {
				t.Fatal(err)
			}
			return err != nil
		})
	})
	t.Run("another issuer", func(t *testing.T) {
		j := startZitadel(t)
		verify(t, v, issue(t, j, "alice", issuer.TokenOptions{Kind: issuer.JWT}).Access, portcullis.ErrInvalid)
		verify(t, newJWT(t, jwt.Config{Issuer: i.URL(), JWKSURL: j.URL() + "/keys", Audience: []string{"gateway"}}), token.Access, portcullis.ErrInvalid)
	})
	t.Run("opaque", func(t *testing.T) {
		verify(t, v, issue(t, i, "alice", issuer.TokenOptions{}).Access, portcullis.ErrInvalid)
	})
	t.Run("signature changed", func(t *testing.T) {
		dot := strings.LastIndexByte(token.Access, '.')
		verify(t, v, token.Access[:dot+1]+"AAAA"+token.Access[dot+5:], portcullis.ErrInvalid)
	})
	// Offline, nobody hears of a revocation: for that the Guard has its own.
	i.RevokeSession(token.SID)
	verify(t, v, token.Access, nil)
}
