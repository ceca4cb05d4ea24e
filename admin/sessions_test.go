package admin_test

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/portcullis-auth/portcullis"
	"github.com/portcullis-auth/portcullis/admin"
)

// A page is an answer with a list.
type page struct {
	Sessions []portcullis.SessionInfo
	Next     string
}

func list(t *testing.T, h http.Handler, query string) (p page) {
	t.Helper()
	status, body := call(t, h, "GET", "/v1/sessions?"+query, "")
	if err := json.Unmarshal([]byte(body), &p); status != 200 || err != nil {
		t.Fatalf("%s: %d %s, err %v", query, status, body, err)
	}
	return p
}

// visitors are two people of one office with similar names, and one from elsewhere.
var visitors = map[string]*portcullis.Identity{
	"a": {Issuer: "https://id.example.com", Subject: "u-1", SessionID: "s-1", TokenID: "t-1", ClientID: "app", VerifiedBy: "staff"},
	"b": {Issuer: "https://id.example.com", Subject: "u-11", SessionID: "s-11", TokenID: "t-11", ClientID: "App", VerifiedBy: "staff2"},
	"c": {Issuer: "https://id.example.com/", Subject: "u 1&x=é\x1b", ClientID: "cli"},
}

func TestListIsNarrowed(t *testing.T) {
	g := &portcullis.Guard{Verifier: portcullis.VerifierFunc(func(_ context.Context, token string) (*portcullis.Identity, error) {
		return visitors[token], nil
	})}
	h := admin.New(admin.Config{Guard: g})
	for _, v := range []struct {
		name, token, host, path string
		socket                  bool
	}{
		{"a1", "a", "app.example.com", "/wsapi/", true},
		{"a2", "a", "app.example.com:8080", "/", false},
		{"b", "b", "APP.example.com", "/ws", true},
		{"c", "c", "other.example.com", "/W%53/x", false},
	} {
		r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, v.path, nil)
		r.Host, r.RemoteAddr = v.host, v.name
		r.Header.Set("Authorization", "Bearer "+v.token)
		if v.socket {
			r.Header.Set("Connection", "Upgrade")
			r.Header.Set("Upgrade", "websocket")
		}
		s, err := g.Admit(r, &portcullis.Policy{})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(s.Close)
	}
	q := url.QueryEscape
	for query, want := range map[string]string{
		"":                            "a1 a2 b c",
		"iss=https://id.example.com":  "a1 a2 b",
		"iss=https://id.example.com/": "c",
		"sub=u-1":                     "a1 a2",
		"sub=U-1":                     "",
		"sub=" + q("u 1&x=é\x1b"):     "c",
		"sid=s-11":                    "b",
		"jti=t-1":                     "a1 a2",
		"client_id=app":               "a1 a2",
		"verifier=staff":              "a1 a2",
		"kind=socket":                 "a1 b",
		"kind=http":                   "a2 c",
		"host=app.example.com":        "a1 b",
		"host=App.Example.com:8080":   "a2",
		"path=/":                      "a1 a2 b c",
		"path=/ws":                    "a1 b",
		"path=/ws/":                   "",
		"path=/WS/x":                  "c", // decoded
		"kind=socket&sub=u-1":         "a1",
		"kind=http&sub=u-11":          "",
		"limit=1000&sub=u-1":          "a1 a2",
	} {
		var got []string
		for _, s := range list(t, h, query).Sessions {
			got = append(got, s.Remote)
		}
		if got := strings.Join(got, " "); got != want {
			t.Errorf("%s: %q, want %q", query, got, want)
		}
	}
}

// What can't be what was meant is refused: a list of everybody would pass for
// the one that was asked for.
func TestParametersThatAreRefused(t *testing.T) {
	g := newGuard()
	h := admin.New(admin.Config{Guard: g})
	s, _ := admit(t, g, "alice"), admit(t, g, "bob")
	next := list(t, h, "limit=1").Next
	foreign := list(t, admin.New(admin.Config{Guard: g}), "limit=1").Next
	for query, want := range map[string]string{
		"subject=u-1":                `unknown parameter "subject"`,
		"Sub=u-1":                    `unknown parameter "Sub"`,
		"token=x":                    `unknown parameter "token"`,
		"sub=u-1&sub=u-1":            "sub is given twice",
		"sub=":                       "sub is empty",
		"sub":                        "sub is empty",
		"kind=websocket":             "kind is http or socket",
		"path=ws":                    "path begins with /",
		"limit=0":                    "limit is a number from 1 to 1000",
		"limit=-1":                   "limit is a number from 1 to 1000",
		"limit=1001":                 "limit is a number from 1 to 1000",
		"limit=1e2":                  "limit is a number from 1 to 1000",
		"limit=99999999999999999999": "limit is a number from 1 to 1000",
		"after=" + s.Handle():        "after is not what",
		"after=" + foreign:           "after is not what",
		"after=" + next + "=":        "after is not what",
		"after=!":                    "after is not what",
		"sub=%zz":                    "not well-formed",
		"sub=u-1;kind=http":          "not well-formed",
	} {
		status, body := call(t, h, "GET", "/v1/sessions?"+query, "")
		var p struct{ Type, Detail string }
		_ = json.Unmarshal([]byte(body), &p)
		if status != 400 || p.Type != "urn:portcullis:problem:parameters" || !strings.Contains(p.Detail, want) {
			t.Errorf("%s: %d %s, want 400, %s", query, status, body, want)
		}
	}
	if p := list(t, h, "after="+next); len(p.Sessions) != 1 || p.Sessions[0].Subject != "u-bob" {
		t.Errorf("after: %v, want bob", p)
	}
}

