package main

import (
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"
)

// lenient starts a token system to which secret-of-NAME is a token of NAME, and
// returns its URL.
func lenient(t *testing.T) string {
	t.Helper()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		user, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer secret-of-")
		if !ok {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(map[string]any{"sub": user, "sid": "login-" + user, "exp": time.Now().Add(time.Hour).Unix()})
	}))
	t.Cleanup(s.Close)
	return s.URL
}

// echoes starts a backend whose sockets say what they are told, and returns its
// URL.
func echoes(t *testing.T) string {
	t.Helper()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c, err := websocket.Accept(w, r, nil)
		if err != nil {
			return
		}
		defer c.CloseNow()
		for {
			kind, message, err := c.Read(r.Context())
			if err != nil || c.Write(r.Context(), kind, message) != nil {
				return
			}
		}
	}))
	t.Cleanup(s.Close)
	return s.URL
}

// An echoing is a socket to such a backend.
type echoing struct {
	*websocket.Conn
	t   *testing.T
	ctx context.Context
}

// openEchoing opens a socket as somebody whom lenient knows.
func openEchoing(ctx context.Context, t *testing.T, url, user string) echoing {
	t.Helper()
	c, resp, err := websocket.Dial(ctx, url, &websocket.DialOptions{HTTPHeader: http.Header{"Authorization": {"Bearer secret-of-" + user}}})
	if err != nil {
		t.Fatal(err)
	}
	_ = resp.Body
	t.Cleanup(func() { _ = c.CloseNow() })
	return echoing{c, t, ctx}
}

func (c echoing) echoes() {
	c.t.Helper()
	if err := c.Write(c.ctx, websocket.MessageText, []byte("hello")); err != nil {
		c.t.Error(err)
	}
	if _, message, err := c.Read(c.ctx); err != nil || string(message) != "hello" {
		c.t.Errorf("%q, %v; want an echo", message, err)
	}
}
