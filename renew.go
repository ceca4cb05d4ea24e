package portcullis

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// Renew puts the session that ctx belongs to under a fresh token: it lives
// until that one expires, and [FromContext] returns its Identity from now on.
// The token must be of the same issuer and subject as the session (of the same
// client, where tokens name no subject), or Renew fails with [ErrForbidden] and
// changes nothing; likewise if the token is bad or revoked, or we can't tell, or
// there is no such session any more ([ErrNoSession], or the cause of its end). If
// the session's rule doesn't allow the new Identity, the session ends. Of two
// tokens the one that expires later stays.
func Renew(ctx context.Context, token string) error {
	s, ok := ctx.Value(sessionKey{}).(*Session)
	if !ok {
		return ErrNoSession
	}
	return s.guard.renew(ctx, s, token)
}

// Session returns the live session that [Session.Handle] names, or nil. It looks
// through all sessions for it.
func (g *Guard) Session(handle string) *Session { return g.sessions.byHandle(handle) }

// Renew is [Renew] for the session that [Session.Handle] names.
func (g *Guard) Renew(ctx context.Context, handle, token string) error {
	s := g.Session(handle)
	if s == nil {
		return ErrNoSession
	}
	return g.renew(ctx, s, token)
}

func (g *Guard) renew(ctx context.Context, s *Session, token string) error {
	old := s.Identity()
	if old == nil { // it was never admitted
		return ErrNoSession
	}
	if err := s.Err(); err != nil {
		return err
	}
	v, now, err := g.verify(ctx, token)
	if err != nil {
		return err
	}
	if !sameOwner(old, v.id) {
		return fmt.Errorf("%w: the token is somebody else's", ErrForbidden)
	}
	p := s.Policy()
	if err := p.allow(s.Request(), v.id); err != nil {
		if !errors.Is(err, ErrUnavailable) {
			s.end(err)
		}
		return err
	}
	if err := g.sessions.renew(s, v, now); err != nil {
		return err
	}
	g.record(s, "session renewed")
	return s.stillAllowed(p)
}

// extend puts sockets under the verdict of a fresher token of their login, which
// some call has brought along. A socket whose rule doesn't allow that token
// keeps its own: nobody has said that it is meant for it.
func (g *Guard) extend(sockets []*Session, v verdict, now time.Time) {
	for _, s := range sockets {
		p := s.Policy()
		if p.allow(s.Request(), v.id) == nil && g.sessions.renew(s, v, now) == nil {
			g.record(s, "session renewed")
			_ = s.stillAllowed(p) // if not, it has ended
		}
	}
}

// sameOwner reports whether two tokens speak for the same one. Two token systems
// may call different users the same.
func sameOwner(a, b *Identity) bool {
	if a.VerifiedBy != b.VerifiedBy || a.Issuer != b.Issuer || a.Subject != b.Subject {
		return false
	}
	return a.Subject != "" || a.ClientID != "" && a.ClientID == b.ClientID
}
