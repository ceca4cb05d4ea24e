package listen

import (
	"net/netip"
	"sync"
)

// slots counts connections.
type slots struct {
	total, each int // how many there may be, and of one address; 0: no bound

	mu    sync.Mutex // guards what follows
	taken int
	of    map[netip.Addr]int
}

// take reports whether there was a slot, and takes it.
func (s *slots) take() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.total > 0 && s.taken >= s.total {
		return false
	}
	s.taken++
	return true
}

// takeFor is take for one of the address's, besides.
func (s *slots) takeFor(a netip.Addr) bool {
	if s.each <= 0 {
		return true
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.of[a] >= s.each {
		return false
	}
	if s.of == nil {
		s.of = make(map[netip.Addr]int)
	}
	s.of[a]++
	return true
}

// release frees what take took, and what takeFor took for a; the zero Addr: it
// took nothing.
func (s *slots) release(a netip.Addr) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.taken--
	if n := s.of[a]; n > 1 {
		s.of[a] = n - 1
	} else {
		delete(s.of, a)
	}
}

// subscriber returns the address that all of a subscriber's count for: those of
// a /64 are one (RFC 6177, section 2).
func subscriber(a netip.Addr) netip.Addr {
	if a.Is6() {
		p, _ := a.Prefix(64) // an IPv6 address has one
		return p.Addr()
	}
	return a
}
