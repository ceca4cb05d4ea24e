package admin

import (
	"fmt"
	"net/http"
	"time"

	"github.com/portcullis-auth/portcullis"
)

// noSession is the answer about a session that isn't there.
func noSession(w http.ResponseWriter) {
	problem(w, http.StatusNotFound, "no_session", "no live session of this process has that handle: it has ended, or never was")
}

// session answers with one session, and why it lives.
func (a *api) session(w http.ResponseWriter, r *http.Request) {
	for s := range a.Guard.Sessions() {
		if s.Handle == r.PathValue("handle") {
			answer(w, struct {
				portcullis.SessionInfo
				Explanation []string `json:"explanation"`
			}{s, explain(&s, time.Now())})
			return
		}
	}
	noSession(w)
}

// explain says in words what s is, why it lives, until when, and what its token
// was asked.
func explain(s *portcullis.SessionInfo, now time.Time) []string {
	what := "It is a request"
	if s.Kind == "socket" {
		what = "It is a socket"
	}
	until := "its token expires then, leeway included"
	if s.Unbounded {
		until = "its token states no expiry, so max_session bounds it"
	}
	renewed := "It has never been renewed."
	if s.Renewed > 0 {
		renewed = fmt.Sprintf("It has been renewed %s.", times(s.Renewed))
	}
	return []string{
		fmt.Sprintf("%s: %s %q at %q, from %q, open since %s (%s).", what, s.Method, s.Path, s.Host, s.Remote, clock(s.Opened), distance(s.Opened, now)),
		fmt.Sprintf("It lives because %s vouched for its token at %s (%s), and nothing has revoked it.", verifier(s), clock(s.Verified), distance(s.Verified, now)),
		fmt.Sprintf("If nothing else happens, it ends at %s (%s): %s.", clock(s.Expires), distance(s.Expires, now), until),
		renewed,
	}
}

func verifier(s *portcullis.SessionInfo) string {
	if s.Verifier == "" {
		return "the token system"
	}
	return fmt.Sprintf("the token system %q", s.Verifier)
}

func times(n int) string {
	if n == 1 {
		return "once"
	}
	return fmt.Sprintf("%d times", n)
}

func clock(t time.Time) string { return t.UTC().Format(time.RFC3339) }

// distance says how far t is from now, in whole seconds.
func distance(t, now time.Time) string {
	if d := t.Sub(now).Round(time.Second); d > 0 {
		return fmt.Sprintf("in %v", d)
	}
	return fmt.Sprintf("%v ago", now.Sub(t).Round(time.Second))
}
