package listen_test

import (
	"fmt"
	"io"
	"log/slog"
	"net"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/portcullis-auth/portcullis/gateway/listen"
)

// What is over a bound is closed without a word; a slot that is freed is
// another's.
func TestL2Connections(t *testing.T) {
	tests := []struct {
		name   string
		bounds listen.Options
	}{
		{"in all", listen.Options{Connections: 2}},
		{"of an address", listen.Options{PerAddress: 2}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			log := newLogbook()
			tt.bounds.Log = log.log()
			l := open(t, tt.bounds)
			conns := accepted(t, l)
			dial(t, l, "")
			dial(t, l, "")
			one, two := next(t, conns), next(t, conns)
			for range 5 {
				if !isCut(dial(t, l, "")) {
					t.Error("one too many isn't cut")
				}
			}
			log.await(t, 1, "too many")
			if tt.bounds.PerAddress > 0 {
				dial(t, l, "127.0.0.2") // who is another address
				_ = next(t, conns).Close()
			}
			for range 3 {
				_ = one.Close() // more often than needed
			}
			dial(t, l, "")
			one = next(t, conns)
			if !isCut(dial(t, l, "")) {
				t.Error("a slot was freed twice")
			}
			_, _ = one.Close(), two.Close()
			for begin := time.Now(); ; runtime.Gosched() { // who is cut sees it before the slot is free
				taken, addresses := l.Slots()
				if taken == 0 && addresses == 0 {
					break
				}
				if time.Since(begin) > patience {
					t.Fatalf("%d slots of %d addresses are still taken", taken, addresses)
				}
			}
		})
	}
}

// Behind a load balancer it is the stated address that counts.
func TestL2StatedAddress(t *testing.T) {
	l := open(t, listen.Options{ProxyFrom: loopback, PerAddress: 1})
	serve(t, l)
	header := func(ip string) string { return "PROXY TCP6 " + ip + " ::1 1 2\r\n" }
	one := dial(t, l, "")
	if got := ask(t, one, header("2001:db8::1")); !strings.HasPrefix(got, "200") {
		t.Fatalf("got %q", got)
	}
	other := dial(t, l, "")
	if got := ask(t, other, header("2001:db8:0:1::1")); !strings.HasPrefix(got, "200") {
		t.Errorf("another /64 got %q", got)
	}
	if got := ask(t, dial(t, l, ""), header("2001:db8::ffff:1")); strings.HasPrefix(got, "200") || strings.HasPrefix(got, "400") {
		t.Errorf("another of the same /64 got %q", got)
	}
	_ = one.Close()
	await(t, "the slot is freed", func() bool { _, n := l.Slots(); return n == 1 })
	if got := ask(t, dial(t, l, ""), header("2001:db8::ffff:1")); !strings.HasPrefix(got, "200") {
		t.Errorf("after that got %q", got)
	}
}

// Slots are freed however connections end: before the header, in it, in the
// handshake, after a request.
func TestL2SlotsAreFreed(t *testing.T) {
	for _, way := range []struct {
		name string
		o    listen.Options
	}{
		{"clear", listen.Options{}},
		{"proxied", listen.Options{ProxyFrom: loopback}},
		{"TLS", listen.Options{Certificates: []listen.Certificate{newIdentity(t, tomorrow, "a.example.com").in(t, t.TempDir())}}},
	} {
		t.Run(way.name, func(t *testing.T) {
			way.o.Connections, way.o.PerAddress = 1000, 1000
			l := open(t, way.o)
			serve(t, l)
			for _, sent := range []string{"", "PROXY", "PROXY UNKNOWN\r\n", "PROXY UNKNOWN\r\nGET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n", "\x16\x03\x01", "nonsense that is longer than any of them"} {
				nc := dial(t, l, "")
				if _, err := io.WriteString(nc, sent); err != nil {
					t.Fatal(err)
				}
				_ = nc.Close()
			}
			await(t, "all slots are free", func() bool { taken, of := l.Slots(); return taken == 0 && of == 0 && l.Shaking() == 0 })
		})
	}
}

// A connection that is closed while its header is read takes no slot afterwards.
func TestL2CloseInTheHeader(t *testing.T) {
	l := open(t, listen.Options{ProxyFrom: loopback, PerAddress: 1})
	conns := accepted(t, l)
	dial(t, l, "")
	c := next(t, conns)
	_ = c.Close()
	if listen.Claim(c) {
		t.Error("took a slot after the end")
	}
	if taken, addresses := l.Slots(); taken != 0 || addresses != 0 {
		t.Errorf("%d slots of %d addresses are still taken", taken, addresses)
	}
}

// A hijacked connection keeps its slot until it is closed itself.
func TestL2TCPKeepsTheSlot(t *testing.T) {
	l := open(t, listen.Options{Connections: 1})
	conns := accepted(t, l)
	dial(t, l, "")
	c := next(t, conns)
	_ = c.(interface{ TCP() *net.TCPConn }).TCP().Close()
	if taken, _ := l.Slots(); taken != 1 {
		t.Errorf("%d slots taken, want 1", taken)
	}
	_ = c.Close()
	if taken, _ := l.Slots(); taken != 0 {
		t.Errorf("%d slots taken, want none", taken)
	}
}

func TestL2Subscriber(t *testing.T) {
	tests := []struct{ address, want string }{
		{"192.0.2.1", "192.0.2.1"},
		{"::ffff:192.0.2.1", "192.0.2.1"},
		{"2001:db8:1:2:3:4:5:6", "2001:db8:1:2::"},
		{"::1", "::"},
	}
	for _, tt := range tests {
		if got := listen.Subscriber(&net.TCPAddr{IP: net.ParseIP(tt.address), Zone: "eth0"}); got != tt.want {
			t.Errorf("%s counts for %s, want %s", tt.address, got, tt.want)
		}
	}
}

// What clients can bring about is logged once a second, with how often it was not.
func TestLogIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newLogbook()
		log := slog.New(slog.NewTextHandler(b, nil))
		var r listen.Rarely
		for i := range 250 {
			r.Log(log, fmt.Sprint("line ", i))
			time.Sleep(10 * time.Millisecond)
		}
		if n := b.count("\n"); n != 3 {
			t.Errorf("%d lines in 2.5 s, want 3:\n%s", n, b)
		}
		if n := b.count("unlogged=99"); n != 2 {
			t.Errorf("the lines are:\n%s", b)
		}
	})
}
