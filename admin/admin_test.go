package admin_test

import (
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/portcullis-auth/portcullis"
	"github.com/portcullis-auth/portcullis/admin"
)

func newGuard() *portcullis.Guard {
	return &portcullis.Guard{
		Verifier: portcullis.VerifierFunc(func(_ context.Context, token string) (*portcullis.Identity, error) {
			return &portcullis.Identity{Subject: "u-" + token, SessionID: "s-" + token, IssuedAt: time.Now(), ExpiresAt: time.Now().Add(time.Hour)}, nil
		}),
	}
}

// admit lets a user in.
func admit(t *testing.T, g *portcullis.Guard, user string) *portcullis.Session {
	t.Helper()
	r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/chat?x=1", nil)
	r.Header.Set("Authorization", "Bearer "+user)
	s, err := g.Admit(r, portcullis.Policy{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	return s
}

func call(t *testing.T, h http.Handler, method, target, body string, headers ...string) (int, string) {
	t.Helper()
	r := httptest.NewRequestWithContext(t.Context(), method, "http://localhost:8081"+target, strings.NewReader(body))
	for i := 0; i < len(headers); i += 2 {
		if headers[i] == "Host" {
			r.Host = headers[i+1]
		} else {
			r.Header.Set(headers[i], headers[i+1])
		}
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w.Code, w.Body.String()
}

func TestSessionsAndRevocations(t *testing.T) {
	g := newGuard()
	h := admin.New(admin.Config{Guard: g})
	alice, bob := admit(t, g, "alice"), admit(t, g, "bob")

	status, body := call(t, h, "GET", "/v1/sessions", "")
	var list struct{ Sessions []portcullis.SessionInfo }
	if err := json.Unmarshal([]byte(body), &list); status != 200 || err != nil || len(list.Sessions) != 2 ||
		list.Sessions[0].Subject != "u-alice" || list.Sessions[0].Path != "/chat" {
		t.Fatalf("sessions: %d %s, err %v", status, body, err)
	}
	status, body = call(t, h, "POST", "/v1/revocations", `{"sub":"u-alice"}`)
	if status != 200 || body != `{"durable":false,"revoked":true}`+"\n" {
		t.Errorf("revocation: %d %s", status, body)
	}
	if alice.Err() == nil || bob.Err() != nil {
		t.Errorf("R1: alice %v, bob %v; want only alice ended", alice.Err(), bob.Err())
	}
	if _, body := call(t, h, "GET", "/v1/sessions", ""); strings.Contains(body, "u-alice") || !strings.Contains(body, "u-bob") {
		t.Errorf("after it: %s", body)
	}
}

func TestRevocationThatCannotBeRead(t *testing.T) {
	g := newGuard()
	h := admin.New(admin.Config{Guard: g})
	s := admit(t, g, "alice")
	for body, want := range map[string]int{
		``:   400,
		`[]`: 400,
		`{}`: 400,
		`{"issued_before":"2026-01-01T00:00:00Z"}`:    400, // would be everybody
		`{"subject":"u-alice"}`:                       400,
		`{"SUB":"u-alice","sub":"u-alice","sub":"x"}`: 400,
		`{"sub":17}`:                                    400,
		`{"sub":"u-alice"} trailing`:                    400,
		`{"sub":"u-alice","until":"later"}`:             400,
		`{"sub":"` + strings.Repeat("x", 65<<10) + `"}`: 413,
	} {
		if status, answer := call(t, h, "POST", "/v1/revocations", body); status != want || !strings.Contains(answer, `"detail"`) {
			t.Errorf("%.60s: %d %s, want %d", body, status, answer, want)
		}
	}
	if err := s.Err(); err != nil {
		t.Errorf("it ended a session: %v", err)
	}
}

// A2: a key unless loopback, no cross-origin calls, no foreign names.
func TestA2WhoMayCall(t *testing.T) {
	open := admin.New(admin.Config{Guard: newGuard()})
	locked := admin.New(admin.Config{Guard: newGuard(), Key: "the-key-of-the-house"})
	for _, tt := range []struct {
		name    string
		h       http.Handler
		target  string
		headers []string
		want    int
	}{
		{"loopback name", open, "/v1/sessions", nil, 200},
		{"loopback address", open, "/v1/sessions", []string{"Host", "127.0.0.1:8081"}, 200},
		{"loopback address, IPv6", open, "/v1/sessions", []string{"Host", "[::1]:8081"}, 200},
		{"foreign name", open, "/v1/sessions", []string{"Host", "rebound.example.com"}, 403},
		{"own page", open, "/v1/sessions", []string{"Origin", "http://localhost:8081", "Sec-Fetch-Site", "same-origin"}, 200},
		{"foreign page", open, "/v1/sessions", []string{"Origin", "https://evil.example.com"}, 403},
		{"sandboxed page", open, "/v1/sessions", []string{"Origin", "null"}, 403},
		{"same site, other origin", open, "/v1/sessions", []string{"Sec-Fetch-Site", "same-site"}, 403},
		{"no key", locked, "/v1/sessions", nil, 401},
		{"wrong key", locked, "/v1/sessions", []string{"Authorization", "Bearer the-key-of-the-hous"}, 401},
		{"key", locked, "/v1/sessions", []string{"Authorization", "Bearer the-key-of-the-house"}, 200},
		{"key, from elsewhere", locked, "/v1/sessions", []string{"Authorization", "Bearer the-key-of-the-house", "Host", "gate.example.com"}, 200},
		{"health needs none", locked, "/livez", []string{"Host", "gate.example.com"}, 200},
		{"readiness needs none", locked, "/readyz", nil, 200},
		{"unknown, without key", locked, "/v1/x", nil, 401},
		{"unknown", open, "/v1/x", nil, 404},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if status, body := call(t, tt.h, "GET", tt.target, "", tt.headers...); status != tt.want {
				t.Errorf("%d %s, want %d", status, body, tt.want)
			}
		})
	}
}
