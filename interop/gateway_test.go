package interop

import (
	"context"
	"crypto/rand"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/coder/websocket"

	"github.com/portcullis-auth/portcullis/dev/issuer"
	"github.com/portcullis-auth/portcullis/gateway"
	"github.com/portcullis-auth/portcullis/gateway/config"
)

// startGateway starts a gateway with that section verify, in front of a backend
// that says who came. Its log is part of what was said.
func startGateway(t *testing.T, verify string) (base string) {
	t.Helper()
	backend := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Upgrade") == "" {
			fmt.Fprint(w, r.Header.Get("X-Forwarded-User"))
			return
		}
		c, err := websocket.Accept(w, r, nil)
		if err != nil {
			return
		}
		defer c.CloseNow()
		_ = c.Write(r.Context(), websocket.MessageText, []byte(r.Header.Get("X-Forwarded-User")))
		_, _, _ = c.Read(r.Context())
	}))
	t.Cleanup(backend.Close)

	l := listen(t)
	serveGateway(t, l, fmt.Sprintf(`
verify:
%s
routes:
  - {path: /, backend: %s}
`, verify, backend.URL))
	return "http://" + l.Addr().String()
}

func listen(t testing.TB) net.Listener {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// serveGateway starts a gateway with that configuration on the listener, until
// the test ends.
func serveGateway(t testing.TB, l net.Listener, yaml string) *gateway.Gateway {
	t.Helper()
	file := filepath.Join(t.TempDir(), "portcullis.yaml")
	if err := os.WriteFile(file, []byte(`
listen: 127.0.0.1:1
grace: 500ms
shutdown_grace: 2s
tokens: [{cookie: session}, bearer, {subprotocol: bearer}, {query: token}]
`+yaml), 0o600); err != nil {
		t.Fatal(err)
	}
	c, err := config.Load(file, func(name string) (string, bool) { return gatewaySecret, name == "SECRET" })
	if heard(err) != nil {
		t.Fatal(err)
	}
	g, err := gateway.New(c, slog.New(slog.NewJSONHandler(&said, &slog.HandlerOptions{Level: slog.LevelDebug})))
	if heard(err) != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	ended := make(chan error, 1)
	go func() { ended <- g.Serve(ctx, l) }()
	t.Cleanup(func() {
		cancel()
		_ = heard(<-ended)
		_ = heard(g.Close())
	})
	return g
}

// ways are those in which a request may carry a token.
var ways = map[string]func(r *http.Request, token string){
	"bearer": func(r *http.Request, token string) { r.Header.Set("Authorization", "Bearer "+token) },
	"cookie": func(r *http.Request, token string) { r.AddCookie(&http.Cookie{Name: "session", Value: token}) },
	"query":  func(r *http.Request, token string) { r.URL.RawQuery = url.Values{"token": {token}}.Encode() },
}

// wantStatus makes a request with the token in each way. A 200 must be the
// user's.
func wantStatus(t testing.TB, base, token string, status int, user string) {
	t.Helper()
	for way, carry := range ways {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, base+"/x", nil)
		if err != nil {
			t.Fatal(err)
		}
		r.Close = true
		carry(r, token)
		resp, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(resp.Body)
		resp.Body.Close()
		if err != nil {
			t.Fatal(err)
		}
		_, _ = fmt.Fprintf(&said, "%s %v %s", resp.Status, resp.Header, body)
		if resp.StatusCode != status || status == 200 && string(body) != user {
			t.Errorf("%s: %s for %q, want %d for %q", way, resp.Status, body, status, user)
		}
	}
}

// The table "Answers" through a whole gateway with four token systems, one of
// them hostile.
func TestAnswersOfAGatewayWithSeveralTokenSystems(t *testing.T) {
	p, i := getOIDCProvider(t), startZitadel(t)
	evil := startHostile(t, target{good: userAnswer, honest: nothing, media: "application/json"}, func(x *exchange) {
		x.answer("500 No", prize(x.request), "X-Echo: "+prize(x.request))
	})
	base := startGateway(t, strings.NewReplacer("PROVIDER", p.issuer, "ZITADEL", i.URL(), "EVIL", evil.url, "RESOURCE", resource).Replace(`
  - name: signed
    jwt: {issuer: PROVIDER, audience: RESOURCE}
  - name: evil
    for: {prefixes: [opaque_]}
    http_check: {url: EVIL/me}
  - name: zitadel
    introspection: {url: ZITADEL/oauth/introspect, client_id: gateway, client_secret_env: SECRET}
    userinfo: {url: ZITADEL/userinfo}
    cache: {max_age: 0s, negative_age: 0s}
  - name: opaque
    introspection: {issuer: PROVIDER, client_id: gateway, client_secret_env: SECRET, signed_answers: required}
    cache: {max_age: 0s, negative_age: 0s}
`))

	signed, _ := p.mint(t, minting{Audience: resource, Alg: "RS256"})
	elsewhere, _ := p.mint(t, minting{Audience: "https://other.example.com", Alg: "RS256"})
	handle, _ := p.mint(t, minting{})
	other, _ := p.mint(t, minting{Client: "other"})
	alice := issue(t, i, "alice", issuer.TokenOptions{})
	aliceJWT := issue(t, i, "alice", issuer.TokenOptions{Kind: issuer.JWT})
	madeUp := said.secret("a made-up token", rand.Text())

	wantStatus(t, base, signed, 200, "u1")
	wantStatus(t, base, signed+"x", 401, "")
	wantStatus(t, base, elsewhere, 401, "")
	wantStatus(t, base, handle, 200, "u1")
	wantStatus(t, base, other, 401, "")
	wantStatus(t, base, alice.Access, 200, "u-alice")
	wantStatus(t, base, madeUp, 401, "")
	wantStatus(t, base, opaque("a token of the hostile token system"), 503, "")

	// By socket; also a JWT that nobody owns, of which its token system knows.
	for _, token := range []string{alice.Access, aliceJWT.Access} {
		socket, _, err := websocket.Dial(t.Context(), base+"/?token="+url.QueryEscape(token), nil)
		if heard(err) != nil {
			t.Fatal("no socket")
		}
		_, who, err := socket.Read(t.Context())
		if heard(err) != nil || string(who) != "u-alice" {
			t.Errorf("the socket is %q's", who)
		}
		_ = socket.CloseNow()
	}

	p.revoke(t, handle)
	wantStatus(t, base, handle, 401, "")
	i.RevokeSession(alice.SID)
	wantStatus(t, base, alice.Access, 401, "")
	wantStatus(t, base, signed, 200, "u1")
}
