// Gorilla tells each client the time, once a second, over WebSocket with
// github.com/gorilla/websocket.
//
// The token comes in the cookie "session" or in the URL:
//
//	new WebSocket("ws://localhost:8080/?token=" + token)
//
// When it expires the page gets the close code 3000, when it is revoked 3003.
package main

import (
	"context"
	"flag"
	"log"
	"net/http"
	"os"
	"time"

	"github.com/gorilla/websocket"

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
	handler := newGuard(verifier).Handler(http.HandlerFunc(tick))
	server := &http.Server{Addr: *listen, Handler: handler, ReadHeaderTimeout: 10 * time.Second}
	return server.ListenAndServe()
}

func newGuard(verifier portcullis.Verifier) *portcullis.Guard {
	guard := &portcullis.Guard{Verifier: verifier}
	guard.Sources = []portcullis.TokenSource{portcullis.Cookie("session"), portcullis.Query("token")}
	return guard
}

// The Guard has checked the Origin.
var upgrader = websocket.Upgrader{CheckOrigin: func(*http.Request) bool { return true }}

func tick(w http.ResponseWriter, r *http.Request) {
	c, err := upgrader.Upgrade(w, r, nil)
	if err != nil {
		return
	}
	defer func() { _ = c.Close() }()
	gone := make(chan struct{})
	go func() { // gorilla answers pings and Close frames only while somebody reads
		defer close(gone)
		for {
			if _, _, err := c.NextReader(); err != nil {
				return
			}
		}
	}()
	each := time.NewTicker(time.Second)
	defer each.Stop()
	for now := time.Now(); ; {
		id, _ := portcullis.FromContext(r.Context())
		if c.WriteJSON(map[string]string{"for": id.Subject, "time": now.Format(time.TimeOnly)}) != nil {
			return
		}
		select {
		case now = <-each.C:
		case <-gone:
			return
		case <-r.Context().Done():
			log.Printf("socket of %s ended: %v", id.Subject, context.Cause(r.Context()))
			return
		}
	}
}
