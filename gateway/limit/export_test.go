package limit

// NewFor is New for tests: accounts is how many users, and how many addresses,
// are remembered that have no sockets.
func NewFor(limits Limits, within *Limiter, accounts int) *Limiter {
	return newLimiter(limits, within, accounts)
}

// State is what a Limiter remembers.
type State struct {
	Open             int // sockets
	Users, Addresses int // accounts, those with sockets too
	Held             int // slots of accounts
}

// State returns what l itself remembers.
func (l *Limiter) State() State {
	if l == nil {
		return State{}
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	s := State{Open: l.open, Users: len(l.users.byKey), Addresses: len(l.addresses.byKey)}
	s.Held = held(&l.users) + held(&l.addresses)
	return s
}

func held[K comparable](t *table[K]) int {
	n, idle := 0, 0
	for _, a := range t.byKey {
		n += a.open
		if a.open > 0 {
			continue
		}
		idle++
		if t.idle[a.index] != a {
			panic("an account is not where it says")
		}
	}
	if idle != len(t.idle) {
		panic("an account is idle that isn't there")
	}
	return n
}

// A Bucket is one bucket and its quota.
type Bucket struct {
	bucket bucket
	quota  quota
}

// NewBucket returns a full one.
func NewBucket(r Rate) *Bucket { return &Bucket{quota: newQuota("test", r)} }

// Take takes n at a time, in nanoseconds since the beginning.
func (b *Bucket) Take(n int, now int64) error { return b.bucket.take(&b.quota, n, now) }
