package portcullis

import (
	"slices"
	"time"
)

// revocations is what has been revoked and may not be forgotten yet. Each one
// is found by the narrowest thing that it names. The zero value is empty. The
// registry's mutex guards it.
type revocations struct {
	by    map[revokedBy][]Revocation
	n     int
	prune int // forget what is over once n has grown to this
}

// revokedBy is the narrowest thing that a Revocation names.
type revokedBy struct {
	what  byte // 't'oken, 's'ession, 'u'ser, 'c'lient, 'i'ssuer
	value string
}

func (r *Revocation) by() revokedBy {
	switch {
	case r.TokenID != "":
		return revokedBy{'t', r.TokenID}
	case r.SessionID != "":
		return revokedBy{'s', r.SessionID}
	case r.Subject != "":
		return revokedBy{'u', r.Subject}
	case r.ClientID != "":
		return revokedBy{'c', r.ClientID}
	default:
		return revokedBy{'i', r.Issuer}
	}
}

// match reports whether anything ends the authorization that id stands for.
func (r *revocations) match(id *Identity, issued int64, now time.Time) bool {
	if r.n == 0 {
		return false
	}
	for _, by := range [...]revokedBy{
		{'t', id.TokenID},
		{'s', id.SessionID},
		{'u', id.Subject},
		{'c', id.ClientID},
		{'i', id.Issuer},
	} {
		for i := range r.by[by] {
			if rev := &r.by[by][i]; now.Before(rev.Until) && rev.matches(id, issued) {
				return true
			}
		}
	}
	return false
}

// add remembers rev until rev.Until.
func (r *revocations) add(rev Revocation, now time.Time) {
	if r.n >= max(r.prune, 1024) {
		r.forget(now)
		r.prune = 2 * r.n
	}
	if r.by == nil {
		r.by = make(map[revokedBy][]Revocation)
	}
	by := rev.by()
	for i := range r.by[by] {
		if merge(&r.by[by][i], rev) {
			return
		}
	}
	r.by[by] = append(r.by[by], rev)
	r.n++
}

// merge makes old say what rev says too, if the two name the same.
func merge(old *Revocation, rev Revocation) bool {
	a, b := *old, rev
	a.IssuedBefore, a.Until, b.IssuedBefore, b.Until = time.Time{}, time.Time{}, time.Time{}, time.Time{}
	if a != b {
		return false
	}
	if old.IssuedBefore.IsZero() || rev.IssuedBefore.IsZero() {
		old.IssuedBefore = time.Time{}
	} else if rev.IssuedBefore.After(old.IssuedBefore) {
		old.IssuedBefore = rev.IssuedBefore
	}
	if rev.Until.After(old.Until) {
		old.Until = rev.Until
	}
	return true
}

// forget drops what is over.
func (r *revocations) forget(now time.Time) {
	r.n = 0
	for by, list := range r.by {
		list = slices.DeleteFunc(list, func(rev Revocation) bool { return !now.Before(rev.Until) })
		if len(list) == 0 {
			delete(r.by, by)
		} else {
			r.by[by] = list
		}
		r.n += len(list)
	}
}
