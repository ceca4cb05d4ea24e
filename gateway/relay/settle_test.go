package relay_test

import (
	"runtime"
	"testing"
	"testing/synctest"
	"time"

	"github.com/portcullis-auth/portcullis/gateway/relay"
)

// What many handshakes leave behind is given back when they are over, once;
// after a few, and while they go on, it isn't worth it.
func TestSettle(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		collections := func() uint32 {
			synctest.Wait()
			var m runtime.MemStats
			runtime.ReadMemStats(&m)
			return m.NumForcedGC
		}
		var s relay.Settle
		defer s.Close()
		before := collections()
		handshakes := func(n int) {
			for range n {
				s.Opened()
			}
		}
		handshakes(relay.SettleMany - 1)
		time.Sleep(time.Hour)
		for range 100 {
			handshakes(50)
			time.Sleep(relay.SettleAfter - 1)
		}
		if n := collections() - before; n != 0 {
			t.Errorf("%d times while there are handshakes, or few of them", n)
		}
		time.Sleep(time.Hour)
		if n := collections() - before; n != 1 {
			t.Errorf("%d times after them, want once", n)
		}
		handshakes(relay.SettleMany)
		s.Close()
		handshakes(1)
		time.Sleep(time.Hour)
		if n := collections() - before; n != 1 {
			t.Errorf("%d times after Close", n-1)
		}
	})
}
