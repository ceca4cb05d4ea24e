package cached_test

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/portcullis-auth/portcullis"
	"github.com/portcullis-auth/portcullis/verify/cached"
)

func Example() {
	// Stands for introspect.New, or any other that asks a token system.
	system := portcullis.VerifierFunc(func(_ context.Context, token string) (*portcullis.Identity, error) {
		fmt.Println("the token system is asked")
		if token == "good" {
			return &portcullis.Identity{Subject: "ada"}, nil
		}
		return nil, portcullis.ErrInvalid
	})

	verifier, err := cached.New(cached.Config{Verifier: system})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer func() { _ = verifier.Close() }()

	for range 3 {
		id, err := verifier.Verify(context.Background(), "good")
		fmt.Println(id.Subject, err)
	}
	_, err = verifier.Verify(context.Background(), "bad")
	fmt.Println(errors.Is(err, portcullis.ErrInvalid))
	fmt.Println(verifier.Counters().Hits, "hits")
	// Output:
	// the token system is asked
	// ada <nil>
	// ada <nil>
	// ada <nil>
	// the token system is asked
	// true
	// 2 hits
}

// Users go on for up to five minutes while the token system is down; after one
// minute of that, something is done about those who are inside.
func ExampleConfig_outage() {
	up := true
	told := make(chan struct{})
	verifier, err := cached.New(cached.Config{
		Verifier: portcullis.VerifierFunc(func(context.Context, string) (*portcullis.Identity, error) {
			if !up {
				return nil, errors.New("connection refused")
			}
			return &portcullis.Identity{Subject: "ada"}, nil
		}),
		MaxAge:   time.Nanosecond, // for the example; leave it at a minute or so
		StaleFor: 5 * time.Minute,
		Outage:   10 * time.Millisecond, // time.Minute
		OnOutage: func() {
			select {
			case told <- struct{}{}:
			default:
			}
		},
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer func() { _ = verifier.Close() }()

	_, err = verifier.Verify(context.Background(), "known")
	fmt.Println(err)
	up = false
	_, err = verifier.Verify(context.Background(), "known")
	fmt.Println(err)
	_, err = verifier.Verify(context.Background(), "unknown")
	fmt.Println(errors.Is(err, portcullis.ErrUnavailable))
	<-told
	// Output:
	// <nil>
	// <nil>
	// true
}
