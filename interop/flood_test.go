package interop

import (
	"runtime"
	"testing"
	"time"

	"github.com/portcullis-auth/portcullis"
)

// I2: however much is sent, little is kept: a call allocates no more than 2 MiB
// altogether, freed or not, and so no more than that can be in use at any time.
// (Everything in the process counts. Where a Verifier makes two calls, it makes
// one after the other.)
func TestI2Floods(t *testing.T) {
	bomb()
	for _, target := range targets {
		for name, attack := range floods {
			t.Run(target.name+"/"+name, func(t *testing.T) {
				h := startHostile(t, target, attack)
				v := target.verifier(t, h.url, 20*time.Second)
				token := target.token(h.url)
				runtime.GC()
				var before, after runtime.MemStats
				runtime.ReadMemStats(&before)
				verify(t, v, token, portcullis.ErrUnavailable)
				runtime.ReadMemStats(&after)
				if grown := after.TotalAlloc - before.TotalAlloc; grown > uint64(target.calls)*2<<20 {
					t.Errorf("%d KiB allocated", grown>>10)
				}
			})
		}
	}
}
