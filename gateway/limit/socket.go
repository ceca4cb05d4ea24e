package limit

import (
	"net/netip"

	"github.com/portcullis-auth/portcullis"
)

// A Socket holds the slots of one socket, and meters what its client sends. It
// must be closed. It is safe for concurrent use. A nil Socket is not limited.
type Socket struct {
	limiter *Limiter
	outer   *Socket              // of Limiter.outer
	address *account[netip.Addr] // nil: it doesn't matter
	user    *account[user]       // nil: nobody, or it doesn't matter
	buckets [handshakes]bucket   // messages and bytes
	closed  bool                 // guarded by limiter.mu
}

// Socket takes the slots of a socket whose token is good, and asks whether there
// are any: Sockets, SocketsPerAddress and SocketsPerUser, then
// HandshakesPerUser. A nil id is nobody: a public route's, which no limit of
// users concerns. Its error is an [*Exceeded], and then no slot is taken; the
// Socket is nil if there is nothing to limit, too.
func (l *Limiter) Socket(id *portcullis.Identity, addr netip.Addr) (*Socket, error) {
	if l == nil {
		return nil, nil
	}
	s, err := l.admit(id, neighbours(addr))
	if err != nil {
		return nil, err
	}
	if s.outer, err = l.outer.Socket(id, addr); err != nil {
		s.Close()
		return nil, err
	}
	return s, nil
}

// admit is Socket for this Limiter alone.
func (l *Limiter) admit(id *portcullis.Identity, addr netip.Addr) (*Socket, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	now, r := l.now(), l.rules.Load()
	if full(l.open, r.Sockets) {
		return nil, &Exceeded{What: "sockets"}
	}
	s := &Socket{limiter: l}
	if r.SocketsPerAddress != 0 {
		s.address = l.addresses.account(addr, now)
		if full(s.address.open, r.SocketsPerAddress) {
			return nil, &Exceeded{What: "sockets_per_address"}
		}
	}
	var who user
	if id != nil && r.knowsUsers {
		who = userOf(id)
		s.user = l.users.account(who, now)
		if full(s.user.open, r.SocketsPerUser) {
			return nil, &Exceeded{What: "sockets_per_user"}
		}
		if err := s.user.buckets[handshakes].take(&r.perUser[handshakes], 1, now); err != nil {
			return nil, err
		}
	}
	l.open++
	s.address = l.addresses.hold(s.address, addr)
	s.user = l.users.hold(s.user, who)
	return s, nil
}

func full(open, limit int) bool { return limit != 0 && open >= limit }

// Close frees the slots. It may be called twice.
func (s *Socket) Close() {
	if s == nil {
		return
	}
	s.outer.Close()
	l := s.limiter
	l.mu.Lock()
	defer l.mu.Unlock()
	if s.closed {
		return
	}
	s.closed = true
	now := l.now()
	l.open--
	l.addresses.release(s.address, now)
	l.users.release(s.user, now)
}

// Message says whether the client may send one message more. Its error is an
// [*Exceeded].
func (s *Socket) Message() error { return s.use(messages, 1) }

// Bytes says whether the client may send n bytes more. Its error is an
// [*Exceeded].
func (s *Socket) Bytes(n int) error { return s.use(bytes, n) }

func (s *Socket) use(what kind, n int) error {
	now := int64(-1) // not looked at yet: most sockets have no such limit
	for ; s != nil; s = s.outer {
		r := s.limiter.rules.Load()
		if now < 0 && (r.own[what].bounds() || r.perUser[what].bounds()) {
			now = s.limiter.now()
		}
		if err := s.buckets[what].take(&r.own[what], n, now); err != nil {
			return err
		}
		if s.user == nil {
			continue
		}
		if err := s.user.buckets[what].take(&r.perUser[what], n, now); err != nil {
			return err
		}
	}
	return nil
}
