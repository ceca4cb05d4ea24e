package jwt_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"

	"github.com/portcullis-auth/portcullis"
	"github.com/portcullis-auth/portcullis/verify/jwt"
)

func Example() {
	// Stands for the token system: it publishes where its keys are.
	var server *httptest.Server
	server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		if r.URL.Path == "/keys" {
			_, _ = w.Write(public())
			return
		}
		fmt.Fprintf(w, `{"issuer": %q, "jwks_uri": %q}`, server.URL, server.URL+"/keys")
	}))
	defer server.Close()

	verifier, err := jwt.New(jwt.Config{
		Issuer:   server.URL, // https://id.example.com
		Audience: []string{"https://api.example.com"},
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	id, err := verifier.Verify(context.Background(), good(object{"iss": server.URL}))
	fmt.Println(id.Subject, id.HasScope("chat"), err)
	_, err = verifier.Verify(context.Background(), good(object{"iss": server.URL, "aud": "https://other.example.com"}))
	fmt.Println(errors.Is(err, portcullis.ErrInvalid), err)
	// Output:
	// u-alice true <nil>
	// true portcullis: token not valid: "aud" does not name us
}

// Many token systems sign access tokens as "JWT", without the type of RFC 9068.
// Here the issuer has no discovery document either.
func ExampleNew_jwksURL() {
	_, err := jwt.New(jwt.Config{
		Issuer:   "home",
		JWKSURL:  "https://login.example.com/keys.json",
		Audience: []string{"https://api.example.com"},
		Types:    []string{"JWT"},
	})
	fmt.Println(err)
	// Output: <nil>
}

// Keys from a file, as PEM or as a JWK Set: no call is ever made.
func ExampleNew_localKeys() {
	keys, err := os.ReadFile("testdata/issuer.pem")
	if err != nil {
		fmt.Println(err)
		return
	}
	verifier, err := jwt.New(jwt.Config{
		Issuer:   "https://id.example.com",
		Keys:     keys,
		Audience: []string{"https://api.example.com"},
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	_, err = verifier.Verify(context.Background(), good(nil)) // signed with another key
	fmt.Println(err)
	// Output: portcullis: token not valid: the signature is not by a key of the issuer
}
