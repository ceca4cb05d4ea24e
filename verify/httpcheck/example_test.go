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
