package admin_test

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/iotest"
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
	s, err := g.Admit(r, &portcullis.Policy{})
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

func TestVerifiers(t *testing.T) {
	list := func() any { return []map[string]any{{"name": "staff", "calls": 7}} }
	h := admin.New(admin.Config{Guard: newGuard(), Verifiers: list})
	if status, body := call(t, h, "GET", "/v1/verifiers", ""); status != 200 || body != `{"verifiers":[{"calls":7,"name":"staff"}]}`+"\n" {
		t.Errorf("verifiers: %d %s", status, body)
	}
	if status, _ := call(t, h, "POST", "/v1/verifiers", ""); status != 405 {
		t.Errorf("POST: %d, want 405", status)
	}
	if status, _ := call(t, admin.New(admin.Config{Guard: newGuard()}), "GET", "/v1/verifiers", ""); status != 404 {
		t.Errorf("without a list: %d, want 404", status)
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
		`{"issued_before":"2026-01-01T00:00:00Z"}`:      400, // would be everybody
		`{"subject":"u-alice"}`:                         400,
		`{"Sub":"u-alice"}`:                             400,
		`{"sub":"u-bob","SUB":"u-alice"}`:               400,
		`{"iss":"","sub":"u-alice"}`:                    400, // of a script whose variable is empty:
		`{"sub":"","client_id":"app"}`:                  400, // that would be everybody
		`{"sub":null,"client_id":"app"}`:                400,
		`{"sub":"u-alice","until":null}`:                400,
		`null`:                                          400,
		`{"SUB":"u-alice","sub":"u-alice","sub":"x"}`:   400,
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
		{"key without scheme", locked, "/v1/sessions", []string{"Authorization", "the-key-of-the-house"}, 401},
		{"key as password", locked, "/v1/sessions", []string{"Authorization", "Basic the-key-of-the-house"}, 401},
		{"scheme in lower case", locked, "/v1/sessions", []string{"Authorization", "bearer the-key-of-the-house"}, 200},
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

// An end that can't be what was meant is refused: one that is over already
// would spare everybody who comes back, and tokens that don't exist yet are
// the token system's matter.
func TestR1RevocationsTimes(t *testing.T) {
	now := time.Now()
	for _, tt := range []struct {
		name, member string
		at           time.Time
		want         int
	}{
		{"over", "until", now.Add(-time.Second), 400},
		{"soon over", "until", now.Add(time.Hour), 200},
		{"before now", "issued_before", now.Add(-time.Hour), 200},
		{"clocks differ", "issued_before", now.Add(30 * time.Second), 200},
		{"not issued yet", "issued_before", now.Add(time.Hour), 400},
	} {
		t.Run(tt.name, func(t *testing.T) {
			g := newGuard()
			admit(t, g, "alice")
			s := admit(t, g, "alice")
			body := `{"sub":"u-alice","` + tt.member + `":"` + tt.at.Format(time.RFC3339) + `"}`
			status, answer := call(t, admin.New(admin.Config{Guard: g}), "POST", "/v1/revocations", body)
			if status != tt.want || tt.want == 400 && !strings.Contains(answer, tt.member) {
				t.Errorf("%d %s, want %d", status, answer, tt.want)
			}
			if tt.want == 400 && s.Err() != nil {
				t.Errorf("it was refused, and ended a session: %v", s.Err())
			}
		})
	}
}

// Whoever takes the wrong method or path is told so, as a problem.
func TestWrongMethodsAndPaths(t *testing.T) {
	g := newGuard()
	h := admin.New(admin.Config{Guard: g})
	s := admit(t, g, "alice")
	for request, want := range map[string]int{
		"HEAD /v1/sessions": 200, "HEAD /livez": 200,
		"POST /v1/sessions": 405, "DELETE /v1/sessions": 405, "GET /v1/revocations": 405, "PUT /v1/revocations": 405,
		"GET /v1/sessions/": 404, "POST /v1/revocations/": 404, "GET /": 404, "POST /livez": 404,
	} {
		method, target, _ := strings.Cut(request, " ")
		status, body := call(t, h, method, target, `{"sub":"u-alice"}`)
		if status != want || want > 400 && !strings.Contains(body, `"detail"`) {
			t.Errorf("%s: %d %s, want %d", request, status, body, want)
		}
	}
	if s.Err() != nil {
		t.Errorf("one of them ended a session: %v", s.Err())
	}
	for target, want := range map[string]string{"/v1/sessions": "GET, HEAD", "/v1/revocations": "POST"} {
		w := httptest.NewRecorder()
		h.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), http.MethodDelete, "http://localhost:8081"+target, nil))
		if got := w.Header().Get("Allow"); got != want {
			t.Errorf("%s: Allow %q, want %q", target, got, want)
		}
	}
}

// A body that breaks off isn't too large.
func TestBodyThatBreaksOff(t *testing.T) {
	r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "http://localhost:8081/v1/revocations",
		io.MultiReader(strings.NewReader(`{"sub":"u-alice"`), iotest.ErrReader(io.ErrUnexpectedEOF)))
	w := httptest.NewRecorder()
	admin.New(admin.Config{Guard: newGuard()}).ServeHTTP(w, r)
	if w.Code != 400 {
		t.Errorf("%d %s, want 400", w.Code, w.Body)
	}
}
