package userinfo_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"

	"github.com/portcullis-auth/portcullis"
	"github.com/portcullis-auth/portcullis/verify/userinfo"
)

// tokens stands for a Verifier, as verify/jwt has one.
var tokens = portcullis.VerifierFunc(func(context.Context, string) (*portcullis.Identity, error) {
	return &portcullis.Identity{Subject: "u-17", Claims: []byte(`{"sub":"u-17","scope":"openid"}`)}, nil
})

func Example() {
	// Stands for an OpenID provider's userinfo endpoint.
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != "Bearer good" {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		fmt.Fprint(w, `{"sub": "u-17", "name": "Ada", "email": "ada@example.com", "scope": "admin"}`)
	}))
	defer server.Close()

	verifier, err := userinfo.New(userinfo.Config{
		Verifier: tokens,
		URL:      server.URL, // https://id.example.com/userinfo
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer func() { _ = verifier.Close() }()
	id, err := verifier.Verify(context.Background(), "good")
	fmt.Println(string(id.Claims), err)
	// Output: {"email":"ada@example.com","name":"Ada","scope":"openid","sub":"u-17"} <nil>
}

func Example_subject() {
	// Stands for a service of your own that knows the users.
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != "Bearer between-us" || r.URL.Path != "/users/u-17" {
			http.NotFound(w, r)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		fmt.Fprint(w, `{"name": "Ada", "department": "engines"}`)
	}))
	defer server.Close()

	verifier, err := userinfo.New(userinfo.Config{
		Verifier:    tokens,
		URL:         server.URL + "/users/{sub}", // https://people.example.com/users/{sub}
		BearerToken: "between-us",
		OnFailure:   userinfo.Without, // the name is nice to have
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer func() { _ = verifier.Close() }()
	id, err := verifier.Verify(context.Background(), "good")
	fmt.Println(string(id.Claims), err)
	// Output: {"department":"engines","name":"Ada","scope":"openid","sub":"u-17"} <nil>
}
