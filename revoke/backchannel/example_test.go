package backchannel_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"

	"github.com/portcullis-auth/portcullis"
	"github.com/portcullis-auth/portcullis/revoke/backchannel"
)

func Example() {
	receiver, err := backchannel.New(backchannel.Config{
		Issuer:   "https://id.example.com",
		Audience: "my-client-id",
		Revoke: func(_ context.Context, r portcullis.Revocation) error { // guard.Revoke
			fmt.Println("ending session", r.SessionID, "of", r.Issuer)
			return nil
		},
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	mux := http.NewServeMux()
	mux.Handle("/backchannel-logout", receiver) // the backchannel_logout_uri

	w := httptest.NewRecorder()
	mux.ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/backchannel-logout", nil))
	fmt.Println(w.Code)
	// Output: 405
}

func ExampleJoin() {
	revoke := func(context.Context, portcullis.Revocation) error { return nil } // guard.Revoke
	staff, err := backchannel.New(backchannel.Config{Issuer: "https://staff.example.com", Audience: "app", Revoke: revoke})
	if err != nil {
		fmt.Println(err)
		return
	}
	guests, err := backchannel.New(backchannel.Config{Issuer: "https://guests.example.com", Audience: "app", Revoke: revoke})
	if err != nil {
		fmt.Println(err)
		return
	}
	both, err := backchannel.Join(staff, guests)
	if err != nil {
		fmt.Println(err)
		return
	}
	mux := http.NewServeMux()
	mux.Handle("/backchannel-logout", both) // the backchannel_logout_uri at either

	w := httptest.NewRecorder()
	mux.ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/backchannel-logout", nil))
	fmt.Println(w.Code)
	// Output: 405
}
