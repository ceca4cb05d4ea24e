package limit_test

import (
	"testing"

	"golang.org/x/time/rate"

	"github.com/portcullis-auth/portcullis/gateway/limit"
)

func BenchmarkSocket(b *testing.B) {
	all := limit.Limits{Messages: per(1e9, 1e9), MessagesPerUser: per(1e9, 1e9), Bytes: per(1e9, 1e9), BytesPerUser: per(1e9, 1e9)}
	for _, bench := range []struct {
		name string
		l    *limit.Limiter
	}{
		{"off", nil},
		{"slots only", limit.New(limit.Limits{Sockets: 1}, nil)},
		{"socket", limit.New(limit.Limits{Messages: per(1e9, 1e9), Bytes: per(1e9, 1e9)}, nil)},
		{"socket and user", limit.New(all, nil)},
		{"route and gateway", limit.New(all, limit.New(all, nil))},
	} {
		s, err := bench.l.Socket(alice, home)
		if err != nil {
			b.Fatal(err)
		}
		b.Run("Message/"+bench.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if s.Message() != nil {
					b.Fatal("refused")
				}
			}
		})
		b.Run("Bytes/"+bench.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if s.Bytes(1) != nil {
					b.Fatal("refused")
				}
			}
		})
	}
	b.Run("Open", func(b *testing.B) {
		l := limit.New(limit.Limits{Sockets: 10, SocketsPerUser: 10, SocketsPerAddress: 10, MessagesPerUser: per(1, 1)}, nil)
		b.ReportAllocs()
		for b.Loop() {
			s, err := l.Socket(alice, home)
			if err != nil {
				b.Fatal(err)
			}
			s.Close()
		}
	})
	b.Run("rate.Limiter", func(b *testing.B) { // what Message would be made of otherwise
		l := rate.NewLimiter(1e9, 1e9)
		for b.Loop() {
			l.Allow()
		}
	})
}

func BenchmarkRequest(b *testing.B) {
	limits := limit.Limits{Requests: per(1e9, 1e9), RequestsPerAddress: per(1e9, 1e9), RequestsPerUser: per(1e9, 1e9)}
	l := limit.New(limits, nil)
	b.Run("one address", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			_ = l.Request(home)
		}
	})
	b.Run("one user", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			_ = l.UserRequest(alice)
		}
	})
	b.Run("everybody", func(b *testing.B) {
		b.RunParallel(func(p *testing.PB) {
			for p.Next() {
				_ = l.Request(home)
			}
		})
	})
	b.Run("flood of addresses", func(b *testing.B) {
		l := limit.New(limit.Limits{RequestsPerAddress: per(0.001, 1)}, nil)
		b.ReportAllocs()
		for i := 0; b.Loop(); i++ {
			_ = l.Request(address(i))
		}
	})
}
