package limit

// An account is what one user or one address uses.
type account[K comparable] struct {
	key     K
	open    int // sockets
	index   int // in table.idle, while open is 0
	buckets [kinds]bucket
}

// forgettable reports whether a new account would be the same as this one, which
// has no sockets.
func (a *account[K]) forgettable(now int64) bool {
	for i := range a.buckets {
		if !a.buckets[i].full(now) {
			return false
		}
	}
	return true
}

// A table holds the accounts of one kind. The Limiter's mutex guards it.
type table[K comparable] struct {
	room  int // for idle accounts
	byKey map[K]*account[K]
	idle  []*account[K] // those without sockets
	hand  int           // the next of idle to look at

	// shared is the account of all who come while there is no room for more.
	shared account[K]
}

func newTable[K comparable](room int) table[K] {
	return table[K]{room: room, byKey: make(map[K]*account[K])}
}

// account returns the account of a key.
func (t *table[K]) account(key K, now int64) *account[K] {
	if a, ok := t.byKey[key]; ok {
		return a
	}
	t.forget(now)
	if len(t.idle) >= t.room {
		return &t.shared
	}
	a := &account[K]{key: key}
	t.byKey[key] = a
	t.link(a)
	return a
}

// forget looks at two accounts, and drops those that say nothing any more. Two
// for each new one: so there are never many more than those that say something.
func (t *table[K]) forget(now int64) {
	for range min(2, len(t.idle)) {
		if t.hand >= len(t.idle) {
			t.hand = 0
		}
		if a := t.idle[t.hand]; a.forgettable(now) {
			t.unlink(a)
			delete(t.byKey, a.key)
		} else {
			t.hand++
		}
	}
}

// hold counts a socket. An account that has one is never forgotten.
func (t *table[K]) hold(a *account[K]) {
	if a == nil {
		return
	}
	if a.open++; a.open == 1 && a != &t.shared {
		t.unlink(a)
	}
}

// release counts a socket that is over.
func (t *table[K]) release(a *account[K], now int64) {
	if a == nil {
		return
	}
	switch a.open--; {
	case a.open > 0 || a == &t.shared:
	case a.forgettable(now):
		delete(t.byKey, a.key)
	default:
		t.link(a)
	}
}

func (t *table[K]) link(a *account[K]) {
	a.index = len(t.idle)
	t.idle = append(t.idle, a)
}

// unlink takes a out of idle; the last one takes its place.
func (t *table[K]) unlink(a *account[K]) {
	last := len(t.idle) - 1
	t.idle[a.index] = t.idle[last]
	t.idle[a.index].index = a.index
	t.idle[last] = nil
	t.idle = t.idle[:last]
}
