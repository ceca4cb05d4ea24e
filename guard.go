package portcullis

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"iter"
	"log/slog"
	"maps"
	"net/http"
	"slices"
	"sync/atomic"
	"time"

	"github.com/portcullis-auth/portcullis/internal/upgrade"
)

// A Guard lets requests and WebSockets through while the token system vouches
// for them, and not a moment longer. Set Verifier, and what else is needed,
// before the first use and don't change it later. A Guard must not be copied.
// All methods are safe for concurrent use.
type Guard struct {
	// Verifier is asked about every token. It must be set.
	Verifier Verifier

	// Store shares revocations with other nodes; if it is set, Run must run.
	// nil: they are known to this process only, while it runs.
	Store Store

	// Policy is what Handler uses.
	Policy

	// MaxSession bounds sessions whose token doesn't say when it expires.
	// 0: 24 hours.
	MaxSession time.Duration

	// Leeway is how long after its expiry a token is still good, for clocks
	// that differ. 0: not at all.
	Leeway time.Duration

	// Recheck says how often the token system is asked again about the token
	// that a session lives on: about so long after it was last asked, while Run
	// runs. A no ends the session; a yes with other claims replaces its Identity
	// and has the rule decide again. The tokens of live sessions stay in memory
	// for this. 0 for an Identity: only RecheckNow asks about it. nil: the tokens
	// aren't kept, and nothing is asked about again.
	Recheck func(*Identity) time.Duration

	// RecheckRate bounds these calls, per second. 0: 50.
	RecheckRate int

	// Log gets a record for every refusal, and for the begin and end of every
	// socket. nil: no log.
	Log *slog.Logger

	sessions registry
	caughtUp atomic.Bool                                     // with the Store
	assign   atomic.Pointer[func(*Session) (*Policy, error)] // of the last Reassign; nil: there was none
}

// A Policy says who may pass at one place. The zero value is safe: a bearer
// token, any valid one, sockets only from pages of the own origin.
type Policy struct {
	// Name is what the log calls it: a route's name, say. "": nothing.
	Name string

	// Sources are where a token may be found. They are tried in order, and the
	// first one that finds a token decides. nil: Bearer.
	Sources []TokenSource

	// Allow is the rule: an error refuses the user, with 403 unless the error
	// is one of this package's. It is asked again when a session is renewed,
	// with the request as it was admitted. nil: every valid token may pass.
	Allow func(*http.Request, *Identity) error

	// Origins are the web origins, as "https://app.example.com", whose pages
	// may open WebSockets apart from the own one (the scheme and Host that the
	// request came by). Others are refused, since browsers send cookies along
	// with anybody's handshake.
	Origins []string

	// Grace is how long an ended connection may take to say goodbye before it
	// is cut. It counts from the moment when the goodbye begins: where thousands
	// end at once, these come one after the other. 0: one second.
	Grace time.Duration

	// CloseStatus is what the peers of a socket are told of its end: a code that
	// RFC 6455, section 7.4, lets an endpoint send, and a reason of 123 bytes at
	// most. nil: the package's CloseStatus.
	CloseStatus func(cause error) (code int, reason string)

	// Deny answers who is not let through; the request is without its token.
	// It isn't asked when a session ends in the middle of an answer.
	// nil: DenyStatus.
	Deny func(http.ResponseWriter, *http.Request, error)
}

// Handler lets requests through to next that the Guard's own Policy admits. It
// panics if the Guard has no Verifier.
//
// next sees the request without its token and with the Identity in its context
// ([FromContext]). When authorization ends, that context is cancelled with the
// reason as its [context.Cause]. A WebSocket (or whatever next makes of the
// hijacked connection) is closed between two frames with [CloseStatus]; another
// answer that has begun is aborted so that the client can tell, one that hasn't
// becomes a 401. After a hijack the context lives until the connection is
// closed, if the request was an upgrade (RFC 9110, section 7.8).
func (g *Guard) Handler(next http.Handler) http.Handler {
	return g.HandlerWith(&g.Policy, next)
}

// HandlerWith is Handler with another Policy, which must not be changed any more.
func (g *Guard) HandlerWith(p *Policy, next http.Handler) http.Handler {
	if g.Verifier == nil {
		panic("portcullis: Guard.Verifier is nil: set it to what asks your token system, see package verify")
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var before http.Header
		if h := w.Header(); len(h) > 0 {
			before = maps.Clone(h)
		}
		s, err := g.admit(w, r, p)
		if err != nil {
			p.deny(w, s.Request(), err)
			return
		}
		returned := false
		defer func() { s.response.finish(before, returned) }()
		next.ServeHTTP(s.response, s.Request())
		returned = true
	})
}

// Admit decides about a request. It is what Handler is made of, for those who
// move bytes themselves: they use [Session.Request] from then on, must stop
// when [Session.OnEnd] says so, and must call [Session.Close]. If r is an
// upgrade, r's own context ending doesn't end the session: closing it does. The
// Policy must not be changed any more: sessions share it.
//
// The error wraps one of this package's. The Session that comes with it is over,
// and good only for its Request, without the token: the one for Policy.Deny.
func (g *Guard) Admit(r *http.Request, p *Policy) (*Session, error) { return g.admit(nil, r, p) }

