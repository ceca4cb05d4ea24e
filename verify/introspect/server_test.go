package introspect_test

import (
	"log/slog"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/go-jose/go-jose/v4"

	"github.com/portcullis-auth/portcullis"
	dev "github.com/portcullis-auth/portcullis/dev/issuer"
	"github.com/portcullis-auth/portcullis/verify/introspect"
)

// I2: a real server, zitadel/oidc's, which it finds by the issuer alone and
// which takes every kind of credentials that it offers.
func TestI2RealServer(t *testing.T) {
	ln, err := dev.Listen("127.0.0.1:0", false)
	if err != nil {
		t.Fatal(err)
	}
	url := "http://" + ln.Addr().String()
	iss, err := dev.New(dev.Config{
		URL: url, IntrospectionSecret: secret, SigningKey: rsaKey(), Log: slog.New(slog.DiscardHandler),
		IntrospectionKey: &jose.JSONWebKey{Key: ecKey.Public(), KeyID: "k1", Algorithm: "ES256", Use: "sig"},
	})
	if err != nil {
		t.Fatal(err)
	}
	defer iss.Close()
	srv := &httptest.Server{Listener: ln, Config: &http.Server{Handler: iss}}
	srv.Start()
	defer srv.Close()
	issued, err := iss.IssueToken("alice", dev.TokenOptions{})
	if err != nil {
		t.Fatal(err)
	}

	key, wrong := &introspect.ClientKey{Signer: ecKey, KeyID: "k1"}, &introspect.ClientKey{Signer: edPrivate, KeyID: "k1"}
	for _, tt := range []struct {
		name    string
		config  introspect.Config
		refused bool
	}{
		{"basic", introspect.Config{ClientSecret: secret}, false},
		{"post", introspect.Config{ClientSecret: secret, Auth: introspect.AuthPost}, false},
		{"key", introspect.Config{ClientKey: key}, false},
		{"signed where it can", introspect.Config{ClientKey: key, SignedResponse: introspect.SignedAccept}, false},
		{"wrong secret", introspect.Config{ClientSecret: "x"}, true},
		{"wrong key", introspect.Config{ClientKey: wrong}, true},
		{"wrong audience", introspect.Config{ClientKey: key, ClientAssertionAudience: "https://id.example.com"}, true},
		{"access token of a user", introspect.Config{BearerToken: issued.Access}, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			tt.config.Issuer, tt.config.ClientID = url, "gateway"
			v, err := introspect.New(tt.config)
			if err != nil {
				t.Fatal(err)
			}
			id, err := v.Verify(t.Context(), issued.Access)
			_, bad := v.Verify(t.Context(), "forged")
			if tt.refused {
				checkError(t, err, portcullis.ErrUnavailable)
				checkError(t, bad, portcullis.ErrUnavailable)
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if id.Subject != issued.Subject || id.SessionID != issued.SID || id.Issuer != url {
				t.Errorf("identity %+v", id)
			}
			checkError(t, bad, portcullis.ErrInvalid)
		})
	}
}
