package relay_test

import (
	"net"
	"sync"
	"testing"
	"time"

	"github.com/portcullis-auth/portcullis/gateway/relay"
)

// everyClock runs f for both engines, and over TLS, each one by a clock that
// the test moves on.
func everyClock(t *testing.T, o relay.Options, f func(t *testing.T, l timed)) {
	t.Run("loop", func(t *testing.T) {
		engine := relay.NewClocked()
		defer engine.Close()
		l := newLineFor(t, &engine.Engine, o, func() (net.Conn, *end) {
			ours, peer := tcp(t, false)
			for _, nc := range []net.Conn{ours, peer.Conn} { // so that whoever writes gets stuck, and stays so
				_ = nc.(*net.TCPConn).SetReadBuffer(64 << 10)
				_ = nc.(*net.TCPConn).SetWriteBuffer(64 << 10)
			}
			return ours, peer
		})
		f(t, timed{l, engine.Advance, func(from *end, frame []byte) func() int { return flood(t, engine, from, frame) }})
	})
	everyPipe(t, o, f)
}

// flood sends frames, as many as are taken, until it is stopped. It returns when
// somebody has a queue, and the system has taken nothing for a while: a queue may
// be there for a moment, too.
func flood(t *testing.T, e *relay.Clocked, from *end, frame []byte) (stop func() int) {
	t.Helper()
	var mu sync.Mutex
	n, stopped := 0, false
	go func() {
		for err := error(nil); err == nil; _, err = from.Write(frame) {
			mu.Lock()
			over := stopped
			if !over {
				n++
			}
			mu.Unlock()
			if over {
				return
			}
		}
	}()
	taken := func() int {
		mu.Lock()
		defer mu.Unlock()
		return n
	}
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	begin, last := time.Now(), 0
	for still := 0; still < 20; <-tick.C {
		if still++; !e.Queued() || taken() != last {
			still, last = 0, taken()
		}
		if time.Since(begin) > patience {
			t.Fatal("nobody gets stuck")
		}
	}
	return func() int {
		mu.Lock()
		defer mu.Unlock()
		stopped = true
		return n
	}
}
