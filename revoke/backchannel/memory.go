package backchannel

import (
	"container/list"
	"crypto/sha256"
	"sync"
	"time"
)

// maxUsed is how many logout tokens are remembered: about 2 MB.
const maxUsed = 10_000

// A memory remembers the ids of used logout tokens for as long as the tokens
// would pass, up to maxUsed of them. Beyond that it forgets the one used first,
// and so would accept it again, rather than refuse new logouts: a replay ends
// what should have ended already, a refusal lets it live. Only the issuer can
// fill the memory, since only tokens with its signature get here.
type memory struct {
	mu    sync.Mutex
	byID  map[[sha256.Size]byte]*list.Element // hashed: an id may be as long as a token
	order list.List                           // of use, in order of use
}

type use struct {
	id    [sha256.Size]byte
	until time.Time
}

// has reports whether the token was used and would still pass.
func (m *memory) has(id string, now time.Time) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	e := m.byID[sha256.Sum256([]byte(id))]
	return e != nil && !now.After(e.Value.(use).until)
}

// add remembers the token up to and including that time.
func (m *memory) add(id string, now, until time.Time) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.byID == nil {
		m.byID = make(map[[sha256.Size]byte]*list.Element)
	}
	u := use{sha256.Sum256([]byte(id)), until}
	if e := m.byID[u.id]; e != nil {
		m.order.Remove(e)
	}
	m.byID[u.id] = m.order.PushBack(u)
	// Those used first are the first to be over, give or take MaxAge: what one
	// call leaves behind, a later one finds.
	for e := m.order.Front(); e != nil; e = m.order.Front() {
		first := e.Value.(use)
		if m.order.Len() <= maxUsed && !now.After(first.until) {
			return
		}
		m.order.Remove(e)
		delete(m.byID, first.id)
	}
}
