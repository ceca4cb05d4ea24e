package ssf

import (
	"crypto/sha256"
	"sync"
	"time"

	"github.com/portcullis-auth/portcullis"
	"github.com/portcullis-auth/portcullis/internal/jws"
)

// maxUsed is how many SETs are remembered: about 1 MB.
const maxUsed = 10_000

// A memory remembers the ids of the last maxUsed SETs that were carried out.
// It saves work, no more: carried out again, a SET ends nothing that should live
// (see the package). Only the transmitter can fill it, since only SETs with its
// signature get here.
type memory struct {
	mu    sync.Mutex
	ids   map[[sha256.Size]byte]struct{} // hashed: an id may be as long as a SET
	order [][sha256.Size]byte            // a ring of the ids
	next  int                            // where in it the oldest one is, once it is full
}

func (m *memory) has(id string) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	_, ok := m.ids[sha256.Sum256([]byte(id))]
	return ok
}

func (m *memory) add(id string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	sum := sha256.Sum256([]byte(id))
	if _, ok := m.ids[sum]; ok {
		return
	}
	if m.ids == nil {
		m.ids = make(map[[sha256.Size]byte]struct{})
	}
	m.ids[sum] = struct{}{}
	if len(m.order) < maxUsed {
		m.order = append(m.order, sum)
		return
	}
	delete(m.ids, m.order[m.next])
	m.order[m.next] = sum
	m.next = (m.next + 1) % maxUsed
}

// maxHeld is how many targets are remembered: about 20 MB. Beyond that SETs are
// not acknowledged: to forget one would let somebody back in.
const maxHeld = 50_000

// A held remembers targets that are matched by claims. Each is found by its
// first claim.
type held struct {
	mu    sync.Mutex
	by    map[claim][]*target
	order []*target // by Until, the first to be over first
}

// add remembers t for so long, and reports whether there was room.
func (h *held) add(t *target, now time.Time, hold time.Duration) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	for len(h.order) > 0 && !now.Before(h.order[0].Until) {
		// Those with one key were added in this order too.
		key := h.order[0].claims[0].key()
		if h.by[key] = h.by[key][1:]; len(h.by[key]) == 0 {
			delete(h.by, key)
		}
		h.order[0], h.order = nil, h.order[1:]
	}
	if len(h.order) >= maxHeld {
		return false
	}
	if h.by == nil {
		h.by = make(map[claim][]*target)
	}
	t.Until = now.Add(hold)
	key := t.claims[0].key()
	h.by[key] = append(h.by[key], t)
	h.order = append(h.order, t)
	return true
}

// find returns a target that ends id; nil: there is none.
func (h *held) find(id *portcullis.Identity, now time.Time) *target {
	h.mu.Lock()
	defer h.mu.Unlock()
	if len(h.order) == 0 {
		return nil
	}
	for name, raw := range claimsOf(id) {
		value, ok := jws.Text(raw)
		if !ok {
			continue
		}
		for _, t := range h.by[claim{name, value}.key()] {
			if now.Before(t.Until) && t.ends(id) {
				return t
			}
		}
	}
	return nil
}
