package gateway

import (
	"context"
	"fmt"
	"net/http"
	"slices"

	"github.com/portcullis-auth/portcullis"
	"github.com/portcullis-auth/portcullis/gateway/config"
	"github.com/portcullis-auth/portcullis/gateway/limit"
	"github.com/portcullis-auth/portcullis/gateway/relay"
)

// A route is a configured route, ready to be used.
type route struct {
	*config.Route
	guard  *portcullis.Guard
	policy portcullis.Policy
	http   http.Handler
	dialer relay.Dialer
	frames relay.Rules

	insecure  oddities       // that its backend needs
	limits    *limit.Limiter // nil: there are none
	preflight http.Handler   // nil: preflights need a token like all others
}

// nobodysToken finds a token in every request: one that is in none of them.
func nobodysToken(*http.Request) (string, bool) { return "\x00", true }

// anybody lets everybody in, as nobody.
func anybody(context.Context, string) (*portcullis.Identity, error) {
	return &portcullis.Identity{}, nil
}

// addRoute makes a route. What a route of the same name in old has counted, it goes
// on counting.
func (g *gate) addRoute(c *config.Route, old *gate) {
	r := &route{
		Route:  c,
		guard:  g.guard,
		policy: portcullis.Policy{Name: c.Host + c.Path, Origins: c.Origins, Grace: g.config.Grace, Deny: denial(c.Login), CloseStatus: closeCodes(c)},
	}
	if c.CORS == "pass" {
		r.policy.Deny = r.readable(r.policy.Deny)
	}
	if c.AcceptThenClose {
		r.policy.Deny = portcullis.DenyByClose(r.policy.CloseStatus, r.policy.Deny)
	}
	r.frames = g.newFrames(c)
	if c.BackendCA != nil {
		r.dialer.TLS = clientTLS(c.BackendCA)
	}
	r.limits = g.limitsFor(c, old)
	r.policy.Sources = sources(g.places(c))
	if g.tickets != nil {
		r.policy.Sources = slices.Insert(r.policy.Sources, 0, g.tickets.source)
	}
	if c.Public { // the first one decides, the others only remove
		r.guard = g.public
		r.policy.Sources = slices.Insert(r.policy.Sources, 0, nobodysToken)
	}
	if c.Allow != nil {
		r.policy.Allow = r.allows
	}
	r.insecure = insecure(c.InsecurePaths)
	proxy := g.newProxy(r, c.Public)
	if !c.Public {
		proxy = g.signals.behind(proxy)
	}
	if !c.Public {
		proxy = g.metered(r, proxy)
	}
	r.http = r.guard.HandlerWith(&r.policy, proxy)
	if c.CORS == "pass" && !c.Public {
		r.preflight = g.newPreflight(r)
	}
	g.routes[c] = r
	g.policies[&r.policy] = r
}

// allows asks the route's rule.
func (rt *route) allows(r *http.Request, id *portcullis.Identity) error {
	if r.Header == nil && rt.Allow.ReadsHeaders() { // the rule of when it was opened didn't
		return fmt.Errorf("%w: the rule needs what is forgotten of the handshake", portcullis.ErrShutdown)
	}
	return rt.Allow.Allow(r, id)
}

// places are where a route's tokens may be found.
func (g *gate) places(c *config.Route) []config.Place {
	if len(c.Tokens) > 0 {
		return c.Tokens
	}
	return g.config.Tokens
}

// sources turns configured places into what the Guard looks at.
func sources(places []config.Place) (list []portcullis.TokenSource) {
	for _, p := range places {
		switch p.In {
		case "cookie":
			list = append(list, portcullis.Cookie(p.Name))
		case "query":
			list = append(list, portcullis.Query(p.Name))
		case "subprotocol":
			list = append(list, portcullis.Subprotocol(p.Name))
		default:
			list = append(list, portcullis.Bearer)
		}
	}
	return list
}
