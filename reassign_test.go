package portcullis_test

import (
	"errors"
	"fmt"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"github.com/portcullis-auth/portcullis"
)

// named has every token be of the user whose name it is.
func named(token string) *portcullis.Identity {
	id := alice()
	id.Subject = token
	return id
}

// only is a rule for some users.
func only(names ...string) func(*http.Request, *portcullis.Identity) error {
	return func(_ *http.Request, id *portcullis.Identity) error {
		for _, name := range names {
			if id.Subject == name {
				return nil
			}
		}
		return errors.New("not one of them")
	}
}

// under has everybody live under p.
func under(p *portcullis.Policy) func(*portcullis.Session) (*portcullis.Policy, error) {
	return func(*portcullis.Session) (*portcullis.Policy, error) { return p, nil }
}

// L5: whose rule still allows it stays, and is under the new Policy in all things;
// whose doesn't, or whose place is gone, ends.
func TestL5Reassign(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGuard()
		g.Verifier = user(named)
		anna, annaEnd := admit(t, g, "anna")
		defer anna.Close()
		_, bertEnd := admit(t, g, "bert")
		_, goneEnd := admit(t, g, "gone", "Connection", "Upgrade", "Upgrade", "websocket", "Sec-WebSocket-Key", "x")
		kept, keptEnd := admit(t, g, "kept")
		defer kept.Close()

		p := &portcullis.Policy{Allow: only("anna"), CloseStatus: portcullis.CloseStatus4xxx}
		gone := fmt.Errorf("%w: the place is gone", portcullis.ErrShutdown)
		n := g.Reassign(func(s *portcullis.Session) (*portcullis.Policy, error) {
			switch s.Identity().Subject {
			case "gone":
				return nil, gone
			case "kept":
				return nil, nil
			}
			return p, nil
		})
		if n != 2 {
			t.Errorf("Reassign ended %d, want 2", n)
		}
		annaEnd.want(t, "allowed", nil, time.Time{})
		bertEnd.want(t, "not allowed any more", portcullis.ErrForbidden, time.Now())
		goneEnd.want(t, "gone", gone, time.Now())
		keptEnd.want(t, "kept", nil, time.Time{})
		if anna.Policy() != p || kept.Policy() != &g.Policy {
			t.Error("the wrong ones are under the new Policy")
		}
		if code, _ := anna.CloseStatus(portcullis.ErrRevoked); code != 4403 {
			t.Errorf("closed with %d, want the new Policy's 4403", code)
		}
	})
}

// L5: an admission that had begun before the Reassign, and is found by nobody in
// between, comes under the new Policy too.
func TestL5ReassignWhileAdmitting(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, tt := range []struct {
			name string
			rule func(*http.Request, *portcullis.Identity) error
			want error
		}{
			{"allowed", only("anna"), nil},
			{"not allowed", only("bert"), portcullis.ErrForbidden},
		} {
			g := newGuard()
			g.Verifier = user(named)
			p := &portcullis.Policy{Allow: tt.rule}
			g.Allow = func(*http.Request, *portcullis.Identity) error { // the verdict is there, the session isn't
				if n := g.Reassign(under(p)); n != 0 {
					t.Errorf("%s: Reassign ended %d of none", tt.name, n)
				}
				return nil
			}
			s, _ := admit(t, g, "anna")
			if err := s.Err(); !errors.Is(err, tt.want) || tt.want == nil && err != nil || s.Policy() != p {
				t.Errorf("%s: %v under the new Policy: %t, want %v", tt.name, err, s.Policy() == p, tt.want)
			}
			s.Close()
		}
	})
}

// L5: a session that gets another Identity while it is put under another Policy
// doesn't escape the new rule.
func TestL5ReassignWhileRenewing(t *testing.T) {
	for _, tt := range []struct {
		name string
		when int // in the how manieth question about a guest the rules change
		run  func(t *testing.T, g *portcullis.Guard, s *portcullis.Session)
	}{
		{"renewal", 1, func(t *testing.T, g *portcullis.Guard, s *portcullis.Session) {
			if err := g.Renew(t.Context(), s.Handle(), "guest"); !errors.Is(err, portcullis.ErrForbidden) {
				t.Errorf("Renew: %v, want ErrForbidden", err)
			}
		}},
		{"a call with a fresher token", 2, func(t *testing.T, g *portcullis.Guard, _ *portcullis.Session) {
			s, _ := admit(t, g, "guest")
			s.Close()
		}},
		{"re-check", 1, func(t *testing.T, g *portcullis.Guard, _ *portcullis.Session) {
			go func() { _ = g.Run(t.Context()) }()
			g.RecheckNow(func(*portcullis.Identity) bool { return true })
			time.Sleep(2 * time.Second)
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				g := newGuard()
				guest := false // what the token system says from its second answer on
				g.Verifier = user(func(token string) *portcullis.Identity {
					id := alice()
					if guest {
						id.Scopes = []string{"guest"}
						id.ExpiresAt = id.ExpiresAt.Add(time.Minute)
					}
					guest = true
					return id
				})
				g.Recheck = func(*portcullis.Identity) time.Duration { return time.Hour }
				strict := &portcullis.Policy{Allow: func(_ *http.Request, id *portcullis.Identity) error {
					if len(id.Scopes) > 0 {
						return errors.New("guests may not")
					}
					return nil
				}}
				asked := 0
				g.Allow = func(_ *http.Request, id *portcullis.Identity) error {
					if len(id.Scopes) > 0 {
						if asked++; asked == tt.when { // the Identity isn't there yet
							g.Reassign(under(strict))
						}
					}
					return nil
				}
				s, _ := admit(t, g, "app", "Connection", "Upgrade", "Upgrade", "websocket", "Sec-WebSocket-Key", "x")
				tt.run(t, g, s)
				synctest.Wait()
				if err := s.Err(); !errors.Is(err, portcullis.ErrForbidden) {
					t.Errorf("it ended with %v, want ErrForbidden", err)
				}
				s.Close()
			})
		})
	}
}
