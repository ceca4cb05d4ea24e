package issuer_test

import (
	"net/http"
	"testing"
	"time"

	"github.com/portcullis-auth/portcullis/dev/issuer"
)

func TestAccessTokensExpire(t *testing.T) {
	f := start(t, func(c *issuer.Config) { c.AccessLifetime = 10 * time.Second })
	for _, kind := range []string{"opaque", "jwt"} {
		b := f.browser()
		access := b.login("bob", kind)
		f.clock.advance(10*time.Second - 1)
		f.wantActive(access, true)
		f.clock.advance(1)
		f.wantActive(access, false)
		if resp, _ := f.userinfo(access); resp.StatusCode != http.StatusUnauthorized {
			t.Errorf("%s: userinfo with an expired token: %s, want 401", kind, resp.Status)
		}
		if b.cookie("session") != access {
			t.Errorf("%s: the cookie is gone; it should outlive the token", kind)
		}
		// The session goes on.
		if resp, _ := b.post("/app/refresh", nil, nil); resp.StatusCode != http.StatusNoContent {
			t.Errorf("%s: refresh: %s", kind, resp.Status)
		}
		f.wantActive(b.cookie("session"), true)
	}
}

func TestRefreshTokensExpire(t *testing.T) {
	f := start(t, func(c *issuer.Config) { c.RefreshLifetime = time.Hour })
	b := f.browser()
	b.login("bob", "opaque")
	for range 3 { // each refresh starts the hour anew
		f.clock.advance(50 * time.Minute)
		if resp, _ := b.post("/app/refresh", nil, nil); resp.StatusCode != http.StatusNoContent {
			t.Fatalf("refresh: %s", resp.Status)
		}
	}
	f.clock.advance(time.Hour)
	if resp, _ := b.post("/app/refresh", nil, nil); resp.StatusCode != http.StatusUnauthorized {
		t.Errorf("refresh after an hour: %s, want 401", resp.Status)
	}
	if b.cookie("session") != "" {
		t.Error("the cookie is still there")
	}
}

func TestLoginsExpire(t *testing.T) {
	f := start(t, nil)
	b := f.browser()
	resp, _ := b.get("/app/login")
	id := resp.Request.URL.Query().Get("id")
	code := f.code()
	f.clock.advance(10 * time.Minute)
	if resp, _ := b.post("/login", map[string][]string{"id": {id}, "user": {"bob"}}, nil); resp.StatusCode != http.StatusBadRequest {
		t.Errorf("late sign-in: %s, want 400", resp.Status)
	}
	if status, _ := f.exchange(code, nil); status != http.StatusBadRequest {
		t.Errorf("late code: %d, want 400", status)
	}
}

func TestMemoryIsBounded(t *testing.T) {
	f := start(t, func(c *issuer.Config) { c.AccessLifetime = time.Second })
	for range 20_000 {
		if _, err := f.IssueToken("bob", issuer.TokenOptions{}); err != nil {
			t.Fatal(err)
		}
		f.clock.advance(100 * time.Millisecond)
	}
	// 10 tokens and 10 sessions are alive at a time.
	if n := f.Entries(); n > 1000 {
		t.Errorf("%d entries are stored", n)
	}
}

func TestIssueToken(t *testing.T) {
	f := start(t, nil)
	tok, err := f.IssueToken("u-alice", issuer.TokenOptions{
		Kind: issuer.JWT, Lifetime: time.Minute, Audience: []string{"other"}, Omit: []string{"exp", "iat", "sid", "groups"},
	})
	if err != nil {
		t.Fatal(err)
	}
	_, claims := f.verify(tok.Access)
	for _, c := range []map[string]any{claims, f.introspect(tok.Access)} {
		for _, name := range []string{"exp", "iat", "sid", "groups"} {
			if c[name] != nil {
				t.Errorf("claim %s is there: %v", name, c)
			}
		}
		if aud, _ := c["aud"].([]any); len(aud) != 1 || aud[0] != "other" || c["jti"] != tok.JTI || c["sub"] != tok.Subject {
			t.Errorf("claims %v, want aud other and the jti and sub of %+v", c, tok)
		}
	}
	if want := f.clock.Now().Add(time.Minute); !tok.Expires.Equal(want) {
		t.Errorf("expires %v, want %v", tok.Expires, want)
	}
	f.clock.advance(time.Minute)
	f.wantActive(tok.Access, false)

	for name, try := range map[string]struct {
		user string
		opts issuer.TokenOptions
	}{
		"nobody":            {"mallory", issuer.TokenOptions{}},
		"somebody's else's": {"bob", issuer.TokenOptions{SID: tok.SID}},
		"unknown session":   {"alice", issuer.TokenOptions{SID: "x"}},
		"unknown kind":      {"alice", issuer.TokenOptions{Kind: 7}},
		"negative lifetime": {"alice", issuer.TokenOptions{Lifetime: -1}},
	} {
		if got, err := f.IssueToken(try.user, try.opts); err == nil {
			t.Errorf("%s: got %+v, want an error", name, got)
		}
	}
}
