package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/coder/websocket"

	"github.com/portcullis-auth/portcullis/dev/issuer"
)

// nodeBackend is examples/node-ws, started by us, and returns its URL.
func nodeBackend(t *testing.T) string {
	t.Helper()
	dir, err := filepath.Abs("../../examples/node-ws")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Join(dir, "node_modules", "ws")); err != nil {
		t.Fatalf("this test needs the packages of examples/node-ws: %v; run make setup", err)
	}
	var log output
	node := exec.Command("node", "server.js")
	node.Dir, node.Env, node.Stdout, node.Stderr = dir, append(os.Environ(), "PORT=0"), &log, &log
	if err := node.Start(); err != nil {
		t.Fatalf("this test needs Node: %v; run make setup", err)
	}
	t.Cleanup(func() {
		_ = node.Process.Signal(syscall.SIGTERM)
		if err := node.Wait(); err != nil {
			t.Errorf("node: %v\n%s", err, &log)
		}
	})
	return "http://" + eventually(t, &log, `listening on (\S+)`)
}

// tokenSystem starts the embedded token system, for a gateway at appURL.
func tokenSystem(t *testing.T, appURL, secret string) *issuer.Issuer {
	t.Helper()
	l, err := issuer.Listen("127.0.0.1:0", false)
	if err != nil {
		t.Fatal(err)
	}
	tokens, err := issuer.New(issuer.Config{
		URL: "http://" + l.Addr().String(), AppURL: appURL, IntrospectionSecret: secret,
		BackchannelLogoutURIs: []string{appURL + "/.portcullis/backchannel-logout"},
		Log:                   slog.New(slog.DiscardHandler),
	})
	if err != nil {
		t.Fatal(err)
	}
	server := &http.Server{Handler: tokens}
	go func() { _ = server.Serve(l) }()
	t.Cleanup(func() {
		_ = tokens.Close()
		_ = server.Close()
	})
	return tokens
}

// chatter is one end of the chat.
type chatter struct {
	*testing.T
	*websocket.Conn
}

// dial opens a socket; o may carry the token.
func dial(t *testing.T, url string, o *websocket.DialOptions) chatter {
	t.Helper()
	c, _, err := websocket.Dial(t.Context(), strings.Replace(url, "http", "ws", 1), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.CloseNow() })
	return chatter{t, c}
}

// say sends a message and waits until the name that the gateway vouched for has said it.
func (c chatter) say(text, name string) {
	c.Helper()
	raw, _ := json.Marshal(map[string]string{"text": text})
	if err := c.Write(c.Context(), websocket.MessageText, raw); err != nil {
		c.Fatal(err)
	}
	for {
		_, raw, err := c.Read(c.Context())
		if err != nil {
			c.Fatalf("waiting for %q: %v", text, err)
		}
		var event struct{ Type, Name, Text string }
		if err := json.Unmarshal(raw, &event); err != nil {
			c.Fatal(err)
		}
		if event.Type == "message" && event.Text == text {
			if event.Name != name {
				c.Errorf("%q comes from %q, want %q", text, event.Name, name)
			}
			return
		}
	}
}

// wantClose waits for the end.
func (c chatter) wantClose(code websocket.StatusCode, reason string) {
	c.Helper()
	ctx, cancel := context.WithTimeout(c.Context(), patience)
	defer cancel()
	for {
		_, _, err := c.Read(ctx)
		if err == nil {
			continue
		}
		var ce websocket.CloseError
		if !errors.As(err, &ce) || ce.Code != code || ce.Reason != reason {
			c.Errorf("ended with %v, want Close %d %q", err, code, reason)
		}
		return
	}
}

// S1, S2, S4, S5, S7 and S8 for a backend in Node in which no line deals with
// tokens, behind the real command.
func TestNodeBackend(t *testing.T) {
	const secret = "a-secret-of-the-gateway"
	backend := nodeBackend(t)
	front, err := issuer.Listen("127.0.0.1:0", false)
	if err != nil {
		t.Fatal(err)
	}
	addr := front.Addr().String()
	_ = front.Close() // the command opens it again
	url := "http://" + addr
	tokens := tokenSystem(t, url, secret)

	file := filepath.Join(t.TempDir(), "portcullis.yaml")
	yaml := fmt.Sprintf(`
listen: %s
admin: {listen: "off"}
tokens: [{cookie: session}, bearer, {subprotocol: bearer}, {query: token}]
verify:
  introspection: {url: %s/oauth/introspect, client_id: gateway, client_secret_env: SECRET}
logout: {issuer: %[2]s, client_id: gateway}
routes:
  - {path: /wsapi/, backend: %[3]s, allow: '"chat" in identity.scopes'}
  - {path: /, backend: %[3]s}
`, addr, tokens.URL(), backend)
	if err := os.WriteFile(file, []byte(yaml), 0o600); err != nil {
		t.Fatal(err)
	}
	_, log := command(t, map[string]string{"SECRET": secret}, "serve", "-c", file)
	eventually(t, log, `"msg":"serving"`)

	alice, err := tokens.IssueToken("alice", issuer.TokenOptions{})
	if err != nil {
		t.Fatal(err)
	}
	me := func(token string) (int, string) {
		r, _ := http.NewRequestWithContext(t.Context(), http.MethodGet, url+"/api/me", nil)
		r.AddCookie(&http.Cookie{Name: "session", Value: token})
		resp, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		body, _ := io.ReadAll(resp.Body)
		return resp.StatusCode, string(body)
	}
	if status, body := me(alice.Access); status != 200 || !strings.Contains(body, `"name":"alice"`) || !strings.Contains(body, `"email":"alice@example.com"`) {
		t.Errorf("GET /api/me: %d %s", status, body)
	}
	if status, _ := me("bad"); status != 401 {
		t.Errorf("with a bad token: %d, want 401", status)
	}

	bob, err := tokens.IssueToken("bob", issuer.TokenOptions{Lifetime: 10 * time.Second})
	if err != nil {
		t.Fatal(err)
	}
	short := dial(t, url+"/wsapi/?token="+bob.Access, nil)
	var sockets []chatter
	for _, o := range []*websocket.DialOptions{
		{HTTPHeader: http.Header{"Cookie": {"session=" + alice.Access}, "Origin": {url}}},
		{HTTPHeader: http.Header{"Authorization": {"Bearer " + alice.Access}}},
		{Subprotocols: []string{"bearer", alice.Access}},
	} {
		sockets = append(sockets, dial(t, url+"/wsapi/", o))
	}
	sockets = append(sockets, dial(t, url+"/wsapi/?token="+alice.Access, nil))
	for i, s := range sockets {
		s.say(fmt.Sprint("hello ", i), "alice")
	}
	short.say("hello alice", "bob")

	if err := tokens.LogoutSession(t.Context(), alice.SID); err != nil {
		t.Fatal(err)
	}
	for _, s := range sockets {
		s.wantClose(3003, "session_revoked")
	}
	if status, _ := me(alice.Access); status != 401 {
		t.Errorf("after the logout: %d, want 401", status)
	}
	short.say("still here", "bob")
	short.wantClose(3000, "token_expired")
	if strings.Contains(log.String(), alice.Access) || strings.Contains(log.String(), bob.Access) {
		t.Error("the log holds a token")
	}
}
