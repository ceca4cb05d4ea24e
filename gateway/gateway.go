// Package gateway is a reverse proxy that authorizes: visibly one
// [portcullis.Guard] in front of two movers, [httputil.ReverseProxy] for HTTP
// and package relay for WebSockets.
//
// A request passes, in this order: the strict front, which refuses what two
// parsers could read differently; the route table; for sockets the checks of
// the handshake; the Guard. Only then anything of it reaches a backend.
package gateway

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/portcullis-auth/portcullis"
	"github.com/portcullis-auth/portcullis/gateway/config"
	"github.com/portcullis-auth/portcullis/gateway/limit"
	"github.com/portcullis-auth/portcullis/gateway/listen"
	"github.com/portcullis-auth/portcullis/gateway/relay"
	"github.com/portcullis-auth/portcullis/internal/upgrade"
	"github.com/portcullis-auth/portcullis/revoke/backchannel"
)

// logoutPath is where the receiver of logout tokens is.
const logoutPath = "/.portcullis/backchannel-logout"

// publicSession bounds sockets on public routes, which nothing else does.
const publicSession = 10 * 365 * 24 * time.Hour

// A Gateway is the handler of the public listener. It is made by [New], safe
// for concurrent use, and must be closed.
type Gateway struct {
	config    *config.Config
	log       *slog.Logger
	verifiers *verifiers
	guard     *portcullis.Guard
	public    *portcullis.Guard // for public routes: admits everybody, as nobody
	table     *config.Table
	routes    map[*config.Route]*route
	logout    http.Handler // nil: there is none
	signals   *signals
	tickets   *tickets // nil: there are none
	own       *own
	relay     relay.Engine
	names     headerNames
	proxies   proxies
	limits    *limit.Limiter // of all routes together; nil: there are none
	requests  atomic.Uint64  // that could have been logged

	transports []*http.Transport // to the routes' backends
}

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

// New returns the Gateway of a configuration that has been checked. It makes
// no call and opens no listener. A nil log is none.
func New(c *config.Config, log *slog.Logger) (*Gateway, error) {
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	g := &Gateway{
		config: c,
		log:    log,
		guard: &portcullis.Guard{
			Recheck:     rechecks(c.Verify),
			RecheckRate: int(c.RecheckRate),
			MaxSession:  c.MaxSession,
			Leeway:      c.Leeway,
			Log:         log,
		},
		public: &portcullis.Guard{Verifier: portcullis.VerifierFunc(anybody), MaxSession: publicSession, Log: log},
		table:  config.NewTable(c.Routes),
		routes: make(map[*config.Route]*route, len(c.Routes)),
		names:  newHeaderNames(c.UserinfoHeader, int(c.UserinfoMax)),

		proxies: c.TrustedProxies,
		limits:  newLimits(&c.Limits),
	}
	var err error
	if g.verifiers, err = newVerifiers(c.Verify, c.Leeway, g.outage); err != nil {
		return nil, err
	}
	g.guard.Verifier = g.verifiers
	if c.Tickets != nil {
		if g.tickets, err = newTickets(c.Tickets.Lifetime, c.Tickets.KeysDir); err != nil {
			g.verifiers.close()
			return nil, err
		}
	}
	if g.signals, err = newSignals(c.Signals, g.guard, log); err != nil {
		g.verifiers.close()
		return nil, err
	}
	g.own = g.newOwn()
	for i := range c.Routes {
		g.routes[&c.Routes[i]] = g.newRoute(&c.Routes[i])
	}
	if len(c.Logout) > 0 {
		if g.logout, err = newLogout(c.Logout, g.guard, log); err != nil {
			g.verifiers.close()
			return nil, err
		}
	}
	return g, nil
}

// newLogout returns the receiver of logout tokens.
func newLogout(list []config.Logout, guard *portcullis.Guard, log *slog.Logger) (http.Handler, error) {
	var receivers []*backchannel.Receiver
	for i := range list {
		l := &list[i]
		r, err := backchannel.New(backchannel.Config{
			Issuer: l.Issuer, Audience: l.ClientID, JWKSURL: text(l.JWKSURL), InsecurePlainHTTP: l.InsecurePlainHTTP,
			BySubject: l.BySubject, Revoke: guard.Revoke, Log: log,
		})
		if err != nil {
			return nil, err
		}
		receivers = append(receivers, r)
	}
	return backchannel.Join(receivers...)
}

// Close frees what the Gateway holds, once nothing is served any more. It always
// returns nil.
func (g *Gateway) Close() error {
	g.relay.Close()
	g.verifiers.close()
	return nil
}

// outage ends the sessions that live on the word of a token system which has
// been silent for too long (promise 4).
func (g *Gateway) outage(name string) {
	cause := fmt.Errorf("%w: %s has given no answer for too long", portcullis.ErrUnavailable, name)
	n := g.guard.End(cause, func(id *portcullis.Identity) bool { return id.VerifiedBy == name })
	g.log.Warn("token system out of reach", "verifier", name, "ended", n)
}

// nobodysToken finds a token in every request: one that is in none of them.
func nobodysToken(*http.Request) (string, bool) { return "\x00", true }

