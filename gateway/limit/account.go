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

	// shared is the account of all who come while there is no room for more. It
	// has no sockets: whoever opens one gets an account.
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
	a := t.add(key)
	t.link(a)
	return a
}

// add makes the account of a key that has none. What the shared one has used
// stays used, for the key may have been among those who shared it.
func (t *table[K]) add(key K) *account[K] {
	a := &account[K]{key: key}
	a.owe(&t.shared)
	t.byKey[key] = a
	return a
}

// owe has a used at least what b has.
func (a *account[K]) owe(b *account[K]) {
	for i := range a.buckets {
		a.buckets[i].owe(&b.buckets[i])
	}
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

// hold counts a socket on a, the account of key, and returns where it is counted.
// An account that has one is never forgotten.
func (t *table[K]) hold(a *account[K], key K) *account[K] {
	switch {
	case a == nil:
		return nil
	case a == &t.shared:
		a = t.add(key)
	case a.open == 0:
		t.unlink(a)
	}
	a.open++
	return a
}

// release counts a socket that is over.
func (t *table[K]) release(a *account[K], now int64) {
	if a == nil {
		return
	}
	if a.open--; a.open > 0 {
		return
	}
	if !a.forgettable(now) {
		if len(t.idle) < t.room {
			t.link(a)
			return
		}
		t.shared.owe(a)
	}
	delete(t.byKey, a.key)
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
