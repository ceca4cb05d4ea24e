package introspect_test

import (
	"context"
	"crypto/ed25519"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"

	"github.com/portcullis-auth/portcullis"
	"github.com/portcullis-auth/portcullis/verify/introspect"
)

func Example() {
	// Stands for the authorization server.
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		if r.FormValue("token") == "good" {
			fmt.Fprint(w, `{"active": true, "sub": "ada", "scope": "chat"}`)
		} else {
			fmt.Fprint(w, `{"active": false}`)
		}
	}))
	defer server.Close()

	verifier, err := introspect.New(introspect.Config{
		URL:          server.URL, // https://id.example.com/oauth2/introspect
		ClientID:     "gateway",
		ClientSecret: "from a file, not from the source",
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	id, err := verifier.Verify(context.Background(), "good")
	fmt.Println(id.Subject, id.HasScope("chat"), err)
	_, err = verifier.Verify(context.Background(), "bad")
	fmt.Println(errors.Is(err, portcullis.ErrInvalid))
	// Output:
	// ada true <nil>
	// true
}

// The secret travels in the form: client_secret_post.
func ExampleNew_post() {
	_, err := introspect.New(introspect.Config{
		URL:          "https://id.example.com/oauth2/introspect",
		ClientID:     "gateway",
		ClientSecret: "from a file, not from the source",
		Auth:         introspect.AuthPost,
	})
	fmt.Println(err)
	// Output: <nil>
}

// A private key signs an assertion for each call: private_key_jwt. The endpoint
// is found in the issuer's metadata.
func ExampleNew_privateKey() {
	file := examplePEM() // os.ReadFile("/run/secrets/gateway.pem"): PEM or JWK
	key, err := introspect.ParseClientKey(file)
	if err != nil {
		fmt.Println(err)
		return
	}
	key.KeyID = "2026-11" // as registered; a JWK states it
	_, err = introspect.New(introspect.Config{
		Issuer:    "https://id.example.com",
		ClientID:  "gateway",
		ClientKey: key,
	})
	fmt.Println(err)
	// Output: <nil>
}

// An access token of our own: bearer.
func ExampleNew_bearer() {
	_, err := introspect.New(introspect.Config{
		URL:         "https://id.example.com/oauth2/introspect",
		BearerToken: "from-a-file",
	})
	fmt.Println(err)
	// Output: <nil>
}

// Only answers that the issuer has signed count (RFC 9701).
func ExampleNew_signedResponse() {
	_, err := introspect.New(introspect.Config{
		Issuer:         "https://id.example.com",
		ClientID:       "gateway",
		ClientSecret:   "from a file, not from the source",
		SignedResponse: introspect.SignedRequired,
		Algorithms:     []string{"ES256"},
	})
	fmt.Println(err)
	// Output: <nil>
}

func examplePEM() []byte {
	der, _ := x509.MarshalPKCS8PrivateKey(ed25519.NewKeyFromSeed(make([]byte, ed25519.SeedSize)))
	return pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})
}
