package introspect_test

import (
	"context"
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
