package faultproxy_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/portcullis-auth/portcullis/internal/faultproxy"
)

// harmless are scripts that lose nothing.
var harmless = rapid.Custom(func(t *rapid.T) faultproxy.Script {
	s := faultproxy.Script{
		Pieces: rapid.SampledFrom([]int{0, 2000, 20_000}).Draw(t, "pieces"),
		Pause:  rapid.SampledFrom([]time.Duration{0, 0, 200 * time.Microsecond}).Draw(t, "pause"),
		Rate:   rapid.SampledFrom([]int{0, 0, 10 << 20}).Draw(t, "rate"),
	}
	if rapid.Bool().Draw(t, "hold") {
		s.Fault, s.At = faultproxy.Hold, rapid.Int64Range(0, 200_000).Draw(t, "at")
	}
	return s
})

// writeAll writes p in pieces of random sizes, and then the end.
func writeAll(nc *net.TCPConn, p []byte, seed uint64) error {
	r := rand.New(rand.NewPCG(seed, 0))
	for len(p) > 0 {
		n := min(len(p), 1+r.IntN(10_000))
		if _, err := nc.Write(p[:n]); err != nil {
			return err
		}
		p = p[n:]
	}
	return nc.CloseWrite()
}

// However it is chopped, delayed and held, and whatever changes on the way:
// every byte arrives, in order, and is counted; and then the end does.
func TestNothingIsLost(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		size := rapid.IntRange(0, 200_000)
		seed := rapid.Uint64().Draw(rt, "seed")
		texts := [2][]byte{make([]byte, size.Draw(rt, "up")), make([]byte, size.Draw(rt, "down"))}
		random := rand.NewChaCha8([32]byte{byte(seed)})
		for _, text := range texts {
			_, _ = random.Read(text)
		}
		up, down := harmless.Draw(rt, "up"), harmless.Draw(rt, "down")
		later := [2][]faultproxy.Script{
			rapid.SliceOfN(harmless, 0, 5).Draw(rt, "up later"), rapid.SliceOfN(harmless, 0, 5).Draw(rt, "down later"),
		}
		buffer := rapid.SampledFrom([]int{0, buffer}).Draw(rt, "buffer")

		var errs error
		t.Run("", func(t *testing.T) {
			s := newStage(t, &faultproxy.Proxy{
				Seed: seed, Buffer: buffer,
				Plan: func(int) (faultproxy.Script, faultproxy.Script) { return up, down },
			})
			client, target, c := s.connect()
			ends := [2]*net.TCPConn{client, target}
			failed := make(chan error, 6)
			for i, f := range []*faultproxy.Flow{&c.Up, &c.Down} {
				go func() { failed <- writeAll(ends[i], texts[i], seed) }()
				go func() {
					got, err := io.ReadAll(ends[1-i])
					if err == nil && !bytes.Equal(got, texts[i]) {
						err = fmt.Errorf("direction %d: other bytes: got %d, want %d", i, len(got), len(texts[i]))
					}
					failed <- err
				}()
				go func() {
					for j, script := range later[i] {
						ctx, cancel := context.WithTimeout(t.Context(), 2*time.Millisecond) // it may be held
						_ = f.Await(ctx, int64(j*len(texts[i])/10))
						cancel()
						f.Set(script)
					}
					f.Set(faultproxy.Script{})
					failed <- nil
				}()
			}
			for range 6 {
				errs = errors.Join(errs, <-failed)
			}
			wantDone(t, c)
			for i, f := range []*faultproxy.Flow{&c.Up, &c.Down} {
				if passed, dropped := f.Count(); passed != int64(len(texts[i])) || dropped > 0 {
					errs = errors.Join(errs, fmt.Errorf("direction %d: %d passed, %d dropped, want %d, 0", i, passed, dropped, len(texts[i])))
				}
			}
		})
		if errs != nil {
			rt.Fatal(errs)
		}
	})
}
