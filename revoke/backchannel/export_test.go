package backchannel

import "time"

const MaxUsed = maxUsed

// A Memory is a memory, for tests.
type Memory struct{ memory }

func (m *Memory) Has(id string, now time.Time) bool   { return m.has(id, now) }
func (m *Memory) Add(id string, now, until time.Time) { m.add(id, now, until) }
func (m *Memory) Len() (ids, order int)               { return len(m.byID), m.order.Len() }
