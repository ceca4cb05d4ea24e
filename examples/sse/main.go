// Sse tells each client the time, once a second, as server-sent events.
//
// The token comes in the cookie "session", the only way that an EventSource
// knows, or in the Authorization header. When it expires or is revoked the
// stream breaks off, the EventSource connects again by itself, and gets a 401.
package main

import (
	"context"
	"flag"
	"fmt"
	"log"
	"net/http"
	"os"
	"time"

	"github.com/portcullis-auth/portcullis"
	"github.com/portcullis-auth/portcullis/verify/introspect"
)

func main() {
	if err := run(); err != nil {
		log.Fatal(err)
	}
}

func run() error {
	listen := flag.String("listen", "127.0.0.1:8080", "`address` to listen on")
	var config introspect.Config
	flag.StringVar(&config.URL, "introspect", "", "`URL` of the token system's introspection endpoint")
	flag.StringVar(&config.ClientID, "client-id", "", "our `name` at the token system; its secret is in $CLIENT_SECRET")
	flag.Parse()
	config.ClientSecret = os.Getenv("CLIENT_SECRET")
	verifier, err := introspect.New(config)
	if err != nil {
		return err
	}
	handler := newGuard(verifier).Handler(http.HandlerFunc(events))
	server := &http.Server{Addr: *listen, Handler: handler, ReadHeaderTimeout: 10 * time.Second}
	return server.ListenAndServe()
}

func newGuard(verifier portcullis.Verifier) *portcullis.Guard {
	guard := &portcullis.Guard{Verifier: verifier}
	guard.Sources = []portcullis.TokenSource{portcullis.Cookie("session"), portcullis.Bearer}
	return guard
}

func events(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	h.Set("Content-Type", "text/event-stream")
	h.Set("Cache-Control", "no-store")
	each := time.NewTicker(time.Second)
	defer each.Stop()
	for now := time.Now(); ; {
		id, _ := portcullis.FromContext(r.Context())
		if _, err := fmt.Fprintf(w, "data: %s, it is %s\n\n", id.Subject, now.Format(time.TimeOnly)); err != nil {
			return
		}
		if err := http.NewResponseController(w).Flush(); err != nil {
			return
		}
		select {
		case now = <-each.C:
		case <-r.Context().Done():
			log.Printf("stream of %s ended: %v", id.Subject, context.Cause(r.Context()))
			return
		}
	}
}
