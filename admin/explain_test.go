package admin_test

import (
	"encoding/json"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/portcullis-auth/portcullis"
	"github.com/portcullis-auth/portcullis/admin"
)

func TestExplanation(t *testing.T) {
	now := time.Date(2026, 11, 1, 10, 0, 0, 0, time.UTC)
	socket := portcullis.SessionInfo{
		Kind: "socket", Method: "GET", Host: "app.example.com", Path: "/wsapi/", Remote: "192.0.2.7:4711",
		Opened: now.Add(-time.Hour), Verified: now.Add(-90 * time.Second), Expires: now.Add(200 * time.Second),
	}
	rich := socket
	rich.Verifier, rich.Renewed = "staff", 1
	strange := portcullis.SessionInfo{
		Kind: "http", Method: "GET", Host: "x", Path: "/\x1b[2J\n", Remote: "@", Unbounded: true, Renewed: 12,
		Opened: now, Verified: now, Expires: now,
	}
	for _, tt := range []struct {
		name string
		s    portcullis.SessionInfo
		want []string
	}{
		{"socket", socket, []string{
			`It is a socket: GET "/wsapi/" at "app.example.com", from "192.0.2.7:4711", open since 2026-11-01T09:00:00Z (1h0m0s ago).`,
			`It lives because the token system vouched for its token at 2026-11-01T09:58:30Z (1m30s ago), and nothing has revoked it.`,
			`If nothing else happens, it ends at 2026-11-01T10:03:20Z (in 3m20s): its token expires then, leeway included.`,
			`It has never been renewed.`,
		}},
		{"renewed, of a named token system", rich, []string{
			`It is a socket: GET "/wsapi/" at "app.example.com", from "192.0.2.7:4711", open since 2026-11-01T09:00:00Z (1h0m0s ago).`,
			`It lives because the token system "staff" vouched for its token at 2026-11-01T09:58:30Z (1m30s ago), and nothing has revoked it.`,
			`If nothing else happens, it ends at 2026-11-01T10:03:20Z (in 3m20s): its token expires then, leeway included.`,
			`It has been renewed once.`,
		}},
		{"without expiry, by somebody who tries something", strange, []string{
			`It is a request: GET "/\x1b[2J\n" at "x", from "@", open since 2026-11-01T10:00:00Z (0s ago).`,
			`It lives because the token system vouched for its token at 2026-11-01T10:00:00Z (0s ago), and nothing has revoked it.`,
			`If nothing else happens, it ends at 2026-11-01T10:00:00Z (0s ago): its token states no expiry, so max_session bounds it.`,
			`It has been renewed 12 times.`,
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if diff := cmp.Diff(tt.want, admin.Explain(&tt.s, now)); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

// One session is told of: everything that a list says of it and the words, but
// nothing of its token.
func TestA1OneSessionExplained(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGuard()
		h := admin.New(admin.Config{Guard: g})
		s := admit(t, g, "alice-secret")
		admit(t, g, "bob")
		time.Sleep(10 * time.Minute)
		if err := g.Renew(t.Context(), s.Handle(), "alice-secret"); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Minute)
		status, body := call(t, h, "GET", "/v1/sessions/"+s.Handle(), "")
		var got struct {
			portcullis.SessionInfo
			Explanation []string
		}
		if err := json.Unmarshal([]byte(body), &got); status != 200 || err != nil {
			t.Fatalf("%d %s, %v", status, body, err)
		}
		if diff := cmp.Diff(list(t, h, "sub=u-alice-secret").Sessions, []portcullis.SessionInfo{got.SessionInfo}); diff != "" {
			t.Errorf("(-listed +explained):\n%s", diff)
		}
		if got.Renewed != 1 || len(got.Explanation) != 4 || !strings.Contains(got.Explanation[2], "(in 59m0s)") {
			t.Errorf("renewed %d: %q", got.Renewed, got.Explanation)
		}
		if strings.Contains(body, `"alice-secret`) || strings.Contains(body, "x=1") {
			t.Errorf("a token or a query is in it: %s", body)
		}
		for _, handle := range []string{"x", s.Handle() + "0", s.Handle()[1:]} {
			if status, body := call(t, h, "GET", "/v1/sessions/"+handle, ""); status != 404 || !strings.Contains(body, "problem:no_session") {
				t.Errorf("%s: %d %s, want 404", handle, status, body)
			}
		}
		s.Close()
		if status, _ := call(t, h, "GET", "/v1/sessions/"+s.Handle(), ""); status != 404 {
			t.Errorf("after its end: %d, want 404", status)
		}
	})
}
