package userinfo

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/maypok86/otter/v2"

	"github.com/portcullis-auth/portcullis"
)

// A key is everything that an answer depends on. Client and scopes are there if
// the token is sent: they decide what its bearer may know about the user.
type key struct {
	issuer, subject, client, scopes string
}

func (v *Verifier) key(id *portcullis.Identity) key {
	k := key{issuer: id.Issuer, subject: id.Subject}
	if v.sendToken {
		scopes := slices.Sorted(slices.Values(id.Scopes))
		// Quoted, since a scope of a home-made token system may hold anything.
		k.client, k.scopes = id.ClientID, fmt.Sprintf("%q", slices.Compact(scopes))
	}
	return k
}

// A question is what callers share a call for. token is "", unless the answer
// must be about that token.
type question struct {
	key
	token string
}

// newMemory returns a cache that forgets answers when their time has come, or
// before if they weigh more than that many bytes. Its clock is one that cannot
// be set (R6).
func newMemory(maxAge time.Duration, maxBytes int64) *otter.Cache[key, info] {
	return otter.Must(&otter.Options[key, info]{
		MaximumWeight:    uint64(maxBytes),
		Weigher:          weigh,
		ExpiryCalculator: otter.ExpiryWriting[key, info](maxAge),
	})
}

// weigh returns how much memory an entry takes, in bytes.
func weigh(k key, i info) uint32 {
	n := 512 + len(k.issuer) + len(k.subject) + len(k.client) + len(k.scopes)
	for name, value := range i {
		n += 64 + len(name) + cap(value)
	}
	return uint32(min(n, math.MaxUint32))
}

// lookUp returns what is known about the user of a token that is good, or asks.
func (v *Verifier) lookUp(ctx context.Context, token string, id *portcullis.Identity) (info, error) {
	k := v.key(id)
	recall := func(ctx context.Context) (info, bool) {
		if portcullis.IsAfresh(ctx) {
			return info{}, false
		}
		return v.known.GetIfPresent(k)
	}
	if known, ok := recall(ctx); ok {
		return known, nil
	}
	ask := func(ctx context.Context) (info, error) {
		// Perhaps the last call ended after this one's caller had looked.
		if known, ok := recall(ctx); ok {
			return known, nil
		}
		found, err := v.ask(ctx, token, k.subject)
		if err == nil { // I3: errors never
			v.known.Set(k, found)
		}
		return found, err
	}
	found, shared, err := v.calls.Do(ctx, question{key: k}, ask) // I4
	if shared && errors.Is(err, portcullis.ErrInvalid) {
		// That was said of another token, which may have been withdrawn: this
		// one must be asked about too.
		found, _, err = v.calls.Do(ctx, question{k, token}, ask)
	}
	return found, err
}
