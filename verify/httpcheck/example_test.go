package httpcheck_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"

	"github.com/portcullis-auth/portcullis/verify/httpcheck"
)

func Example() {
	// Stands for the application's own "who am I".
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if c, err := r.Cookie("session"); err != nil || c.Value != "good" {
			http.Error(w, "log in", http.StatusUnauthorized)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		fmt.Fprint(w, `{"id": 17, "name": "Ada", "valid_until": "2027-01-15T08:00:00Z"}`)
	}))
	defer server.Close()

	verifier, err := httpcheck.New(httpcheck.Config{
		URL:     server.URL, // https://app.example.com/api/me
		Cookie:  "session",
		Subject: "id",
		Expiry:  "valid_until",
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	id, err := verifier.Verify(context.Background(), "good")
	fmt.Println(id.Subject, id.ExpiresAt.UTC(), err)
	_, err = verifier.Verify(context.Background(), "bad")
	fmt.Println(err)
	// Output:
	// 17 2027-01-15 08:00:00 +0000 UTC <nil>
	// portcullis: token not valid: the token system answers 401
}

func Example_body() {
	// Stands for an internal endpoint that checks tokens for other services.
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("X-Gateway-Key") != "between us" {
			http.Error(w, "not for you", http.StatusNotFound) // 401 would speak of the token
			return
		}
		w.Header().Set("Content-Type", "application/json")
		w.Header().Set("Cache-Control", "max-age=60")
		if r.PostFormValue("token") != "good" {
			fmt.Fprint(w, `{"valid": false}`)
			return
		}
		fmt.Fprint(w, `{"valid": true, "data": {"user": {"id": "u-17", "roles": ["editor"]}}}`)
	}))
	defer server.Close()

	verifier, err := httpcheck.New(httpcheck.Config{
		URL:          server.URL, // https://internal.example.com/check
		BodyField:    "token",
		SecretHeader: "X-Gateway-Key",
		Secret:       "between us",
		Valid:        "valid",
		Subject:      "/data/user/id",
		Scopes:       "/data/user/roles",
		CacheHeaders: true,
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	id, err := verifier.Verify(context.Background(), "good")
	fmt.Println(id.Subject, id.Scopes, !id.ReuseUntil.IsZero(), err)
	_, err = verifier.Verify(context.Background(), "bad")
	fmt.Println(err)
	// Output:
	// u-17 [editor] true <nil>
	// portcullis: token not valid: the answer's "valid" is false
}
