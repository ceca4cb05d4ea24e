// Coder is an echo server over WebSocket with github.com/coder/websocket.
//
// The token comes in the cookie "session" or as a subprotocol:
//
//	new WebSocket("ws://localhost:8080/", ["bearer", token])
//
// Each message is answered with the name of who sent it. "renew <token>" puts
// the socket under a fresh token. When the token expires the page gets the close
// code 3000, when it is revoked 3003, and when the server stops 1012.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"log"
	"net/http"
	"os"
	"os/signal"
	"strings"
	"time"

	"github.com/coder/websocket"

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
	origin := flag.String("origin", "", "`origin` whose pages may open sockets, if not our own")
	var config introspect.Config
	flag.StringVar(&config.URL, "introspect", "", "`URL` of the token system's introspection endpoint")
	flag.StringVar(&config.ClientID, "client-id", "", "our `name` at the token system; its secret is in $CLIENT_SECRET")
	flag.Parse()
	config.ClientSecret = os.Getenv("CLIENT_SECRET")
	verifier, err := introspect.New(config)
	if err != nil {
		return err
	}
	guard := newGuard(verifier)
	if *origin != "" {
		guard.Origins = []string{*origin}
	}

	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	server := &http.Server{Addr: *listen, Handler: guard.Handler(http.HandlerFunc(echo)), ReadHeaderTimeout: 10 * time.Second}
	failed := make(chan error, 1)
	go func() { failed <- server.ListenAndServe() }()
	select {
	case err := <-failed:
		return err
	case <-ctx.Done():
	}
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	return errors.Join(guard.Shutdown(ctx), server.Shutdown(ctx)) // the second one knows nothing of sockets
}

func newGuard(verifier portcullis.Verifier) *portcullis.Guard {
	guard := &portcullis.Guard{Verifier: verifier}
	guard.Sources = []portcullis.TokenSource{portcullis.Cookie("session"), portcullis.Subprotocol("bearer")}
	return guard
}

func echo(w http.ResponseWriter, r *http.Request) {
	// The Guard has checked the Origin.
	c, err := websocket.Accept(w, r, &websocket.AcceptOptions{InsecureSkipVerify: true})
	if err != nil {
		return
	}
	defer func() { _ = c.CloseNow() }()
	for {
		kind, message, err := c.Read(r.Context())
		if err != nil {
			log.Printf("socket ended: %v", err)
			return
		}
		answer := string(message)
		if token, ok := strings.CutPrefix(answer, "renew "); ok {
			answer = "renewed"
			if err := portcullis.Renew(r.Context(), token); err != nil {
				answer = err.Error()
			}
		}
		id, _ := portcullis.FromContext(r.Context())
		if err := c.Write(r.Context(), kind, fmt.Appendf(nil, "%s: %s", id.Subject, answer)); err != nil {
			return
		}
	}
}
