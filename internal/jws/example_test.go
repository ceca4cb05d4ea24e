package jws_test

import (
	"context"
	"crypto/ed25519"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"fmt"

	"github.com/portcullis-auth/portcullis/internal/jws"
	"github.com/portcullis-auth/portcullis/internal/keyset"
)

func Example() {
	// Stands for the issuer.
	public, private, _ := ed25519.GenerateKey(nil)
	input := base64.RawURLEncoding.EncodeToString([]byte(`{"alg":"EdDSA","typ":"secevent+jwt"}`)) +
		"." + base64.RawURLEncoding.EncodeToString([]byte(`{"aud":"us"}`))
	token := input + "." + base64.RawURLEncoding.EncodeToString(ed25519.Sign(private, []byte(input)))
	der, _ := x509.MarshalPKIXPublicKey(public)
	keys, err := keyset.New(keyset.Config{Local: pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})})
	if err != nil {
		fmt.Println(err)
		return
	}

	t, err := jws.Parse(token, keyset.DefaultAlgorithms, []string{"secevent+jwt"})
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(t.For("us"), t.Verify(context.Background(), keys))
	// Output:
	// true <nil>
}
