package main

import (
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/gorilla/websocket"
	"go.uber.org/goleak"

	"github.com/portcullis-auth/portcullis"
	"github.com/portcullis-auth/portcullis/verify/introspect"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestTick(t *testing.T) {
	guard := newGuard(tokenSystem(t))
	s := httptest.NewServer(guard.Handler(http.HandlerFunc(tick)))
	defer s.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	target := "ws" + strings.TrimPrefix(s.URL, "http") + "/?token="

	if _, resp, err := websocket.DefaultDialer.DialContext(ctx, target+"bad", nil); err == nil || resp == nil || resp.StatusCode != http.StatusUnauthorized {
		t.Fatalf("bad token: %v, err %v", resp, err)
	}
	c, _, err := websocket.DefaultDialer.DialContext(ctx, target+"good", nil)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = c.Close() }()
	_ = c.SetReadDeadline(time.Now().Add(20 * time.Second))
	var message struct{ For, Time string }
	if err := c.ReadJSON(&message); err != nil || message.For != "ada" || message.Time == "" {
		t.Fatalf("got %+v, err %v", message, err)
	}
	if err := guard.Revoke(ctx, portcullis.Revocation{Subject: "ada"}); err != nil {
		t.Fatal(err)
	}
	for err == nil {
		err = c.ReadJSON(&message)
	}
	if !websocket.IsCloseError(err, 3003) {
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
