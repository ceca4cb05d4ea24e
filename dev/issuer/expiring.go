package issuer

import "time"

// maxEntries bounds each table. It leaves room for load tests with 100,000 tokens.
const maxEntries = 1 << 17

// expiring is a map whose entries end at a time of their own, and whose size is bounded.
// Expired entries are swept on insert, each time the map has doubled since the last sweep,
// so an insert costs amortized constant time. The zero value is empty and ready. It is not
// safe for concurrent use.
type expiring[V any] struct {
	entries map[string]expiringEntry[V]
	sweepAt int
}

type expiringEntry[V any] struct {
	value V
	until time.Time
}

// put stores v until the given time. It reports false, and stores nothing, if the table is
// full of entries that are still alive.
func (e *expiring[V]) put(now time.Time, key string, v V, until time.Time) bool {
	if _, ok := e.entries[key]; !ok {
		if len(e.entries) >= e.sweepAt || len(e.entries) >= maxEntries {
			e.sweep(now)
		}
		if len(e.entries) >= maxEntries {
			return false
		}
	}
	if e.entries == nil {
		e.entries = make(map[string]expiringEntry[V])
	}
	e.entries[key] = expiringEntry[V]{v, until}
	return true
}

func (e *expiring[V]) sweep(now time.Time) {
	for k, entry := range e.entries {
		if !now.Before(entry.until) {
			delete(e.entries, k)
		}
	}
	e.sweepAt = max(256, 2*len(e.entries))
}

func (e *expiring[V]) get(now time.Time, key string) (v V, ok bool) {
	entry, ok := e.entries[key]
	if !ok || !now.Before(entry.until) {
		return v, false
	}
	return entry.value, true
}

// take removes what it returns: of two callers only one gets it.
func (e *expiring[V]) take(now time.Time, key string) (V, bool) {
	v, ok := e.get(now, key)
	delete(e.entries, key)
	return v, ok
}

func (e *expiring[V]) remove(key string) { delete(e.entries, key) }
