package issuer_test

import (
	"fmt"
	"net/http"

	"github.com/portcullis-auth/portcullis/dev/issuer"
)

// The port is chosen at run time: listen first, then the URL is known.
func Example() {
	ln, err := issuer.Listen("127.0.0.1:0", false)
	if err != nil {
		fmt.Println(err)
		return
	}
	iss, err := issuer.New(issuer.Config{
		URL:                 "http://" + ln.Addr().String(),
		IntrospectionSecret: "only for this example",
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer iss.Close()
	srv := &http.Server{Handler: iss}
	defer srv.Close()
	go func() { _ = srv.Serve(ln) }()

	// A test of a gateway needs no browser.
	tok, err := iss.IssueToken("alice", issuer.TokenOptions{Kind: issuer.JWT})
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(tok.Subject, iss.RevokeSession(tok.SID))
	// Output: u-alice true
}
