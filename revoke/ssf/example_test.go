package ssf_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"

	"github.com/portcullis-auth/portcullis"
	"github.com/portcullis-auth/portcullis/revoke/ssf"
)

// A guard and a receiver that belong together.
func newReceiver() (*portcullis.Guard, *ssf.Receiver, error) {
	guard := &portcullis.Guard{Verifier: portcullis.VerifierFunc(func(context.Context, string) (*portcullis.Identity, error) {
		return &portcullis.Identity{Issuer: "https://id.example.com", Subject: "ann"}, nil
	})}
	receiver, err := ssf.New(ssf.Config{
		Issuer:   "https://id.example.com",
		Audience: "https://app.example.com/ssf",
		Revoke:   guard.Revoke,
		End:      guard.End,
		Recheck:  guard.RecheckNow,
		Actions:  map[string]ssf.Action{ssf.CredentialChange: ssf.Revoke},
	})
	return guard, receiver, err
}

func Example() {
	_, receiver, err := newReceiver()
	if err != nil {
		fmt.Println(err)
		return
	}
	mux := http.NewServeMux()
	mux.Handle("/ssf/push", receiver) // the stream's endpoint_url

	w := httptest.NewRecorder()
	r := httptest.NewRequest(http.MethodPost, "/ssf/push", http.NoBody)
	r.Header.Set("Content-Type", "application/secevent+jwt")
	mux.ServeHTTP(w, r)
	fmt.Println(w.Code, w.Body)
	// Output: 400 {"err":"invalid_request","description":"not a SET: empty token"}
}

func ExampleReceiver_NewPoller() {
	_, receiver, err := newReceiver()
	if err != nil {
		fmt.Println(err)
		return
	}
	poller, err := receiver.NewPoller(ssf.PollConfig{
		Endpoint: "https://id.example.com/ssf/poll",
		Bearer:   func(context.Context) (string, error) { return "an access token", nil },
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel() // when the program ends
	fmt.Println(poller.Run(ctx))
	// Output: context canceled
}

func ExampleReceiver_Check() {
	guard, receiver, err := newReceiver()
	if err != nil {
		fmt.Println(err)
		return
	}
	handler := guard.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		id, _ := portcullis.FromContext(r.Context())
		if receiver.Check(r.Context(), id) != nil {
			return // the session has ended, and the guard answers
		}
		fmt.Fprintln(w, "hello", id.Subject)
	}))
	w := httptest.NewRecorder()
	r := httptest.NewRequest(http.MethodGet, "/", http.NoBody)
	r.Header.Set("Authorization", "Bearer x")
	handler.ServeHTTP(w, r)
	fmt.Print(w.Body)
	// Output: hello ann
}

func ExampleDiscover() {
	// Stands for the transmitter.
	client := &http.Client{Transport: transport(func(*http.Request) (*http.Response, error) {
		return nil, errors.New("down")
	})}
	transmitter, err := ssf.Discover(context.Background(), ssf.TransmitterConfig{
		Issuer: "https://id.example.com",
		Bearer: func(context.Context) (string, error) { return "an access token", nil },
		Client: client,
	})
	if err != nil {
		fmt.Println(errors.Is(err, portcullis.ErrUnavailable))
		return
	}
	stream, err := transmitter.CreateStream(context.Background(), ssf.Push,
		"https://app.example.com/ssf/push", "Bearer a-secret-of-ours", []string{ssf.SessionRevoked})
	fmt.Println(stream, err)
	// Output: true
}
