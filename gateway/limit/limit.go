// Package limit bounds what clients may use: sockets at once, and handshakes,
// requests, messages and bytes a second; of all clients, of a user, of an
// address (L2).
//
//	node := limit.New(limit.Limits{Sockets: 20_000}, nil)
//	route := limit.New(limit.Limits{SocketsPerUser: 5, Messages: limit.Rate{PerSecond: 50}}, node)
//
// A handshake asks [Limiter.Handshake] before its token is looked at, and
// [Limiter.Socket] after the verdict; an HTTP request asks [Limiter.Request] and
// then [Limiter.UserRequest].
//
// # Who is who
//
// The same user is the same issuer and subject by the word of the same Verifier;
// where a token has no subject, the same client, and where it has neither, all who
// come so. IPv6 addresses count by their
// /64, of which everybody has as many addresses as they like; an IPv4-mapped
// one is the IPv4 address.
//
// # Memory
//
// A user or address that has used nothing lately is forgotten. What is
// remembered is at most 100,000 of each, and those that have sockets open. While
// as many have used something lately, all who come then share what one may use in
// a time: many addresses get their owner no more than that. Sockets are counted
// for each all the same.
package limit

import (
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"github.com/portcullis-auth/portcullis"
)

// Limits is what may be used. Zero fields are no bound; a number that is neither
// zero nor positive lets nothing pass.
type Limits struct {
	// Sockets that are open at once.
	Sockets, SocketsPerUser, SocketsPerAddress int

	// Handshakes, also those that are refused later. A user's are those with a
	// good token.
	Handshakes, HandshakesPerUser, HandshakesPerAddress Rate

	// Requests are those over HTTP that are no handshakes.
	Requests, RequestsPerUser, RequestsPerAddress Rate

	// Messages that the client of a socket sends; those of all sockets of a user.
	Messages, MessagesPerUser Rate

	// Bytes that the client of a socket sends; those of all sockets of a user.
	Bytes, BytesPerUser Rate
}

// A Limiter holds everybody to Limits. It is safe for concurrent use. A nil
// Limiter limits nothing.
//
// What one limit has refused takes nothing from the limits that would have been
// asked next, but keeps what it took from those asked before. The narrowest are
// asked first: an address that floods a route uses up neither the route's rate,
// nor the gateway's, nor any user's.
type Limiter struct {
	outer *Limiter
	start time.Time // its monotonic reading is what buckets count from
	rules atomic.Pointer[rules]
	all   [kinds]bucket

	mu        sync.Mutex // guards what follows
	open      int        // sockets
	users     table[user]
	addresses table[netip.Addr]
}

// rules are Limits as a Limiter reckons with them.
type rules struct {
	Limits

	own        quotas // messages and bytes: of a socket; the others: of all
	perUser    quotas
	perAddress quotas
	knowsUsers bool // whether a socket needs its user's account
}

// maxAccounts bounds how many users, and how many addresses, are remembered that
// have no sockets.
const maxAccounts = 100_000

// New returns a Limiter that holds everybody to limits, and then to those of
// within, if that isn't nil: those of a route, say, within those of the gateway.
// If limits is zero, that is within.
func New(limits Limits, within *Limiter) *Limiter { return newLimiter(limits, within, maxAccounts) }

func newLimiter(limits Limits, within *Limiter, accounts int) *Limiter {
	if limits == (Limits{}) {
		return within
	}
	l := &Limiter{
		outer:     within,
		start:     time.Now(),
		users:     newTable[user](accounts),
		addresses: newTable[netip.Addr](accounts),
	}
	if within != nil {
		l.start = within.start // one reading of the clock serves both
	}
	l.Set(limits)
	return l
}

// Set has l hold everybody to other limits from now on. What is in use stays in
// use, and nobody loses a socket; but the sockets of users, and those of
// addresses, that were opened while there was no limit of them aren't counted.
// l must not be nil.
func (l *Limiter) Set(limits Limits) {
	r := &rules{
		Limits: limits,
		own: quotas{
			messages:   newQuota("messages", limits.Messages),
			bytes:      newQuota("bytes", limits.Bytes),
			handshakes: newQuota("handshakes", limits.Handshakes),
			requests:   newQuota("requests", limits.Requests),
		},
		perUser: quotas{
			messages:   newQuota("messages_per_user", limits.MessagesPerUser),
			bytes:      newQuota("bytes_per_user", limits.BytesPerUser),
			handshakes: newQuota("handshakes_per_user", limits.HandshakesPerUser),
			requests:   newQuota("requests_per_user", limits.RequestsPerUser),
		},
		perAddress: quotas{
			handshakes: newQuota("handshakes_per_address", limits.HandshakesPerAddress),
			requests:   newQuota("requests_per_address", limits.RequestsPerAddress),
		},
	}
	r.knowsUsers = limits.SocketsPerUser != 0 || r.perUser[messages].bounds() || r.perUser[bytes].bounds() ||
		r.perUser[handshakes].bounds()
	l.rules.Store(r)
}

// Handshake says whether a handshake that comes from addr may go on. It is asked
// before the token is looked at: HandshakesPerAddress, then Handshakes. Its
// error is an [*Exceeded].
func (l *Limiter) Handshake(addr netip.Addr) error { return l.arrives(handshakes, addr) }

// Request says whether an HTTP request that comes from addr may go on. It is
// asked before the token is looked at: RequestsPerAddress, then Requests. Its
// error is an [*Exceeded].
func (l *Limiter) Request(addr netip.Addr) error { return l.arrives(requests, addr) }

func (l *Limiter) arrives(what kind, addr netip.Addr) error {
	for ; l != nil; l = l.outer {
		now, r := l.now(), l.rules.Load()
		if err := takeFrom(l, &l.addresses, neighbours(addr), what, &r.perAddress[what], now); err != nil {
			return err
		}
		if err := l.all[what].take(&r.own[what], 1, now); err != nil {
			return err
		}
	}
	return nil
}

// UserRequest says whether an HTTP request may go on whose token is good:
// RequestsPerUser. A nil id is nobody, and not limited: a public route's. Its
// error is an [*Exceeded].
func (l *Limiter) UserRequest(id *portcullis.Identity) error {
	for ; l != nil && id != nil; l = l.outer {
		if err := takeFrom(l, &l.users, userOf(id), requests, &l.rules.Load().perUser[requests], l.now()); err != nil {
			return err
		}
	}
	return nil
}

// takeFrom takes one from the account of a key. It does so with the mutex held,
// so that no account is forgotten in between.
func takeFrom[K comparable](l *Limiter, t *table[K], key K, what kind, q *quota, now int64) error {
	if !q.bounds() {
		return nil
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	return t.account(key, now).buckets[what].take(q, 1, now)
}

// now returns the nanoseconds since the Limiter's start. A clock that is set
// doesn't change them.
func (l *Limiter) now() int64 { return int64(time.Since(l.start)) }

// A user is who an Identity speaks for. client is "" where there is a subject.
type user struct{ verifier, issuer, subject, client string }

func userOf(id *portcullis.Identity) user {
	u := user{id.VerifiedBy, id.Issuer, id.Subject, ""}
	if u.subject == "" {
		u.client = id.ClientID
	}
	return u
}

// neighbours returns what stands for addr and for all addresses that whoever has
// it is taken to have.
func neighbours(addr netip.Addr) netip.Addr {
	addr = addr.Unmap()
	if addr.Is6() {
		p, _ := addr.Prefix(64) // can't fail; it drops the zone
		return p.Addr()
	}
	return addr
}
