package limit_test

import (
	"net/netip"
	"runtime"
	"testing"
	"testing/synctest"
	"time"

	"github.com/portcullis-auth/portcullis"
	"github.com/portcullis-auth/portcullis/gateway/limit"
)

// address returns the i-th of many.
func address(i int) netip.Addr {
	return netip.AddrFrom4([4]byte{10, byte(i >> 16), byte(i >> 8), byte(i)})
}

// Whoever has used nothing lately is forgotten, and whoever has is not.
func TestL1Forgets(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := limit.NewFor(limit.Limits{RequestsPerAddress: per(1, 2)}, nil, 1000)
		for i := range 50_000 { // a hundred each second
			if i%100 == 0 {
				time.Sleep(time.Second)
			}
			exceeded(t, l.Request(address(i)), "")
			if i%100 == 0 { // half a full bucket all the time
				exceeded(t, l.Request(home), "")
			}
		}
		if got := l.State().Addresses; got > 500 {
			t.Errorf("%d addresses are remembered, want about 200", got)
		}
		exceeded(t, l.Request(home), "")
		exceeded(t, l.Request(home), "requests_per_address")
	})
}

// While more come than are remembered, strangers share one allowance, but not
// their slots; those who are known keep theirs, and afterwards all is well again.
func TestL1ManyAddresses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const room = 1000
		l := limit.NewFor(limit.Limits{RequestsPerAddress: per(1, 2), SocketsPerAddress: 2}, nil, room)
		for i := range room {
			exceeded(t, l.Request(address(i)), "")
		}
		for i := range 2 {
			exceeded(t, l.Request(address(room+2+i)), "")
		}
		for range 2 {
			open(t, l, nil, address(room))
			open(t, l, nil, address(room+1))
		}
		for i := range 10_000 {
			exceeded(t, l.Request(address(room+i)), "requests_per_address")
		}
		for i := range 2 {
			_, err := l.Socket(nil, address(room+i))
			exceeded(t, err, "sockets_per_address")
		}
		exceeded(t, l.Request(address(5)), "")
		exceeded(t, l.Request(address(5)), "requests_per_address")
		exceeded(t, l.Request(address(6)), "")
		if got := l.State(); got.Addresses != room+2 || got.Held != 4 {
			t.Errorf("%+v, want %d addresses and 4 slots held", got, room+2)
		}
		time.Sleep(time.Minute)
		for i := range room / 2 {
			exceeded(t, l.Request(address(2_000_000+i)), "")
			exceeded(t, l.Request(address(2_000_000+i)), "")
		}
	})
}

// Accounts with sockets are kept apart: however many there are, there is room for
// others, and none of them is forgotten.
func TestL2ManySockets(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const room, many = 100, 5000
		l := limit.NewFor(limit.Limits{SocketsPerAddress: 2, SocketsPerUser: 1, MessagesPerUser: per(1, 1)}, nil, room)
		var all []*limit.Socket
		user := func(i int) *portcullis.Identity { return &portcullis.Identity{Subject: address(i).String()} }
		for i := range many {
			s := open(t, l, user(i), address(i))
			exceeded(t, s.Message(), "")
			all = append(all, s)
		}
		time.Sleep(time.Hour)
		for i := range many {
			_, err := l.Socket(user(i), address(i))
			exceeded(t, err, "sockets_per_user")
		}
		if got, want := l.State(), (limit.State{Open: many, Users: many, Addresses: many, Held: 2 * many}); got != want {
			t.Errorf("%+v, want %+v", got, want)
		}
		exceeded(t, all[0].Message(), "")
		for _, s := range all {
			s.Close()
			s.Close()
		}
		if got, want := l.State(), (limit.State{Users: 1}); got != want { // the one whose bucket isn't full
			t.Errorf("%+v at the end, want %+v", got, want)
		}
		open(t, l, user(0), home)
		time.Sleep(time.Hour)
	})
}

// TestL1Memory: what a flood of addresses and users can make us remember.
func TestL1Memory(t *testing.T) {
	const room = 10_000
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	l := limit.NewFor(limit.Limits{RequestsPerAddress: per(0.001, 2), RequestsPerUser: per(0.001, 2)}, nil, room)
	for i := range 2 * room {
		_ = l.Request(address(i))
		_ = l.UserRequest(&portcullis.Identity{Issuer: alice.Issuer, Subject: address(i).String()})
	}
	runtime.GC()
	runtime.ReadMemStats(&after)
	size := int64(after.HeapAlloc) - int64(before.HeapAlloc)
	t.Logf("%d bytes for each of %+v", size/(2*room), l.State())
	if s := l.State(); s.Users != room || s.Addresses != room {
		t.Errorf("%+v, want %d of each", s, room)
	}
	if size > 2*room*320 {
		t.Errorf("%d bytes, want at most 320 for each", size)
	}
	runtime.KeepAlive(l)
}
