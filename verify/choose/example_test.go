package choose_test

import (
	"context"
	"fmt"

	"github.com/portcullis-auth/portcullis"
	"github.com/portcullis-auth/portcullis/verify/choose"
)

// Two token systems: the login of the users, which signs its tokens, and a
// service that hands out keys to programs.
func Example() {
	// Stand for Verifiers of verify/jwt and verify/introspect.
	users := portcullis.VerifierFunc(func(context.Context, string) (*portcullis.Identity, error) {
		return &portcullis.Identity{Subject: "ada"}, nil
	})
	programs := portcullis.VerifierFunc(func(context.Context, string) (*portcullis.Identity, error) {
		return nil, portcullis.ErrInvalid
	})

	verifier, err := choose.New(
		choose.Choice{Name: "users", Verifier: users, Issuers: []string{"https://id.example.com"}},
		choose.Choice{Name: "programs", Verifier: programs, Prefixes: []string{"key_"}},
	)
	if err != nil {
		fmt.Println(err)
		return
	}
	const token = "eyJhbGciOiJSUzI1NiJ9.eyJpc3MiOiJodHRwczovL2lkLmV4YW1wbGUuY29tIn0.c2ln"
	id, err := verifier.Verify(context.Background(), token)
	fmt.Println(id.Subject, err)
	_, err = verifier.Verify(context.Background(), "key_17")
	fmt.Println(err)
	_, err = verifier.Verify(context.Background(), "something-else")
	fmt.Println(err)
	// Output:
	// ada <nil>
	// programs: portcullis: token not valid
	// portcullis: token not valid: no verifier is for this kind of token
}

func ExampleVerifier_Explain() {
	says := func(id *portcullis.Identity, err error) portcullis.Verifier {
		return portcullis.VerifierFunc(func(context.Context, string) (*portcullis.Identity, error) { return id, err })
	}
	verifier, err := choose.New(
		choose.Choice{Name: "keys", Verifier: says(nil, nil), Prefixes: []string{"key_"}},
		choose.Choice{Name: "old login", Verifier: says(nil, portcullis.ErrInvalid)},
		choose.Choice{Name: "new login", Verifier: says(&portcullis.Identity{Subject: "ada"}, nil)},
	)
	if err != nil {
		fmt.Println(err)
		return
	}
	steps, err := verifier.Explain(context.Background(), "abc")
	for _, s := range steps {
		fmt.Printf("%s (%s): %v\n", s.Name, s.Why, s.Err)
	}
	fmt.Println(err)
	// Output:
	// keys (not asked): <nil>
	// old login (in order): old login: portcullis: token not valid
	// new login (in order): <nil>
	// <nil>
}
