package issuer_test

import (
	"encoding/json"
	"net/url"
	"slices"
	"testing"
	"time"

	"github.com/portcullis-auth/portcullis/dev/issuer"
)

// What /check says of tokens of both kinds, and of what isn't one any more.
func TestCheck(t *testing.T) {
	f := start(t, nil)
	check := func(token string) (got struct {
		Valid      *bool
		UserID     string   `json:"user_id"`
		Roles      []string `json:"roles"`
		ValidUntil string   `json:"valid_until"`
	},
	) {
		t.Helper()
		resp, body := f.browser().post("/check", url.Values{"token": {token}}, nil)
		if err := json.Unmarshal([]byte(body), &got); err != nil || resp.StatusCode != 200 || got.Valid == nil {
			t.Fatalf("%s %s: %v", resp.Status, body, err)
		}
		return got
	}
	expired := ""
	for _, kind := range []issuer.Kind{issuer.Opaque, issuer.JWT} {
		token, err := f.IssueToken("alice", issuer.TokenOptions{Kind: kind, Lifetime: time.Minute, Scopes: []string{"chat"}})
		if err != nil {
			t.Fatal(err)
		}
		got := check(token.Access)
		expired = token.Access
		until, err := time.Parse(time.RFC3339, got.ValidUntil)
		if !*got.Valid || got.UserID != "u-alice" || !slices.Equal(got.Roles, []string{"chat"}) || err != nil || time.Until(until) > time.Minute {
			t.Errorf("kind %v: got %+v, %v", kind, got, err)
		}
	}
	f.clock.advance(2 * time.Minute)
	for _, token := range []string{"", "x", "a.b.c", expired} {
		if got := check(token); *got.Valid || got.UserID != "" {
			t.Errorf("%q: got %+v", token, got)
		}
	}
}
