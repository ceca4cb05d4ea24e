package ssf

import (
	"time"

	"github.com/portcullis-auth/portcullis"
)

const (
	MaxUsed = maxUsed
	MaxHeld = maxHeld
)

// A Memory is a memory, for tests.
type Memory struct{ memory }

func (m *Memory) Has(id string) bool    { return m.has(id) }
func (m *Memory) Add(id string)         { m.add(id) }
func (m *Memory) Len() (ids, order int) { return len(m.ids), len(m.order) }

// A Held is a held of e-mail addresses, for tests.
type Held struct{ held }

func (h *Held) Add(email string, before, now time.Time, hold time.Duration) bool {
	return h.add(&target{Revocation: portcullis.Revocation{IssuedBefore: before}, claims: []claim{{"email", email}}}, now, hold)
}
func (h *Held) Finds(id *portcullis.Identity, now time.Time) bool { return h.find(id, now) != nil }
func (h *Held) Len() (keys, order int)                            { return len(h.by), len(h.order) }

// Forget has a Receiver forget the SETs that it has carried out.
func (r *Receiver) Forget() { r.used = memory{} }

// Waiting returns how many calls of Verify wait.
func (r *Receiver) Waiting() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.waiting)
}
