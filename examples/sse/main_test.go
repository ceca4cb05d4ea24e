package main

import (
	"bufio"
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/portcullis-auth/portcullis"
	"github.com/portcullis-auth/portcullis/verify/introspect"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestEvents(t *testing.T) {
	guard := newGuard(tokenSystem(t))
	s := httptest.NewServer(guard.Handler(http.HandlerFunc(events)))
	defer s.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	open := func(token string, status int) *bufio.Scanner {
		t.Helper()
		r, err := http.NewRequestWithContext(ctx, http.MethodGet, s.URL, nil)
		if err != nil {
			t.Fatal(err)
		}
		r.AddCookie(&http.Cookie{Name: "session", Value: token})
		resp, err := s.Client().Do(r)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = resp.Body.Close() })
		if resp.StatusCode != status {
			t.Fatalf("token %q: %d, want %d", token, resp.StatusCode, status)
		}
		return bufio.NewScanner(resp.Body)
	}

	open("bad", http.StatusUnauthorized)
	stream := open("good", http.StatusOK)
	if !stream.Scan() || !strings.HasPrefix(stream.Text(), "data: ada, it is ") {
		t.Fatalf("got %q, err %v", stream.Text(), stream.Err())
	}
	if err := guard.Revoke(ctx, portcullis.Revocation{Subject: "ada"}); err != nil {
		t.Fatal(err)
	}
	for stream.Scan() {
	}
	if stream.Err() == nil {
		t.Error("after the revocation the stream looks whole")
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
