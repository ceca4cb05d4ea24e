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
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/portcullis-auth/portcullis"
	"github.com/portcullis-auth/portcullis/gateway/config"
	"github.com/portcullis-auth/portcullis/gateway/relay"
)

// logoutPath is where the receiver of logout tokens is.
const logoutPath = "/.portcullis/backchannel-logout"

// publicSession bounds sockets on public routes, which nothing else does.
const publicSession = 10 * 365 * 24 * time.Hour

// A Gateway is the handler of the public listener. It is made by [New], safe
// for concurrent use, and must be closed.
type Gateway struct {
	lasting
	reloading sync.Mutex
}

// lasting is what a reload leaves as it is.
type lasting struct {
	current  atomic.Pointer[gate]
	log      *slog.Logger
	guard    *portcullis.Guard
	public   *portcullis.Guard // for public routes: admits everybody, as nobody
	signals  *signals
	tickets  *tickets // nil: there are none
	relay    relay.Engine
	requests atomic.Uint64 // that could have been logged
}

// New returns the Gateway of a configuration that has been checked. It makes
// no call and opens no listener. A nil log is none.
func New(c *config.Config, log *slog.Logger) (*Gateway, error) {
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	g := &Gateway{lasting: lasting{
		log:    log,
		public: &portcullis.Guard{Verifier: portcullis.VerifierFunc(anybody), MaxSession: publicSession, Log: log},
	}}
	g.guard = &portcullis.Guard{
		Verifier:    portcullis.VerifierFunc(g.verify),
		Recheck:     g.recheck,
		RecheckRate: int(c.RecheckRate),
		MaxSession:  c.MaxSession,
		Leeway:      c.Leeway,
		Log:         log,
	}
	var err error
	if c.Tickets != nil {
		if g.tickets, err = newTickets(c.Tickets.Lifetime, c.Tickets.KeysDir); err != nil {
			return nil, err
		}
	}
	if g.signals, err = newSignals(c.Signals, g.guard, log); err != nil {
		return nil, err
	}
	first, err := newGate(&g.lasting, c, &gate{config: new(config.Config), verifiers: new(verifiers)})
	if err != nil {
		return nil, err
	}
	g.current.Store(first)
	return g, nil
}

// Close frees what the Gateway holds, once nothing is served any more. It always
// returns nil.
func (g *Gateway) Close() error {
	g.relay.Close()
	g.current.Load().verifiers.close(new(verifiers))
	return nil
}

// Guard returns the Guard of all routes that aren't public.
func (g *Gateway) Guard() *portcullis.Guard { return g.guard }

// ServeHTTP serves the request by the configuration as it is now.
func (g *Gateway) ServeHTTP(w http.ResponseWriter, r *http.Request) { g.current.Load().ServeHTTP(w, r) }

// verify asks the token systems as they are configured now. Those that a reload
// has taken away meanwhile can't tell any more.
func (g *Gateway) verify(ctx context.Context, token string) (*portcullis.Identity, error) {
	for {
		v := g.current.Load().verifiers
		id, err := v.Verify(ctx, token)
		if !errors.Is(err, portcullis.ErrUnavailable) || v == g.current.Load().verifiers {
			return id, err
		}
	}
}

// recheck says how often a token system is asked again about live sessions.
func (g *Gateway) recheck(id *portcullis.Identity) time.Duration {
	if v := g.current.Load().verifiers.named[id.VerifiedBy]; v != nil {
		return v.config.Recheck
	}
	return 0
}

// outage ends the sessions that live on the word of a token system which has
// been silent for too long (promise 4).
func (l *lasting) outage(name string) {
	cause := fmt.Errorf("%w: %s has given no answer for too long", portcullis.ErrUnavailable, name)
	n := l.guard.End(cause, func(id *portcullis.Identity) bool { return id.VerifiedBy == name })
	l.log.Warn("token system out of reach", "verifier", name, "ended", n)
}
