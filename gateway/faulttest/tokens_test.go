package faulttest_test

import (
	"testing"

	"github.com/portcullis-auth/portcullis/internal/faultproxy"
)

// threePolicies are one token system under three policies, told apart by what
// tokens begin with: a token is known no longer than its request, or also while
// nobody can be asked, or its sockets end when nobody could be asked for a while.
const threePolicies = `
verify:
  - {name: strict, for: {prefixes: strict_}, recheck: 100ms, cache: {max_age: 0s}, outage: {failures: 3, cooldown: 100ms}, introspection: &asked {url: "http://TOKENS/", client_id: gateway, client_secret_env: SECRET, timeout: 2s}}
  - {name: stale, for: {prefixes: stale_}, recheck: 100ms, cache: {max_age: 0s}, outage: {failures: 3, cooldown: 100ms, stale_for: 1h}, introspection: *asked}
  - {name: ends, for: {prefixes: ends_}, recheck: 100ms, cache: {max_age: 0s}, outage: {failures: 3, cooldown: 100ms, end_sessions_after: 1s}, introspection: *asked}
routes:
  - {path: /frail/, backend: "http://FRAIL"}
  - {path: /, backend: "http://SOUND"}
`

var policies = []string{"strict_", "stale_", "ends_"}

// L4, promise 4: the token system fails in one way or another, under load, and
// comes back. Newcomers are told to come again, never that they are bad, and never
// let in; those who are known, and those inside, are treated as configured; and all
// that ends by itself.
func TestL4TokenSystemFails(t *testing.T) {
	says := func(script faultproxy.Script) func(*street) {
		return func(s *street) {
			s.weather.Store(&weather{fromToken: script})
			s.toToken.Kill()
		}
	}
	for _, fault := range []struct {
		name   string
		begins func(*street)
	}{
		{"killed", func(s *street) { s.toToken.Refuse(); s.toToken.Kill() }},
		{"says nothing", says(faultproxy.Script{Fault: faultproxy.Hold})},
		{"hears nothing", func(s *street) {
			s.weather.Store(&weather{toToken: faultproxy.Script{Fault: faultproxy.Drop}})
			s.toToken.Kill()
		}},
		{"says half of an answer", says(faultproxy.Script{Fault: faultproxy.Cut, At: 120})},
		{"says half of an answer, and no more", says(faultproxy.Script{Fault: faultproxy.Hold, At: 120})},
		{"hangs up", says(faultproxy.Script{Fault: faultproxy.Cut})},
		{"resets", says(faultproxy.Script{Fault: faultproxy.Reset})},
		{"resets in an answer", says(faultproxy.Script{Fault: faultproxy.Reset, At: 30})},
		{"answers 500", func(s *street) { s.tokens.nonsense.Store(500) }},
		{"answers 403", func(s *street) { s.tokens.nonsense.Store(403) }},
		{"answers 200 with a page", func(s *street) { s.tokens.nonsense.Store(200) }},
		{"answers 200 with what is no JSON", func(s *street) { s.tokens.nonsense.Store(-200) }},
	} {
		t.Run(fault.name, func(t *testing.T) {
			t.Parallel()
			s := open(t, threePolicies)
			known, inside := map[string]string{}, map[string]*client{}
			for _, p := range policies {
				known[p] = fresh(p, "good")
				inside[p] = s.socket("/", known[p])
				inside[p].wantEcho(p + " before")
			}

			fault.begins(s)
			crowd(6, 5, func(n int) {
				token := fresh(policies[n%3], []string{"good", "bad"}[n/3%2])
				if got := s.status("/", token, n%2 == 0, false); got != 503 {
					t.Errorf("newcomer %d: %d, want 503", n, got)
				}
			})
			for p, want := range map[string]int{"strict_": 503, "stale_": 200, "ends_": 503} {
				if got := s.status("/", known[p], false, want == 200); got != want {
					t.Errorf("%s, who is known: %d, want %d", p, got, want)
				}
			}
			inside["ends_"].wantClose("the socket that may not outlive an outage", 1013, "unavailable")
			inside["strict_"].wantEcho("in the outage, strict_")
			inside["stale_"].wantEcho("in the outage, stale_")

			s.weather.Store(&weather{})
			s.tokens.nonsense.Store(0)
			s.toToken.Kill()
			_ = s.toToken.Listen() // unless it does
			for _, p := range policies {
				eventually(t, p+" is let in again", func() bool { return s.status("/", fresh(p, "good"), true, true) == 101 })
				if got := s.status("/", fresh(p, "bad"), false, false); got != 401 {
					t.Errorf("%sbad, after the outage: %d, want 401", p, got)
				}
			}
			for _, p := range policies[:2] {
				inside[p].wantEcho("after the outage, " + p)
				s.tokens.withdrawn.Store(known[p], true) // the next re-check says so
				inside[p].wantClose(p, 3003, "session_revoked")
			}
		})
	}
}
