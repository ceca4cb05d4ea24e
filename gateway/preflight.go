package gateway

import (
	"net/http"
	"slices"
)

// serveHTTP lets a genuine preflight of a page that may ask through, since
// browsers send it without cookies and tokens; everything else is guarded. Pages
// that may ask can also read why they are refused.
func (rt *route) serveHTTP(w http.ResponseWriter, r *http.Request) {
	if rt.preflight != nil && rt.asks(r) && isPreflight(r) {
		rt.preflight.ServeHTTP(w, r)
		return
	}
	rt.http.ServeHTTP(w, r)
}

// isPreflight reports whether a browser asks whether a page may make a call
// (Fetch, section 3.2.2).
func isPreflight(r *http.Request) bool {
	return r.Method == http.MethodOptions && len(r.Header["Access-Control-Request-Method"]) == 1 &&
		r.ContentLength == 0 && len(r.TransferEncoding) == 0
}

// asks reports whether the page that makes the call is of one of the route's
// origins, or of its own.
func (rt *route) asks(r *http.Request) bool {
	origins := r.Header["Origin"]
	return len(origins) == 1 && (origins[0] == scheme(r)+"://"+r.Host || slices.Contains(rt.Origins, origins[0]))
}

// newPreflight returns what preflights pass: as nobody, and without any token.
func (g *gate) newPreflight(rt *route) http.Handler {
	policy := rt.policy
	policy.Sources = slices.Insert(slices.Clone(policy.Sources), 0, nobodysToken)
	policy.Allow = nil
	g.policies[&policy] = rt
	return g.public.HandlerWith(&policy, g.newProxy(rt, true))
}

// readable has pages of the route's origins read why they are refused, which
// browsers keep from them otherwise.
func (rt *route) readable(deny denier) denier {
	return func(w http.ResponseWriter, r *http.Request, err error) {
		h := w.Header()
		h.Add("Vary", "Origin")
		if rt.asks(r) {
			h.Set("Access-Control-Allow-Origin", r.Header.Get("Origin"))
			h.Set("Access-Control-Allow-Credentials", "true")
			h.Set("Access-Control-Expose-Headers", "Retry-After, WWW-Authenticate")
		}
		deny(w, r, err)
	}
}
