package limit_test

import (
	"cmp"
	"errors"
	"fmt"
	"math"
	"net/netip"
	"testing"
	"testing/synctest"
	"time"

	"github.com/portcullis-auth/portcullis"
	"github.com/portcullis-auth/portcullis/gateway/limit"
)

var (
	home  = netip.MustParseAddr("192.0.2.1")
	away  = netip.MustParseAddr("192.0.2.2")
	alice = &portcullis.Identity{Issuer: "https://id.example.com", Subject: "alice"}
	bob   = &portcullis.Identity{Issuer: "https://id.example.com", Subject: "bob"}
)

// per returns a Rate.
func per(second float64, burst int) limit.Rate { return limit.Rate{PerSecond: second, Burst: burst} }

// exceeded fails unless err says that the limit called what is exceeded; "" is
// none.
func exceeded(t *testing.T, err error, what string) {
	t.Helper()
	var e *limit.Exceeded
	switch {
	case what == "" && err != nil:
		t.Errorf("refused: %v", err)
	case what != "" && (!errors.As(err, &e) || e.What != what):
		t.Errorf("got %v, want %s exceeded", err, what)
	}
}

func open(t *testing.T, l *limit.Limiter, id *portcullis.Identity, addr netip.Addr) *limit.Socket {
	t.Helper()
	s, err := l.Socket(id, addr)
	exceeded(t, err, "")
	return s
}

// Every limit by itself: so many pass, the next one doesn't, and others do if the
// limit is a user's or an address's.
func TestL2EachLimit(t *testing.T) {
	const n = 3
	rate := per(1, n)
	handshake := func(l *limit.Limiter, _ *portcullis.Identity, a netip.Addr) error { return l.Handshake(a) }
	request := func(l *limit.Limiter, _ *portcullis.Identity, a netip.Addr) error { return l.Request(a) }
	userRequest := func(l *limit.Limiter, id *portcullis.Identity, _ netip.Addr) error { return l.UserRequest(id) }
	socket := func(l *limit.Limiter, id *portcullis.Identity, a netip.Addr) error {
		_, err := l.Socket(id, a)
		return err
	}
	// meter returns what uses the same socket again and again.
	meter := func(use func(*limit.Socket) error) func(*limit.Limiter, *portcullis.Identity, netip.Addr) error {
		var s *limit.Socket
		return func(l *limit.Limiter, id *portcullis.Identity, a netip.Addr) (err error) {
			if s == nil {
				if s, err = l.Socket(id, a); err != nil {
					return err
				}
			}
			return use(s)
		}
	}
	message := (*limit.Socket).Message
	octet := func(s *limit.Socket) error { return s.Bytes(1) }
	// fresh uses a new socket each time.
	fresh := func(use func(*limit.Socket) error) func(*limit.Limiter, *portcullis.Identity, netip.Addr) error {
		return func(l *limit.Limiter, id *portcullis.Identity, a netip.Addr) error {
			s, err := l.Socket(id, a)
			if err != nil {
				return err
			}
			return use(s)
		}
	}
	everybody, anotherUser, anotherAddress := "everybody", "another user", "another address"
	for _, tt := range []struct {
		what   string
		limits limit.Limits
		use    func(*limit.Limiter, *portcullis.Identity, netip.Addr) error
		whom   string // who still may
	}{
		{"sockets", limit.Limits{Sockets: n}, socket, everybody},
		{"sockets_per_user", limit.Limits{SocketsPerUser: n}, socket, anotherUser},
		{"sockets_per_address", limit.Limits{SocketsPerAddress: n}, socket, anotherAddress},
		{"handshakes", limit.Limits{Handshakes: rate}, handshake, everybody},
		{"handshakes_per_address", limit.Limits{HandshakesPerAddress: rate}, handshake, anotherAddress},
		{"handshakes_per_user", limit.Limits{HandshakesPerUser: rate}, socket, anotherUser},
		{"requests", limit.Limits{Requests: rate}, request, everybody},
		{"requests_per_address", limit.Limits{RequestsPerAddress: rate}, request, anotherAddress},
		{"requests_per_user", limit.Limits{RequestsPerUser: rate}, userRequest, anotherUser},
		{"messages", limit.Limits{Messages: rate}, meter(message), everybody},
		{"messages_per_user", limit.Limits{MessagesPerUser: rate}, fresh(message), anotherUser},
		{"bytes", limit.Limits{Bytes: rate}, meter(octet), everybody},
		{"bytes_per_user", limit.Limits{BytesPerUser: rate}, fresh(octet), anotherUser},
	} {
		t.Run(tt.what, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				l := limit.New(tt.limits, nil)
				for range n {
					exceeded(t, tt.use(l, alice, home), "")
				}
				exceeded(t, tt.use(l, alice, home), tt.what)
				wantUser, wantAddress := tt.what, tt.what
				switch tt.whom {
				case anotherUser:
					wantUser = ""
				case anotherAddress:
					wantAddress = ""
				}
				if tt.whom == everybody || tt.whom == anotherAddress {
					exceeded(t, tt.use(l, bob, home), wantUser)
				}
				if tt.whom == everybody || tt.whom == anotherUser {
					exceeded(t, tt.use(l, alice, away), wantAddress)
				}
				if tt.whom != everybody {
					exceeded(t, tt.use(l, bob, away), "")
				}
			})
		})
	}
}

