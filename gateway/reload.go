package gateway

import (
	"fmt"
	"net/http"
	"strings"
	"sync/atomic"

	"github.com/portcullis-auth/portcullis"
	"github.com/portcullis-auth/portcullis/gateway/config"
	"github.com/portcullis-auth/portcullis/internal/upgrade"
)

// The causes of the end of sessions that a reload doesn't leave as they are: they
// may come again, and are judged anew.
var (
	errGone     = fmt.Errorf("%w: its route is gone", portcullis.ErrShutdown)
	errUnasked  = fmt.Errorf("%w: its token system isn't asked any more", portcullis.ErrShutdown)
	errMessages = fmt.Errorf("%w: the rule for its messages has changed", portcullis.ErrShutdown)
)

// Reload has the Gateway work by another configuration that has been checked
// (L5). Requests that have begun are finished by the former one. Live sessions
// stay if their route does: if what they asked for still belongs to a route of the
// same host and path, which hasn't become public, or ceased to be. The new rule is
// asked about each of them, and a token system that is asked in another way about
// their tokens again. The others end with [portcullis.ErrShutdown], as do those
// whose token system is gone, and sockets with another rule for messages. All else
// that a socket's handshake has settled stays as it was: its backend, and what
// holds for its frames.
//
// It returns how many sessions have ended, and how many are asked about again. It
// fails, and nothing changes, if keys differ that need a restart. It may be called
// concurrently.
func (g *Gateway) Reload(c *config.Config) (ended, asked int, err error) {
	g.reloading.Lock()
	defer g.reloading.Unlock()
	old := g.current.Load()
	if keys := old.config.NeedsRestart(c); keys != nil {
		return 0, 0, fmt.Errorf("%s changed, which needs a restart: nothing is changed", strings.Join(keys, ", "))
	}
	now, err := newGate(&g.lasting, c, old)
	if err != nil {
		return 0, 0, err
	}
	g.current.Store(now)
	var swept atomic.Bool
	ended = g.guard.Reassign(func(s *portcullis.Session) (*portcullis.Policy, error) {
		id := s.Identity()
		if swept.Load() && now.asksAnew(id) { // it is late: see below
			g.guard.RecheckNow(func(other *portcullis.Identity) bool { return other == id })
		}
		return now.policyFor(s, g.guard, old.policies)
	})
	ended += g.public.Reassign(func(s *portcullis.Session) (*portcullis.Policy, error) {
		return now.policyFor(s, g.public, old.policies)
	})
	swept.Store(true)
	asked = g.guard.RecheckNow(now.asksAnew)
	old.verifiers.close(now.verifiers)
	old.closeIdle()
	return ended, asked, nil
}

// asksAnew reports whether the token system that has vouched for a user is asked
// in another way than before.
func (g *gate) asksAnew(id *portcullis.Identity) bool {
	v := g.verifiers.named[id.VerifiedBy]
	return v != nil && v.fresh
}

// policyFor returns what a session of the guard is to live under that has its
// Policy from the gate before, whose policies old are; nil: what it has.
func (g *gate) policyFor(s *portcullis.Session, guard *portcullis.Guard, old map[*portcullis.Policy]*route) (*portcullis.Policy, error) {
	p := s.Policy()
	if g.policies[p] != nil || p.Name == "" { // "": a call to one of our own endpoints
		return nil, nil
	}
	r := s.Request()
	was, is := old[p], g.routeFor(r)
	switch {
	case guard == g.public && isPreflight(r):
		return nil, nil
	case is == nil || is.guard != guard || is.policy.Name != p.Name:
		return nil, errGone
	case guard == g.guard && g.verifiers.named[s.Identity().VerifiedBy] == nil:
		return nil, errUnasked
	case was != nil && !was.judgesAs(is) && (r.Header == nil || upgrade.Asked(r)): // without a header it is a socket
		return nil, errMessages
	}
	return &is.policy, nil
}

// outdated says why a socket that has just been admitted on a route of g can't go
// on: policyFor knows the rules for messages of the gate before only.
func (g *gate) outdated(rt *route) error {
	now := g.current.Load()
	if now == g {
		return nil
	}
	if is := now.called(rt.policy.Name); is == nil || !rt.judgesAs(is) {
		return errMessages
	}
	return nil
}

// judgesAs reports whether the two have the same rule for messages.
func (rt *route) judgesAs(other *route) bool {
	a, b := rt.Messages, other.Messages
	return a == b || a != nil && b != nil && a.Otherwise == b.Otherwise && a.Allow.String() == b.Allow.String()
}

// routeFor returns the route of a request that some route has let through, by each
// reading of its path; nil: there is none, or they don't agree.
func (g *gate) routeFor(r *http.Request) *route {
	c, _ := g.table.Find(r.Host, r.URL.Path)
	for _, path := range readings(r.URL.Path) {
		if other, _ := g.table.Find(r.Host, path); other != c {
			return nil
		}
	}
	return g.routes[c]
}

// called returns the route of a name; nil: there is none.
func (g *gate) called(name string) *route {
	for _, rt := range g.routes {
		if rt.policy.Name == name {
			return rt
		}
	}
	return nil
}

func (g *gate) closeIdle() {
	for _, t := range g.transports {
		t.CloseIdleConnections()
	}
}
