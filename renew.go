package portcullis

import (
	"context"
	"errors"
	"fmt"
)

// Renew puts the session that ctx belongs to under a fresh token: it lives
// until that one expires, and [FromContext] returns its Identity from now on.
// The token must be of the same issuer and subject as the session, or Renew
// fails with [ErrForbidden] and changes nothing; likewise if the token is bad.
// If the session's rule doesn't allow the new Identity, or it has been revoked,
// the session ends. Of two tokens the one that expires later stays.
func Renew(ctx context.Context, token string) error {
	s, ok := ctx.Value(sessionKey{}).(*Session)
	if !ok {
		return errGone
	}
	return s.guard.renew(ctx, s, token)
}

// Renew is [Renew] for the session that [Session.Handle] names. It looks
// through all sessions for it.
func (g *Guard) Renew(ctx context.Context, handle, token string) error {
	s := g.sessions.byHandle(handle)
	if s == nil {
		return errGone
	}
	return g.renew(ctx, s, token)
}

func (g *Guard) renew(ctx context.Context, s *Session, token string) error {
	if err := s.Err(); err != nil {
		return err
	}
	v, now, err := g.verify(ctx, token)
	if err != nil {
		return err
	}
	if old := s.Identity(); v.id.Issuer != old.Issuer || v.id.Subject != old.Subject {
		return fmt.Errorf("%w: the token is somebody else's", ErrForbidden)
	}
	if err := s.policy.allow(s.request, v.id); err != nil {
		s.end(err)
		return err
	}
	err = g.sessions.renew(s, v, now)
	if errors.Is(err, ErrRevoked) {
		s.end(ErrRevoked)
	}
	if err == nil {
		g.logRenewed(s)
	}
	return err
}
