package gateway

import (
	"log/slog"
	"net/http"
	"reflect"
	"strings"

	"github.com/portcullis-auth/portcullis"
	"github.com/portcullis-auth/portcullis/gateway/config"
	"github.com/portcullis-auth/portcullis/gateway/limit"
	"github.com/portcullis-auth/portcullis/internal/upgrade"
)

// A gate is a configuration at work: what a reload replaces.
type gate struct {
	*lasting

	config    *config.Config
	verifiers *verifiers
	table     *config.Table
	routes    map[*config.Route]*route
	policies  map[*portcullis.Policy]*route
	logout    http.Handler // nil: there is none
	own       *own
	names     headerNames
	proxies   proxies
	limits    *limit.Limiter // of all routes together; nil: there are none

	transports []*http.Transport // to the routes' backends
}

// newGate returns the gate of a configuration, which takes over from old what that
// has counted and learned. If it fails, old is as it was.
func newGate(l *lasting, c *config.Config, old *gate) (*gate, error) {
	g := &gate{
		lasting:  l,
		config:   c,
		table:    config.NewTable(c.Routes),
		routes:   make(map[*config.Route]*route, len(c.Routes)),
		policies: make(map[*portcullis.Policy]*route, len(c.Routes)),
		names:    newHeaderNames(c.UserinfoHeader, int(c.UserinfoMax)),
		proxies:  c.TrustedProxies,
	}
	var err error
	if g.verifiers, err = newVerifiers(c.Verify, c.Leeway, g.outage, old.verifiers); err != nil {
		return nil, err
	}
	if g.logout = old.logout; !reflect.DeepEqual(c.Logout, old.config.Logout) {
		if g.logout, err = newLogout(c.Logout, g.guard, g.log); err != nil {
			g.verifiers.close(old.verifiers)
			return nil, err
		}
	}
	g.own = g.newOwn()
	g.limits = limited(old.limits, ratesOf(&c.Limits.Rates), nil) // from here on old knows of it
	for i := range c.Routes {
		g.addRoute(&c.Routes[i], old)
	}
	return g, nil
}

// ServeHTTP reads like the package's comment.
func (g *gate) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	// RFC 9112, section 6.1: nothing may follow a Transfer-Encoding that has a
	// Content-Length beside it, or is of HTTP/1.0; net/http has removed which it was.
	if !r.ProtoAtLeast(1, 1) || r.TransferEncoding != nil {
		last(w, r)
	}
	if r.ContentLength != 0 {
		r = r.WithContext(r.Context()) // net/http still looks at the Body of its own
	}
	pace(g.config.Limits.BodyTime).body(w, r)
	r, why := g.proxies.view(r)
	var odd oddities
	if why == "" {
		odd, why = ambiguous(r)
	}
	if why != "" {
		g.refuse(w, r, http.StatusBadRequest, why)
		return
	}
	if odd == 0 && isOwn(r.URL.Path) {
		g.serveOwn(w, r)
		return
	}
	r = g.names.strip(r)
	rt, r, why := g.find(r, odd)
	switch {
	case why != "":
		g.refuse(w, r, http.StatusBadRequest, why)
		return
	case rt == nil:
		g.refuse(w, r, http.StatusNotFound, "no route")
		return
	case !upgrade.Asked(r):
		g.serveHTTP(w, r, rt)
		return
	}
	last(w, r) // W4: unless it becomes a socket
	if status, why := badHandshake(r); status != 0 {
		g.refuse(w, r, status, why)
		return
	}
	g.serveSocket(w, r, rt)
}

// serveHTTP serves what isn't a socket.
func (g *gate) serveHTTP(w http.ResponseWriter, r *http.Request, rt *route) {
	if err := rt.limits.Request(address(r)); err != nil {
		g.overLimit(w, r, rt.policy.Deny, err)
		return
	}
	if g.sampled() {
		g.logged(rt, w, r)
		return
	}
	rt.serveHTTP(w, r)
}

// isOwn reports whether a path is one of the gateway's own.
func isOwn(path string) bool {
	return strings.HasPrefix(path, "/.portcullis/") || path == "/.portcullis"
}

// serveOwn serves our own endpoints.
func (g *gate) serveOwn(w http.ResponseWriter, r *http.Request) {
	if b, ok := r.Body.(*pacedBody); ok { // they bound all of it themselves (L1)
		r.Body = b.ReadCloser
	}
	receiver, pushed := g.signals.pushed[r.URL.Path]
	switch err := g.limits.Request(address(r)); {
	case err != nil:
		g.overLimit(w, r, portcullis.DenyStatus, err)
	case r.URL.Path == logoutPath && g.logout != nil:
		g.logout.ServeHTTP(w, r)
	case pushed:
		receiver.ServeHTTP(w, r)
	case !g.own.serve(w, r):
		g.refuse(w, r, http.StatusNotFound, "no route")
	}
}

// refuse answers what isn't even worth a question to the token system.
func (g *gate) refuse(w http.ResponseWriter, r *http.Request, status int, why string) {
	h := w.Header()
	h.Set("Cache-Control", "no-store")
	switch status {
	case http.StatusBadRequest, http.StatusRequestEntityTooLarge: // W4: the body isn't read to its end
		last(w, r)
	case http.StatusUpgradeRequired:
		h.Set("Sec-WebSocket-Version", "13")
	}
	g.logRefused(r, slog.Int("status", status), slog.String("why", why))
	http.Error(w, why, status)
}

// last has nothing follow this request on its connection. With HTTP/2 requests end
// by themselves, and the others that share the connection are to go on.
func last(w http.ResponseWriter, r *http.Request) {
	if r.ProtoMajor == 1 {
		w.Header().Set("Connection", "close")
	}
}

// isLast reports whether last has been called.
func isLast(w http.ResponseWriter) bool { return w.Header().Get("Connection") == "close" }

// logRefused logs what the Guard doesn't hear of.
func (g *gate) logRefused(r *http.Request, why ...slog.Attr) {
	g.log.LogAttrs(r.Context(), slog.LevelInfo, "refused", append([]slog.Attr{
		slog.String("method", r.Method), slog.String("host", r.Host), slog.String("path", r.URL.Path),
		slog.String("remote", r.RemoteAddr),
	}, why...)...)
}