// Whoever isn't limited costs nothing, and is nil all the way.
func TestNothingToLimit(t *testing.T) {
	l := limit.New(limit.Limits{}, nil)
	if l != nil {
		t.Fatal("a Limiter without limits is not nil")
	}
	s := open(t, l, alice, home)
	if allocs := testing.AllocsPerRun(100, func() {
		s, _ := l.Socket(alice, home)
		s.Close()
		s.Close()
	}); allocs != 0 {
		t.Errorf("%v allocations, want none", allocs)
	}
	for _, err := range []error{l.Handshake(home), l.Request(home), l.UserRequest(alice), s.Message(), s.Bytes(1 << 40)} {
		exceeded(t, err, "")
	}
	outer := limit.New(limit.Limits{Sockets: 1}, nil)
	if limit.New(limit.Limits{}, outer) != outer {
		t.Error("no limits within others are not those others")
	}
}

// The same user is the same issuer and subject by the same token system's word,
// whatever else the token says; without a subject it is the same client.
func TestL2User(t *testing.T) {
	l := limit.New(limit.Limits{SocketsPerUser: 1, RequestsPerUser: per(1, 1)}, nil)
	open(t, l, alice, home)
	for _, tt := range []struct {
		name, what, request string
		id                  *portcullis.Identity
	}{
		{"another token", "sockets_per_user", "", &portcullis.Identity{Issuer: alice.Issuer, Subject: alice.Subject, TokenID: "2"}},
		{"another issuer", "", "", &portcullis.Identity{Issuer: "https://other.example.com", Subject: "alice"}},
		{"issuer and subject run together", "", "", &portcullis.Identity{Issuer: alice.Issuer + "al", Subject: "ice"}},
		{"no subject", "", "", &portcullis.Identity{Issuer: alice.Issuer}},
		{"another token system", "", "", &portcullis.Identity{Issuer: alice.Issuer, Subject: alice.Subject, VerifiedBy: "partner"}},
		{"another client of the same user", "sockets_per_user", "requests_per_user", &portcullis.Identity{Issuer: alice.Issuer, Subject: alice.Subject, ClientID: "app"}},
		{"no subject, a client", "", "", &portcullis.Identity{Issuer: alice.Issuer, ClientID: "robot"}},
		{"no subject, another client", "", "", &portcullis.Identity{Issuer: alice.Issuer, ClientID: "robot2"}},
		{"no subject, the first client", "sockets_per_user", "requests_per_user", &portcullis.Identity{Issuer: alice.Issuer, ClientID: "robot"}},
		{"no subject again", "sockets_per_user", "requests_per_user", &portcullis.Identity{Issuer: alice.Issuer}},
		{"nothing said", "", "", &portcullis.Identity{}},
		{"nothing said again", "sockets_per_user", "requests_per_user", &portcullis.Identity{}},
		{"nobody", "", "", nil},
		{"nobody again", "", "", nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, err := l.Socket(tt.id, home)
			exceeded(t, err, tt.what)
			exceeded(t, l.UserRequest(tt.id), tt.request)
		})
	}
}

