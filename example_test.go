package portcullis_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strings"
	"time"

	"github.com/coder/websocket"
	"github.com/gobwas/ws"
	"github.com/gobwas/ws/wsutil"
	gorilla "github.com/gorilla/websocket"

	"github.com/portcullis-auth/portcullis"
)

// verifier stands for the token system; see package verify/introspect for a real one.
var verifier = portcullis.VerifierFunc(func(_ context.Context, token string) (*portcullis.Identity, error) {
	name, ok := strings.CutPrefix(token, "token-of-")
	if !ok {
		return nil, portcullis.ErrInvalid
	}
	name, renewed := strings.CutSuffix(name, "-renewed")
	lifetime := time.Hour
	if renewed {
		lifetime = 2 * time.Hour
	}
	return &portcullis.Identity{Subject: name, IssuedAt: time.Now().Add(-time.Minute), ExpiresAt: time.Now().Add(lifetime)}, nil
})

// A browser sends the token in a cookie with each call.
func ExampleGuard_Handler() {
	guard := &portcullis.Guard{Verifier: verifier}
	guard.Sources = []portcullis.TokenSource{portcullis.Cookie("session")}
	server := httptest.NewServer(guard.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		id, _ := portcullis.FromContext(r.Context())
		fmt.Fprintf(w, "hello %s", id.Subject)
	})))
	defer server.Close()

	for _, token := range []string{"token-of-ada", "made-up"} {
		r, _ := http.NewRequest(http.MethodGet, server.URL, nil)
		r.AddCookie(&http.Cookie{Name: "session", Value: token})
		resp, err := http.DefaultClient.Do(r)
		if err != nil {
			fmt.Println(err)
			return
		}
		body, _ := io.ReadAll(resp.Body)
		_ = resp.Body.Close()
		fmt.Println(resp.StatusCode, strings.TrimSpace(string(body)))
	}
	http.DefaultClient.CloseIdleConnections()
	// Output:
	// 200 hello ada
	// 401 token not valid
}

// A socket's user is logged out, and the socket ends. The handler speaks
// github.com/coder/websocket.
func ExampleGuard_Revoke() {
	guard := &portcullis.Guard{Verifier: verifier}
	guard.Sources = []portcullis.TokenSource{portcullis.Query("token")}
	server := httptest.NewServer(guard.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c, err := websocket.Accept(w, r, nil)
		if err != nil {
			return
		}
		defer func() { _ = c.CloseNow() }()
		for {
			kind, message, err := c.Read(r.Context())
			if err != nil {
				return
			}
			id, _ := portcullis.FromContext(r.Context())
			message = fmt.Appendf(nil, "%s says %s", id.Subject, message)
			if c.Write(r.Context(), kind, message) != nil {
				return
			}
		}
	})))
	defer server.Close()

	ctx := context.Background()
	c, _, err := websocket.Dial(ctx, server.URL+"/?token=token-of-ada", nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer func() { _ = c.CloseNow() }()
	_ = c.Write(ctx, websocket.MessageText, []byte("hello"))
	_, answer, _ := c.Read(ctx)
	fmt.Printf("%s\n", answer)

	if err := guard.Revoke(ctx, portcullis.Revocation{Subject: "ada"}); err != nil {
		fmt.Println(err)
	}
	_, _, err = c.Read(ctx)
	fmt.Println(int(websocket.CloseStatus(err)))
	// Output:
	// ada says hello
	// 3003
}

