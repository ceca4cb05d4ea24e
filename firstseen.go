package portcullis

import (
	"crypto/sha256"
	"time"
)

// maxFirstSeen bounds how many tokens without "iat" are remembered. One takes
// about 100 bytes.
const maxFirstSeen = 100_000

// A tokenKey stands for a token without being it.
type tokenKey [sha256.Size]byte

// firstSeen remembers when tokens that don't say when they were issued were
// first seen: that counts as their time. The zero value is empty. The
// registry's mutex guards it.
type firstSeen struct {
	tokens map[tokenKey]sighting
	pruned time.Time // when what had expired was last forgotten
}

type sighting struct{ first, until time.Time }

// first returns when the token counts as issued: now, unless it has been seen
// before. until is when it expires and may be forgotten. When there is no room
// it answers with the beginning of time: the token may have been seen before,
// and any revocation that could concern it does.
func (f *firstSeen) first(key tokenKey, now, until time.Time) time.Time {
	if s, ok := f.tokens[key]; ok {
		if until.After(s.until) {
			f.tokens[key] = sighting{s.first, until}
		}
		return s.first
	}
	if len(f.tokens) >= maxFirstSeen && now.Sub(f.pruned) >= time.Second {
		f.pruned = now
		for k, s := range f.tokens {
			if !now.Before(s.until) {
				delete(f.tokens, k)
			}
		}
	}
	if len(f.tokens) >= maxFirstSeen {
		return time.Time{}
	}
	if f.tokens == nil {
		f.tokens = make(map[tokenKey]sighting)
	}
	f.tokens[key] = sighting{now, until}
	return now
}