// Addresses of one owner are one.
func TestL2Address(t *testing.T) {
	for _, tt := range []struct {
		first, second string
		same          bool
	}{
		{"192.0.2.1", "192.0.2.1", true},
		{"192.0.2.1", "192.0.2.2", false},
		{"192.0.2.1", "::ffff:192.0.2.1", true},
		{"::ffff:192.0.2.1", "::ffff:192.0.2.2", false},
		{"::ffff:192.0.2.1", "::1", false},
		{"2001:db8::1", "2001:db8::ffff:ffff:ffff:ffff", true},
		{"2001:db8::1", "2001:db8:0:1::1", false},
		{"fe80::1%eth0", "fe80::1%eth1", true},
		{"fe80::1%eth0", "fe80::1", true},
		{"0.0.0.0", "::", false},
	} {
		t.Run(tt.first+" and "+tt.second, func(t *testing.T) {
			want := ""
			if tt.same {
				want = "handshakes_per_address"
			}
			l := limit.New(limit.Limits{HandshakesPerAddress: per(0.001, 1), SocketsPerAddress: 1}, nil)
			exceeded(t, l.Handshake(netip.MustParseAddr(tt.first)), "")
			exceeded(t, l.Handshake(netip.MustParseAddr(tt.second)), want)
			open(t, l, nil, netip.MustParseAddr(tt.first))
			if tt.same {
				want = "sockets_per_address"
			}
			_, err := l.Socket(nil, netip.MustParseAddr(tt.second))
			exceeded(t, err, want)
		})
	}
	// Who has no address shares it with all who have none.
	l := limit.New(limit.Limits{RequestsPerAddress: per(1, 1)}, nil)
	exceeded(t, l.Request(netip.Addr{}), "")
	exceeded(t, l.Request(netip.Addr{}), "requests_per_address")
}

// A refused client that waits as long as it is told gets in, and not before.
func TestRetryAfter(t *testing.T) {
	for _, rate := range []limit.Rate{per(1, 1), per(50, 0), per(3, 3), per(7, 7), per(0.1, 2), per(1e6, 10)} {
		t.Run(fmt.Sprint(rate), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				l := limit.New(limit.Limits{Requests: rate}, nil)
				var e *limit.Exceeded
				for range 5 {
					for e = nil; !errors.As(l.Request(home), &e); {
					}
					if want := time.Duration(float64(time.Second) / rate.PerSecond); e.RetryAfter <= 0 || e.RetryAfter > want {
						t.Fatalf("RetryAfter %v, want at most %v", e.RetryAfter, want)
					}
					time.Sleep(e.RetryAfter - 1)
					exceeded(t, l.Request(home), "requests")
					time.Sleep(time.Nanosecond)
					exceeded(t, l.Request(home), "")
				}
			})
		})
	}
}

// A burst is what came in a second, or what it is said to be, and comes back.
func TestBurst(t *testing.T) {
	for _, tt := range []struct {
		rate limit.Rate
		want int
	}{
		{per(5, 0), 5},
		{per(5, -1), 5},
		{per(2.5, 0), 3},
		{per(0.2, 0), 1},
		{per(5, 20), 20},
		{per(5, 1), 1},
		{per(1e9, 100), 100},
		{per(1e-300, 1), 1},
		{per(-1, 5), 0},
		{per(math.NaN(), 5), 0},
		{per(math.Inf(-1), 5), 0},
	} {
		b := limit.NewBucket(tt.rate)
		for round := range 3 {
			now := int64(round) * int64(time.Hour)
			got := 0
			for b.Take(1, now) == nil && got < 1000 {
				got++
			}
			want := tt.want
			if tt.rate.PerSecond < 1e-9 && round > 0 {
				want = 0 // it takes longer to come back
			}
			if got != want {
				t.Errorf("%v: %d at once in round %d, want %d", tt.rate, got, round, want)
			}
		}
	}
	b := limit.NewBucket(per(math.Inf(1), 0))
	if err := cmp.Or(b.Take(math.MaxInt, 0), b.Take(math.MaxInt, 1)); err != nil {
		t.Error("an infinite rate is a bound")
	}
}

// What is larger than a burst passes from a full bucket only, and is paid for.
func TestL2LargerThanBurst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := limit.New(limit.Limits{Bytes: per(1000, 100)}, nil)
		s := open(t, l, alice, home)
		exceeded(t, s.Bytes(0), "")
		exceeded(t, s.Bytes(-5), "")
		exceeded(t, s.Bytes(10_000), "") // ten seconds' worth
		exceeded(t, s.Bytes(0), "")
		time.Sleep(9900*time.Millisecond + time.Microsecond)
		exceeded(t, s.Bytes(2), "bytes")
		time.Sleep(100 * time.Millisecond)
		exceeded(t, s.Bytes(99), "")
		exceeded(t, s.Bytes(10_000), "bytes")
		time.Sleep(time.Second)
		exceeded(t, s.Bytes(math.MaxInt), "")
		time.Sleep(24 * time.Hour)
		exceeded(t, s.Bytes(1), "bytes")
	})
}