// Sessions come and go between one part of a list and the next.
func TestPagesAreStable(t *testing.T) {
	g := newGuard()
	h := admin.New(admin.Config{Guard: g})
	var live []*portcullis.Session // the oldest first
	for i := range 100 {           // handles grow longer meanwhile
		live = append(live, admit(t, g, fmt.Sprint(i)))
	}
	stay := make(map[string]bool)
	for _, s := range live {
		stay[s.Handle()] = true
	}
	var got []string
	for query := "limit=7"; ; {
		p := list(t, h, query)
		for _, s := range p.Sessions {
			got = append(got, s.Handle)
		}
		if p.Next == "" {
			break
		}
		query = "limit=7&after=" + p.Next
		for range 3 { // even the one that the list is continued behind
			i := rand.IntN(len(live))
			if p.Sessions[6].Handle == live[i].Handle() || rand.IntN(2) == 0 {
				i = slices.IndexFunc(live, func(s *portcullis.Session) bool { return s.Handle() == p.Sessions[6].Handle })
			}
			if i >= 0 {
				live[i].Close()
				delete(stay, live[i].Handle())
				live = slices.Delete(live, i, i+1)
			}
		}
		if len(got) < 50 { // else there may be no end
			live = append(live, admit(t, g, "late"))
			stay[live[len(live)-1].Handle()] = true
		}
	}
	seen := make(map[string]int)
	for _, handle := range got {
		seen[handle]++
	}
	for handle := range stay {
		if seen[handle] != 1 {
			t.Errorf("%s stayed, and was listed %d times", handle, seen[handle])
		}
	}
	for handle, n := range seen {
		if n > 1 {
			t.Errorf("%s was listed %d times", handle, n)
		}
	}
	var want []string // what is left, in the order of admission
	for _, s := range live {
		want = append(want, s.Handle())
	}
	if diff := cmp.Diff(want, slices.DeleteFunc(got, func(handle string) bool { return !stay[handle] })); diff != "" {
		t.Errorf("order (-admitted +listed):\n%s", diff)
	}
}

func TestListIsBounded(t *testing.T) {
	g := newGuard()
	h := admin.New(admin.Config{Guard: g})
	for range 101 {
		admit(t, g, "alice")
	}
	for query, want := range map[string]int{"": 100, "limit=100": 100, "limit=1": 1, "limit=101": 101, "limit=1000": 101} {
		if p := list(t, h, query); len(p.Sessions) != want || (p.Next != "") != (want < 101) {
			t.Errorf("%q: %d sessions, next %q; want %d", query, len(p.Sessions), p.Next, want)
		}
	}
}

// A session that the operator names ends, and only that one.
func TestR1OneSession(t *testing.T) {
	g := newGuard()
	h := admin.New(admin.Config{Guard: g})
	one, other := admit(t, g, "alice"), admit(t, g, "alice")
	for _, body := range []string{
		`{"session":"` + one.Handle() + `","sub":"u-alice"}`,
		`{"session":"` + one.Handle() + `","until":"` + time.Now().Add(time.Hour).Format(time.RFC3339) + `"}`,
		`{"session":""}`,
		`{"session":null}`,
		`{"Session":"` + one.Handle() + `"}`,
		`{"session":["` + one.Handle() + `"]}`,
	} {
		if status, answer := call(t, h, "POST", "/v1/revocations", body); status != 400 {
			t.Errorf("%s: %d %s, want 400", body, status, answer)
		}
	}
	for _, handle := range []string{"x", one.Handle() + "0", strings.ToLower(one.Handle()), "u-alice"} {
		if status, answer := call(t, h, "POST", "/v1/revocations", `{"session":"`+handle+`"}`); status != 404 || !strings.Contains(answer, "problem:no_session") {
			t.Errorf("%s: %d %s, want 404", handle, status, answer)
		}
	}
	if one.Err() != nil {
		t.Fatalf("one of them ended it: %v", one.Err())
	}
	body := `{"session":"` + one.Handle() + `"}`
	if status, answer := call(t, h, "POST", "/v1/revocations", body); status != 200 || answer != `{"durable":false,"ended":1,"revoked":true}`+"\n" {
		t.Errorf("%d %s", status, answer)
	}
	code, reason := portcullis.CloseStatus(one.Err())
	if one.Err() == nil || other.Err() != nil || code != 3003 || reason != "session_revoked" {
		t.Errorf("one %v (%d %s), other %v; want only one ended, with 3003 session_revoked", one.Err(), code, reason, other.Err())
	}
	if status, answer := call(t, h, "POST", "/v1/revocations", body); status != 404 {
		t.Errorf("once more: %d %s, want 404", status, answer)
	}
	admit(t, g, "alice") // the token stays good
}
