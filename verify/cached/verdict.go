package cached

import (
	"bytes"
	"errors"
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/portcullis-auth/portcullis"
)

// A verdict is what came of asking about a token: a yes (id), a no, or that
// nobody can tell (err). It is not changed once it is made.
type verdict struct {
	id    *portcullis.Identity
	err   error
	keep  time.Duration // how long it is remembered; 0: not at all
	fresh time.Time     // until when a yes is used without asking
	stale time.Time     // until when a yes is used while nobody can tell
}

// unavailable is the verdict that nobody can tell.
func unavailable(why error) *verdict {
	return &verdict{err: fmt.Errorf("%w: cached: %w", portcullis.ErrUnavailable, why)}
}

// unknown reports whether it is neither a yes nor a no.
func (d *verdict) unknown() bool { return d.err != nil && !isNo(d.err) }

// isNo reports whether err is the token system's definite no. What also says
// that it cannot tell is not.
func isNo(err error) bool {
	return !errors.Is(err, portcullis.ErrUnavailable) && slices.ContainsFunc(
		[]error{portcullis.ErrInvalid, portcullis.ErrExpired, portcullis.ErrRevoked, portcullis.ErrForbidden},
		func(no error) bool { return errors.Is(err, no) })
}

// judge makes a verdict of what the wrapped Verifier returned; asked is when it
// was called.
func (c *Config) judge(id *portcullis.Identity, err error, asked time.Time) *verdict {
	switch {
	case err == nil && id == nil:
		return unavailable(errors.New("the Verifier gave no Identity"))
	case err == nil:
		return c.yes(id, asked)
	case isNo(err):
		return &verdict{err: err, keep: c.NegativeAge}
	case errors.Is(err, portcullis.ErrUnavailable):
		return &verdict{err: err}
	}
	return unavailable(err)
}

// yes says until when a yes may be used (I3).
func (c *Config) yes(id *portcullis.Identity, asked time.Time) *verdict {
	own := *id
	own.Claims = bytes.Clone(id.Claims) // what they were read into has room for more
	// The token system was asked before the call, not when its answer came: a
	// revocation in between must find the token issued before it.
	if own.VerifiedAt.IsZero() || own.VerifiedAt.After(asked) {
		own.VerifiedAt = asked
	}
	limit := time.Duration(math.MaxInt64)
	for _, end := range []time.Time{own.ExpiresAt, own.ReuseUntil} {
		if !end.IsZero() {
			limit = min(limit, end.Round(0).Sub(asked)) // by the wall clock, like all times of others
		}
	}
	d := &verdict{id: &own}
	left := c.MaxAge - asked.Sub(own.VerifiedAt) // by a Verifier that remembers, too
	if fresh := min(left, limit); fresh > 0 {
		d.keep = min(left+c.StaleFor, limit)
		d.fresh, d.stale = asked.Add(fresh), asked.Add(d.keep)
	}
	return d
}

// reached reports whether t has come, by the wall clock or by the one that
// cannot be set (R6): a clock that is put back must not make a token live
// longer, and an expiry is what the wall clock says.
func reached(now, t time.Time) bool {
	return !now.Before(t) || !now.Round(0).Before(t)
}