// A route's limits are asked before the gateway's, an address's before all; what
// is refused takes nothing from the others.
func TestL2NarrowestFirst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		node := limit.New(limit.Limits{Sockets: 2, Handshakes: per(1, 10), Requests: per(1, 10), MessagesPerUser: per(1, 10)}, nil)
		one := limit.New(limit.Limits{Sockets: 1, HandshakesPerAddress: per(1, 4), RequestsPerAddress: per(1, 4), Messages: per(1, 4)}, node)
		time.Sleep(time.Hour) // as after a reload
		two := limit.New(limit.Limits{SocketsPerUser: 5, RequestsPerUser: per(1, 4)}, node)
		for range 100 {
			_, _ = one.Handshake(home), one.Request(home)
		}
		for range 6 { // ten less the four that got through
			exceeded(t, two.Handshake(away), "")
			exceeded(t, two.Request(away), "")
		}
		exceeded(t, two.Handshake(away), "handshakes")
		exceeded(t, two.Request(away), "requests")
		exceeded(t, two.UserRequest(alice), "")

		s := open(t, one, alice, home)
		_, err := one.Socket(alice, home)
		exceeded(t, err, "sockets")
		if got := node.State().Open; got != 1 {
			t.Errorf("the gateway counts %d sockets after the route refused one, want 1", got)
		}
		other := open(t, two, alice, home)
		_, err = two.Socket(bob, home)
		exceeded(t, err, "sockets")
		if got := two.State(); got.Open != 1 || got.Held != 1 {
			t.Errorf("the route counts %+v after the gateway refused a socket, want 1", got)
		}

		// A user's messages count over both routes.
		for range 100 {
			_ = s.Message()
		}
		for range 6 {
			exceeded(t, other.Message(), "")
		}
		exceeded(t, other.Message(), "messages_per_user")
		s.Close()
		other.Close()
		for _, l := range []*limit.Limiter{node, one, two} {
			if got := l.State(); got.Open != 0 || got.Held != 0 {
				t.Errorf("%+v at the end, want nothing", got)
			}
		}
	})
}

// A clock that is set changes nothing, and time does not run back.
func TestR6Monotonic(t *testing.T) {
	b := limit.NewBucket(per(1, 1))
	if b.Take(1, int64(time.Hour)) != nil || b.Take(1, 0) == nil {
		t.Error("a reading of an hour ago refills the bucket")
	}
}

// What is counted by one limit is not counted by another.
func TestL2Apart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := limit.New(limit.Limits{
			Handshakes: per(1, 2), HandshakesPerUser: per(1, 2), HandshakesPerAddress: per(1, 2),
			Requests: per(1, 2), RequestsPerUser: per(1, 2), RequestsPerAddress: per(1, 2),
			Messages: per(1, 2), MessagesPerUser: per(1, 2), Bytes: per(1, 2), BytesPerUser: per(1, 2),
		}, nil)
		var s *limit.Socket
		for range 2 {
			exceeded(t, l.Handshake(home), "")
			s = open(t, l, alice, home)
			exceeded(t, l.Request(home), "")
			exceeded(t, l.UserRequest(alice), "")
		}
		for range 2 {
			exceeded(t, s.Message(), "")
			exceeded(t, s.Bytes(1), "")
		}
	})
}

// L5: limits that change hold from then on, also for the sockets that are open, and
// what is in use stays counted.
func TestL5Set(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		gateway := limit.New(limit.Limits{Sockets: 9}, nil)
		l := limit.New(limit.Limits{SocketsPerUser: 2}, gateway)
		first := open(t, l, alice, home)
		second := open(t, l, alice, home)
		_, err := l.Socket(alice, home)
		exceeded(t, err, "sockets_per_user")
		exceeded(t, first.Message(), "")

		l.Set(limit.Limits{SocketsPerUser: 3, SocketsPerAddress: 1, Messages: per(1, 1)})
		open(t, l, alice, home) // the first of its address while there is a limit of them
		_, err = l.Socket(alice, address(1))
		exceeded(t, err, "sockets_per_user")
		_, err = l.Socket(nil, home)
		exceeded(t, err, "sockets_per_address")
		exceeded(t, first.Message(), "")
		exceeded(t, first.Message(), "messages")

		l.Set(limit.Limits{SocketsPerUser: 1})
		exceeded(t, first.Message(), "")
		second.Close()
		first.Close()
		_, err = l.Socket(alice, home)
		exceeded(t, err, "sockets_per_user")

		l.Set(limit.Limits{})
		gateway.Set(limit.Limits{Sockets: 2, BytesPerUser: per(1, 1)})
		last := open(t, l, alice, home)
		_, err = l.Socket(alice, home)
		exceeded(t, err, "sockets")
		exceeded(t, last.Bytes(1), "")
		exceeded(t, last.Bytes(1), "bytes_per_user")
	})
}
