package limit_test

import (
	"sync"
	"sync/atomic"
	"testing"

	"github.com/portcullis-auth/portcullis/gateway/limit"
)

// A bucket that many take from gives exactly what is in it.
func TestL2ConcurrentBucket(t *testing.T) {
	const burst = 300_000
	b := limit.NewBucket(per(1, burst))
	var passed atomic.Int64
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for b.Take(1, 0) == nil {
				passed.Add(1)
			}
		})
	}
	wg.Wait()
	if passed.Load() != burst {
		t.Errorf("%d passed, want %d", passed.Load(), burst)
	}
}

// TestL2Concurrent: exactly so many pass as may, and every slot comes back.
func TestL2Concurrent(t *testing.T) {
	const sockets, sent = 10, 1000
	l := limit.New(limit.Limits{SocketsPerUser: sockets, SocketsPerAddress: 2 * sockets, MessagesPerUser: per(0.001, sent)}, nil)
	var live, most, passed, got atomic.Int64
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for range 2000 {
				s, err := l.Socket(alice, home)
				if err != nil {
					continue
				}
				got.Add(1)
				for now := live.Add(1); ; {
					if old := most.Load(); now <= old || most.CompareAndSwap(old, now) {
						break
					}
				}
				if s.Message() == nil {
					passed.Add(1)
				}
				live.Add(-1)
				var both sync.WaitGroup
				both.Go(s.Close)
				s.Close()
				both.Wait()
			}
		})
	}
	wg.Wait()
	if most.Load() > sockets || passed.Load() != min(sent, got.Load()) {
		t.Errorf("%d sockets at once and %d messages, want at most %d and %d", most.Load(), passed.Load(), sockets, min(sent, got.Load()))
	}
	if s := l.State(); s.Open != 0 || s.Held != 0 {
		t.Errorf("%+v at the end, want no sockets", s)
	}
}
