package cached

import (
	"crypto/sha256"
	"math"
	"time"
	"unsafe"

	"github.com/maypok86/otter/v2"
)

// A key stands for a token, of which the verdict depends alone: one Verifier,
// with one Config, fills the memory.
type key [sha256.Size]byte

// key hashes the token under the secret, so that a dump of the memory tells
// nothing, not even to who can guess tokens, and nobody can compute which ones
// collide. Not HMAC: nothing is signed with it, and it costs six allocations.
func (v *Verifier) key(token string) key {
	var room [2 << 10]byte // on the stack; few tokens need more
	return sha256.Sum256(append(append(room[:0], v.secret[:]...), token...))
}

// newMemory returns a cache that forgets verdicts when their time has come, or
// before if they weigh more than that many bytes. It goes by the clock that cannot
// be set, which is enough for a no.
func newMemory(maxBytes int64) *otter.Cache[key, *verdict] {
	return otter.Must(&otter.Options[key, *verdict]{
		MaximumWeight:    uint64(maxBytes),
		Weigher:          weigh,
		ExpiryCalculator: otter.ExpiryWritingFunc(func(e otter.Entry[key, *verdict]) time.Duration { return e.Value.keep }),
	})
}

// overhead is what the cache itself needs for an entry, in bytes, as measured.
const overhead = 160

// weigh returns how much memory an entry takes, in bytes.
func weigh(_ key, d *verdict) uint32 {
	n := overhead + int(unsafe.Sizeof(*d))
	if d.err != nil {
		n += 64 + len(d.err.Error())
	}
	if id := d.id; id != nil {
		n += int(unsafe.Sizeof(*id)) + cap(id.Claims) + cap(id.Scopes)*int(unsafe.Sizeof("")) +
			len(id.Issuer) + len(id.Subject) + len(id.SessionID) + len(id.TokenID) + len(id.ClientID) + len(id.VerifiedBy)
		for _, scope := range id.Scopes {
			n += len(scope)
		}
	}
	n += n / 8 // allocations are rounded up
	return uint32(min(n, math.MaxUint32))
}

// recall returns the verdict that may be used without asking, or nil.
func (v *Verifier) recall(k key, now time.Time) *verdict {
	if good, ok := v.good.GetIfPresent(k); ok && !reached(now, good.fresh) {
		return good
	}
	if v.bad != nil {
		if bad, ok := v.bad.GetIfPresent(k); ok {
			return bad
		}
	}
	return nil
}

// remember puts away what may be used again. A definite answer always replaces
// the last one; that nobody can tell is never remembered (I3).
func (v *Verifier) remember(k key, d *verdict) {
	switch {
	case d.unknown():
	case d.id != nil && d.keep > 0:
		v.good.Set(k, d)
	default:
		v.good.Invalidate(k)
		if d.err != nil && v.bad != nil {
			v.bad.Set(k, d)
		}
	}
}