// anybody lets everybody in, as nobody.
func anybody(context.Context, string) (*portcullis.Identity, error) {
	return &portcullis.Identity{}, nil
}

func (g *Gateway) newRoute(c *config.Route) *route {
	r := &route{
		Route:  c,
		guard:  g.guard,
		limits: within(g.limits, &c.Limits),
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
	r.policy.Sources = sources(g.places(c))
	if g.tickets != nil {
		r.policy.Sources = slices.Insert(r.policy.Sources, 0, g.tickets.source)
	}
	if c.Public { // the first one decides, the others only remove
		r.guard = g.public
		r.policy.Sources = slices.Insert(r.policy.Sources, 0, nobodysToken)
	}
	if c.Allow != nil {
		r.policy.Allow = c.Allow.Allow
	}
	r.insecure = insecure(c.InsecurePaths)
	proxy := g.newProxy(r, c.Public)
	if !c.Public {
		proxy = g.signals.behind(proxy)
	}
	if !c.Public {
		proxy = g.limited(r, proxy)
	}
	r.http = r.guard.HandlerWith(&r.policy, proxy)
	if c.CORS == "pass" && !c.Public {
		r.preflight = g.newPreflight(r)
	}
	return r
}

// places are where a route's tokens may be found.
func (g *Gateway) places(c *config.Route) []config.Place {
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

// Guard returns the Guard of all routes that aren't public.
func (g *Gateway) Guard() *portcullis.Guard { return g.guard }

// ServeHTTP reads like the package's comment.
func (g *Gateway) ServeHTTP(w http.ResponseWriter, r *http.Request) {
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
func (g *Gateway) serveHTTP(w http.ResponseWriter, r *http.Request, rt *route) {
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
func (g *Gateway) serveOwn(w http.ResponseWriter, r *http.Request) {
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
func (g *Gateway) refuse(w http.ResponseWriter, r *http.Request, status int, why string) {
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
func (g *Gateway) logRefused(r *http.Request, why ...slog.Attr) {
	g.log.LogAttrs(r.Context(), slog.LevelInfo, "refused", append([]slog.Attr{
		slog.String("method", r.Method), slog.String("host", r.Host), slog.String("path", r.URL.Path),
		slog.String("remote", r.RemoteAddr),
	}, why...)...)
}

// Serve answers on the listener, which it closes, until ctx is done or the
// listener fails. Then sockets are told to come back, and requests may finish
// for the configured time. It returns nil if ctx was done and all of them did.
func (g *Gateway) Serve(ctx context.Context, l net.Listener) error {
	server := &http.Server{
		Handler:           g,
		ReadHeaderTimeout: g.config.Limits.HeaderTime,
		IdleTimeout:       2 * time.Minute,
		MaxHeaderBytes:    int(g.config.Limits.HeaderSize),
		// Else net/http answers OPTIONS * itself, before the front has seen it.
		DisableGeneralOptionsHandler: true,
		ErrorLog:                     slog.NewLogLogger(g.log.Handler(), slog.LevelWarn),
		HTTP2: &http.HTTP2Config{ // L1
			MaxReadFrameSize: 16 << 10, MaxConcurrentStreams: 128, MaxReceiveBufferPerConnection: 512 << 10, MaxReceiveBufferPerStream: 256 << 10,
			SendPingTimeout: 30 * time.Second, PingTimeout: 15 * time.Second, WriteByteTimeout: g.config.Limits.BodyTime,
		},
		ConnState: func(nc net.Conn, state http.ConnState) {
			if secured, ok := nc.(*tls.Conn); ok && secured.ConnectionState().NegotiatedProtocol == "h2" {
				return // its streams have deadlines of their own
			}
			if state == http.StateActive { // the deadline is another request's
				_ = nc.SetWriteDeadline(time.Time{})
			}
		},
	}
	var asking sync.WaitGroup
	defer asking.Wait()
	running, stop := context.WithCancel(context.WithoutCancel(ctx))
	defer stop()
	asking.Go(func() { _ = g.guard.Run(running) }) // without a Store it ends when told
	g.signals.run(running, &asking)
	failed := make(chan error, 1)
	go func() {
		if secured, ok := l.(*listen.Listener); ok && secured.TLS() != nil {
			server.TLSConfig = secured.TLS()
			failed <- server.ServeTLS(l, "", "")
			return
		}
		failed <- server.Serve(l)
	}()
	var err error
	select {
	case err = <-failed:
	case <-ctx.Done():
	}
	patience, cancel := context.WithTimeout(context.WithoutCancel(ctx), g.config.ShutdownGrace)
	defer cancel()
	ended := make(chan error, 2)
	for _, guard := range []*portcullis.Guard{g.guard, g.public} {
		go func() { ended <- guard.Shutdown(patience) }()
	}
	unfinished := errors.Join(server.Shutdown(patience), <-ended, <-ended)
	if unfinished != nil {
		unfinished = errors.Join(unfinished, server.Close())
	}
	for _, t := range g.transports {
		t.CloseIdleConnections()
	}
	return errors.Join(err, unfinished)
}
