package main

import (
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/coder/websocket"
	"go.uber.org/goleak"

	"github.com/portcullis-auth/portcullis"
	"github.com/portcullis-auth/portcullis/verify/introspect"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestEcho(t *testing.T) {
	guard := newGuard(tokenSystem(t))
	s := httptest.NewServer(guard.Handler(http.HandlerFunc(echo)))
	defer s.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()

	if _, resp, err := websocket.Dial(ctx, s.URL, &websocket.DialOptions{Subprotocols: []string{"bearer", "bad"}}); err == nil || resp == nil || resp.StatusCode != http.StatusUnauthorized {
		t.Fatalf("bad token: %v, err %v", resp, err)
	}
	c, _, err := websocket.Dial(ctx, s.URL, &websocket.DialOptions{Subprotocols: []string{"bearer", "good"}})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = c.CloseNow() }()
	for _, tt := range []struct{ message, want string }{
		{"hello", "ada: hello"},
		{"renew bad", "ada: portcullis: token not valid: not active"},
		{"renew good", "ada: renewed"},
	} {
		if err := c.Write(ctx, websocket.MessageText, []byte(tt.message)); err != nil {
			t.Fatal(err)
		}
		if _, got, err := c.Read(ctx); err != nil || string(got) != tt.want {
			t.Fatalf("%q: answer %q, err %v; want %q", tt.message, got, err, tt.want)
		}
	}
	if err := guard.Revoke(ctx, portcullis.Revocation{Subject: "ada"}); err != nil {
		t.Fatal(err)
	}
	if _, _, err := c.Read(ctx); websocket.CloseStatus(err) != 3003 {
		t.Errorf("after the revocation: %v, want Close 3003", err)
	}
	if err := guard.Shutdown(ctx); err != nil {
		t.Error(err)
	}
}

// tokenSystem answers introspection calls: the token "good" is Ada's.
func tokenSystem(t *testing.T) *introspect.Verifier {
	t.Helper()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		answer := map[string]any{"active": false}
		if id, secret, _ := r.BasicAuth(); id == "example" && secret == "secret" && r.FormValue("token") == "good" {
			answer = map[string]any{"active": true, "sub": "ada", "iat": time.Now().Unix(), "exp": time.Now().Unix() + 3600}
		}
		if err := json.NewEncoder(w).Encode(answer); err != nil {
			t.Error(err)
		}
	}))
	t.Cleanup(s.Close)
	v, err := introspect.New(introspect.Config{URL: s.URL, ClientID: "example", ClientSecret: "secret", Client: s.Client()})
	if err != nil {
		t.Fatal(err)
	}
	return v
}