// The page renews its token and hands the fresh one over, in a message of its
// own. The handler speaks github.com/gobwas/ws.
func ExampleRenew() {
	guard := &portcullis.Guard{Verifier: verifier}
	guard.Sources = []portcullis.TokenSource{portcullis.Subprotocol("bearer")}
	server := httptest.NewServer(guard.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c, _, _, err := ws.UpgradeHTTP(r, w)
		if err != nil {
			return
		}
		defer c.Close()
		for {
			message, err := wsutil.ReadClientText(c)
			if err != nil {
				return
			}
			if token, ok := strings.CutPrefix(string(message), "renew "); ok {
				err = portcullis.Renew(r.Context(), token)
			}
			if wsutil.WriteServerText(c, fmt.Append(nil, err)) != nil {
				return
			}
		}
	})))
	defer server.Close()

	dialer := ws.Dialer{Protocols: []string{"bearer", "token-of-ada"}}
	c, _, handshake, err := dialer.Dial(context.Background(), "ws"+strings.TrimPrefix(server.URL, "http"))
	if err != nil {
		fmt.Println(err)
		return
	}
	defer c.Close()
	fmt.Println("subprotocol:", handshake.Protocol)
	for _, token := range []string{"token-of-ada-renewed", "token-of-eve"} {
		_ = wsutil.WriteClientText(c, []byte("renew "+token))
		answer, _ := wsutil.ReadServerText(c)
		fmt.Printf("%s\n", answer)
	}
	for info := range guard.Sessions() {
		fmt.Println("hours left:", int(time.Until(info.Expires).Round(time.Hour).Hours()))
	}
	// Output:
	// subprotocol: bearer
	// <nil>
	// portcullis: not allowed: the token is somebody else's
	// hours left: 2
}

// github.com/gorilla/websocket needs nothing special either. Who gives it
// another goroutine finds the end in the context.
func ExampleFromContext() {
	guard := &portcullis.Guard{Verifier: verifier}
	upgrader := gorilla.Upgrader{CheckOrigin: func(*http.Request) bool { return true }} // the Guard has: Policy.Origins
	http.Handle("/events", guard.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c, err := upgrader.Upgrade(w, r, nil)
		if err != nil {
			return
		}
		defer func() { _ = c.Close() }()
		for {
			select {
			case <-r.Context().Done():
				log.Print(context.Cause(r.Context())) // portcullis: token expired
				return
			case now := <-time.After(time.Second):
				id, _ := portcullis.FromContext(r.Context())
				if c.WriteJSON(map[string]any{"for": id.Subject, "at": now}) != nil {
					return
				}
			}
		}
	})))
}

// A backend that knows nothing of tokens, behind a proxy that does.
func ExampleGuard_HandlerWith() {
	backend, err := url.Parse("http://127.0.0.1:9000")
	if err != nil {
		log.Fatal(err)
	}
	proxy := &httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) {
		r.SetURL(backend)
		r.Out.Header.Del("X-Forwarded-User") // whatever the client says
		if id, ok := portcullis.FromContext(r.In.Context()); ok {
			r.Out.Header.Set("X-Forwarded-User", id.Subject)
		}
	}}
	guard := &portcullis.Guard{Verifier: verifier}
	http.Handle("/wsapi/", guard.HandlerWith(&portcullis.Policy{
		Sources: []portcullis.TokenSource{portcullis.Cookie("session"), portcullis.Bearer},
		Origins: []string{"https://app.example.com"},
	}, proxy))
}

// Server-sent events end with the token, too, in the middle of the stream.
func ExampleGuard_Handler_serverSentEvents() {
	guard := &portcullis.Guard{Verifier: verifier}
	server := httptest.NewServer(guard.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream")
		fmt.Fprint(w, "data: hello\n\n")
		_ = http.NewResponseController(w).Flush()
		<-r.Context().Done()
	})))
	defer server.Close()

	r, _ := http.NewRequest(http.MethodGet, server.URL, nil)
	r.Header.Set("Authorization", "Bearer token-of-ada")
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer resp.Body.Close()
	events := bufio.NewScanner(resp.Body)
	for events.Scan() && events.Text() != "" {
		fmt.Println(events.Text())
	}
	_ = guard.Revoke(context.Background(), portcullis.Revocation{Subject: "ada"})
	for events.Scan() {
		fmt.Println(events.Text())
	}
	fmt.Println("clean end:", events.Err() == nil)
	// Output:
	// data: hello
	// clean end: false
}

// Who moves bytes itself asks for the decision only.
func ExampleGuard_Admit() {
	guard := &portcullis.Guard{Verifier: verifier}
	relay := func(w http.ResponseWriter, r *http.Request, backend net.Conn) {
		session, err := guard.Admit(r, &guard.Policy)
		if err != nil {
			portcullis.DenyStatus(w, r, err)
			return
		}
		defer session.Close()
		session.OnEnd(func(error) { _ = backend.Close() }) // and tell the client why: CloseStatus
		// … session.Request() is without the token.
	}
	_ = relay
}