// admit returns, if it refuses, a session that is over. From the moment that the
// session is registered it may end: all that its end needs is there before. w is
// nil for Admit.
func (g *Guard) admit(w http.ResponseWriter, r *http.Request, p *Policy) (*Session, error) {
	s := newSession(w)
	s.guard, s.index, s.upgrade = g, -1, upgrade.Asked(r)
	s.policy.Store(p)
	from := r.Context()
	parent := from
	if s.upgrade { // net/http cancels the request's context when the handler returns
		parent = context.WithoutCancel(from)
	}
	admitted := r.WithContext(s.within(parent))
	if s.upgrade {
		s.more = &more{detach: context.AfterFunc(from, func() { s.stop(context.Cause(from)) })}
	}
	s.request.Store(admitted)
	if r.Body != nil && r.Body != http.NoBody {
		admitted.Body = &body{r.Body, s}
	}
	found := takeToken(admitted, p.Sources)
	if s.upgrade {
		s.more.echo = marker(r, admitted, found.token)
	}

	err := g.decide(s, r, found)
	if err != nil {
		s.mu.Lock()
		s.closed = true
		s.leave()
		s.mu.Unlock()
		s.stop(err)
		g.logRefused(s, err)
		return s, err
	}
	if s.upgrade {
		g.record(s, "socket opened")
	}
	return s, nil
}

// decide reads like a checklist; r is the request as it came.
func (g *Guard) decide(s *Session, r *http.Request, found found) error {
	if s.upgrade { // RFC 6455, section 10.2: other pages aren't even told why not
		if err := s.Policy().checkOrigin(r, found); err != nil {
			return err
		}
	}
	if err := g.upToDate(); err != nil {
		return err
	}
	if !found.ok {
		return ErrNoToken
	}
	if found.token == "" {
		return fmt.Errorf("%w: empty or ambiguous", ErrInvalid)
	}
	v, now, err := g.verify(s.Request().Context(), found.token)
	if err != nil {
		return err
	}
	s.identity.Store(v.id)
	s.opened = now
	if err := s.Policy().allow(s.Request(), v.id); err != nil {
		return err
	}
	outlived, err := g.sessions.add(s, v, now)
	if err != nil {
		return err
	}
	g.extend(outlived, v, now)
	if to := g.assign.Load(); to != nil { // it may have found all sessions but this one
		_ = s.reassign(*to) // if it isn't nil, the session has ended
	}
	return nil
}

// verify asks the Verifier, and returns what it said and when it had said it.
func (g *Guard) verify(ctx context.Context, token string) (v verdict, now time.Time, err error) {
	asked, armed := time.Now(), g.sessions.due.Load()
	v.id, err = g.Verifier.Verify(ctx, token)
	// Another look at the clock costs a tenth of all this. It isn't needed if the
	// timer, which fires each second, hasn't done so, and nothing is due soon.
	now = asked
	if armed == 0 || armed != g.sessions.due.Load() || v.id == nil || v.id.ExpiresAt.Sub(asked) < time.Minute {
		now = asked.Add(time.Since(asked))
	}
	switch {
	case err != nil && isOurs(err):
		return v, now, err
	case err != nil:
		return v, now, fmt.Errorf("%w: %w", ErrUnavailable, err)
	case v.id == nil:
		return v, now, fmt.Errorf("%w: the Verifier gave no Identity", ErrUnavailable)
	}
	if v.id.ExpiresAt.IsZero() {
		v.deadline = now.Add(g.maxSession())
	} else {
		v.deadline = v.id.ExpiresAt.Add(g.Leeway)
	}
	v.deadline = v.deadline.Round(0) // the wall clock decides
	if !now.Round(0).Before(v.deadline) {
		return v, now, ErrExpired
	}
	if g.Recheck != nil {
		v.token = token
	}
	v.asked = asked
	if at := v.id.VerifiedAt; !at.IsZero() && at.Before(asked) { // what is remembered may be older than a revocation
		v.asked = at
	}
	if v.issued = v.id.IssuedAt; v.issued.IsZero() {
		v.issued = g.sessions.sighted(sha256.Sum256([]byte(token)), v.asked, v.deadline)
	}
	return v, now, g.upToDate() // the Store may have failed meanwhile
}

// upToDate says whether we can tell who is revoked.
func (g *Guard) upToDate() error {
	if g.Store != nil && !g.caughtUp.Load() {
		return fmt.Errorf("%w: not caught up with the Store", ErrUnavailable)
	}
	return nil
}

// allow asks the rule.
func (p *Policy) allow(r *http.Request, id *Identity) error {
	if p.Allow == nil {
		return nil
	}
	err := p.Allow(r, id)
	if err == nil || isOurs(err) {
		return err
	}
	return fmt.Errorf("%w: %w", ErrForbidden, err)
}

func (p *Policy) grace() time.Duration {
	if p.Grace == 0 {
		return time.Second
	}
	return p.Grace
}

func (g *Guard) maxSession() time.Duration {
	if g.MaxSession == 0 {
		return 24 * time.Hour
	}
	return g.MaxSession
}

// isOurs reports whether err wraps one of this package's errors.
func isOurs(err error) bool {
	return slices.ContainsFunc(
		[]error{ErrInvalid, ErrExpired, ErrRevoked, ErrForbidden, ErrUnavailable, ErrNoToken, ErrShutdown},
		func(ours error) bool { return errors.Is(err, ours) })
}

// Sessions returns a snapshot of the live sessions, in no particular order.
func (g *Guard) Sessions() iter.Seq[SessionInfo] { return slices.Values(g.sessions.all()) }

// Shutdown admits nobody any more ([ErrShutdown]), ends every socket, and
// waits until all sessions are over. Requests may finish, until ctx is done;
// then they are ended too, and Shutdown returns ctx's error at once.
// [http.Server.Shutdown] knows nothing of sockets: call both.
func (g *Guard) Shutdown(ctx context.Context) error {
	over := g.sessions.close()
	for _, s := range g.sessions.snapshot(func(s *Session) bool { return s.upgrade }) {
		s.end(ErrShutdown)
	}
	select {
	case <-over:
		return nil
	case <-ctx.Done():
	}
	g.End(ErrShutdown, func(*Identity) bool { return true })
	return ctx.Err()
}
