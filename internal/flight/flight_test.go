package flight_test

import (
	"context"
	"errors"
	"math/rand/v2"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/portcullis-auth/portcullis/internal/flight"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var errNo = errors.New("no")

type group = flight.Group[string, int]

// after returns a function that answers v after d, unless its context is done
// before that.
func after(d time.Duration, v int) func(context.Context) (int, error) {
	return func(ctx context.Context) (int, error) {
		select {
		case <-time.After(d):
			return v, nil
		case <-ctx.Done():
			return 0, ctx.Err()
		}
	}
}

// I4: one call per key in flight, and one starter.
func TestI4OneCall(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var (
			g       group
			calls   atomic.Int64
			started atomic.Int64
			wg      sync.WaitGroup
		)
		for i := range 1000 {
			key := []string{"a", "b"}[i%2]
			wg.Go(func() {
				v, shared, err := g.Do(t.Context(), key, func(ctx context.Context) (int, error) {
					calls.Add(1)
					return after(time.Second, int(key[0]))(ctx)
				})
				if v != int(key[0]) || err != nil {
					t.Errorf("Do(%s) = %v, %v", key, v, err)
				}
				if !shared {
					started.Add(1)
				}
			})
		}
		wg.Wait()
		if calls.Load() != 2 || started.Load() != 2 {
			t.Errorf("%d calls and %d starters for 2 keys", calls.Load(), started.Load())
		}
		if v, shared, err := g.Do(t.Context(), "a", after(time.Second, 7)); v != 7 || shared || err != nil {
			t.Errorf("afterwards: %v, shared %v, %v; want a new call", v, shared, err)
		}
	})
}

func TestErrorsAreShared(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var g group
		fail := func(ctx context.Context) (int, error) {
			_, _ = after(time.Second, 0)(ctx)
			return 5, errNo
		}
		var wg sync.WaitGroup
		for range 3 {
			wg.Go(func() {
				if v, _, err := g.Do(t.Context(), "k", fail); v != 5 || !errors.Is(err, errNo) {
					t.Errorf("Do = %v, %v", v, err)
				}
			})
		}
		wg.Wait()
	})
}

// I4: one caller's cancellation doesn't fail the others, not even that of the
// one who began.
func TestI4CancellationHarmsNobody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var g group
		began := time.Now()
		var wg sync.WaitGroup
		wg.Go(func() {
			ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
			defer cancel()
			_, _, err := g.Do(ctx, "k", after(10*time.Second, 1))
			if took := time.Since(began); !errors.Is(err, context.DeadlineExceeded) || took != 2*time.Second {
				t.Errorf("first: %v after %v", err, took)
			}
		})
		synctest.Wait()
		for range 2 {
			wg.Go(func() {
				v, shared, err := g.Do(t.Context(), "k", after(time.Hour, 2))
				if took := time.Since(began); v != 1 || !shared || err != nil || took != 10*time.Second {
					t.Errorf("other: %v, shared %v, %v after %v", v, shared, err, took)
				}
			})
		}
		time.Sleep(5 * time.Second)
		wg.Go(func() { // comes after the one who began has gone
			if v, shared, err := g.Do(t.Context(), "k", after(time.Hour, 2)); v != 1 || !shared || err != nil {
				t.Errorf("late: %v, shared %v, %v", v, shared, err)
			}
		})
		wg.Wait()
	})
}

// I4: a call that nobody waits for is cancelled, and nobody joins it.
func TestI4AbandonedCall(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var g group
		var abandoned error
		ctx, cancel := context.WithCancelCause(t.Context())
		var wg sync.WaitGroup
		for range 3 {
			wg.Go(func() {
				_, _, err := g.Do(ctx, "k", func(ctx context.Context) (int, error) {
					<-ctx.Done()
					abandoned = ctx.Err()
					time.Sleep(time.Minute) // slow to notice
					return 1, nil
				})
				if !errors.Is(err, context.Canceled) { // not the cause, which may say anything
					t.Errorf("err = %v", err)
				}
			})
		}
		synctest.Wait()
		cancel(errNo)
		wg.Wait() // at once, not when the call has ended
		synctest.Wait()
		if abandoned == nil {
			t.Error("the call goes on for nobody")
		}
		wg.Go(func() {
			if v, shared, err := g.Do(t.Context(), "k", after(2*time.Minute, 2)); v != 2 || shared || err != nil {
				t.Errorf("newcomer: %v, shared %v, %v", v, shared, err)
			}
		})
		time.Sleep(90 * time.Second) // the end of the abandoned call must not make the new one forgotten
		wg.Go(func() {
			if v, shared, err := g.Do(t.Context(), "k", after(0, 3)); v != 2 || !shared || err != nil {
				t.Errorf("second newcomer: %v, shared %v, %v", v, shared, err)
			}
		})
		wg.Wait()
	})
}

func TestTimeout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := group{Timeout: 3 * time.Second}
		began := time.Now()
		_, _, err := g.Do(t.Context(), "k", after(time.Hour, 1))
		if took := time.Since(began); !errors.Is(err, context.DeadlineExceeded) || took != 3*time.Second {
			t.Errorf("err = %v after %v", err, took)
		}
	})
}

func TestContext(t *testing.T) {
	type key struct{}
	ctx, cancel := context.WithTimeout(context.WithValue(t.Context(), key{}, "v"), time.Hour)
	defer cancel()
	var (
		g     group
		inner context.Context
	)
	_, _, _ = g.Do(ctx, "k", func(ctx context.Context) (int, error) {
		inner = ctx
		if ctx.Value(key{}) != "v" {
			t.Error("the values of the caller's context are lost")
		}
		if _, ok := ctx.Deadline(); ok {
			t.Error("the call has the caller's deadline")
		}
		return 0, nil
	})
	<-inner.Done() // or what the context holds would stay for ever

	cancel()
	_, _, err := g.Do(ctx, "k", func(context.Context) (int, error) {
		t.Error("a caller who had gone started a call")
		return 0, nil
	})
	if !errors.Is(err, context.Canceled) {
		t.Errorf("err = %v", err)
	}
}

func TestPanic(t *testing.T) {
	var g group
	for _, tt := range []struct {
		name string
		fn   func()
		want string
	}{
		{"text", func() { panic("S3CR3T") }, "string"},
		{"error", func() { panic(errNo) }, "*errors.errorString"},
		{"runtime", func() { var v any = errNo; _ = v.(int) }, "*runtime.TypeAssertionError"},
		{"Goexit", runtime.Goexit, "panicked"},
	} {
		_, _, err := g.Do(t.Context(), "k", func(context.Context) (int, error) {
			tt.fn()
			return 1, nil
		})
		if !errors.Is(err, flight.ErrPanic) || !strings.Contains(err.Error(), tt.want) || strings.Contains(err.Error(), "S3CR3T") {
			t.Errorf("%s: err = %v, want %q in it", tt.name, err, tt.want)
		}
	}
}

// Callers come and go at random. No two calls for a key run that somebody may
// still wait for, and no answer is older than one that was given out before
// its caller came.
func TestI4Race(t *testing.T) {
	var (
		g      flight.Group[int, int64]
		keys   [4]calls
		wg     sync.WaitGroup
		served atomic.Int64
	)
	for range 16 {
		wg.Go(func() {
			for range 500 {
				key := rand.IntN(len(keys))
				k := &keys[key]
				ctx, cancel := context.WithCancel(context.Background())
				if rand.IntN(2) == 0 {
					go cancel()
				}
				known := k.answered.Load()
				v, _, err := g.Do(ctx, key, func(ctx context.Context) (int64, error) {
					serial := k.begin(ctx, t)
					defer k.end(ctx)
					runtime.Gosched()
					return serial, ctx.Err()
				})
				switch {
				case err == nil && v <= known:
					t.Errorf("key %d: answer %d after answer %d", key, v, known)
				case err == nil:
					served.Add(1)
					for old := k.answered.Load(); old < v && !k.answered.CompareAndSwap(old, v); {
						old = k.answered.Load()
					}
				case ctx.Err() == nil:
					t.Errorf("key %d: %v, though the caller waits", key, err)
				}
				cancel()
			}
		})
	}
	wg.Wait()
	if served.Load() == 0 {
		t.Error("nobody was served")
	}
}

// calls is what is known of one key's calls.
type calls struct {
	answered atomic.Int64 // the latest serial that a caller got

	mu     sync.Mutex
	serial int64
	live   map[context.Context]bool
}

func (c *calls) begin(ctx context.Context, t *testing.T) int64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	for other := range c.live {
		if ctx.Err() == nil && other.Err() == nil { // else one of them is abandoned
			t.Error("two calls in flight for one key")
		}
	}
	if c.live == nil {
		c.live = make(map[context.Context]bool)
	}
	c.live[ctx] = true
	c.serial++
	return c.serial
}

func (c *calls) end(ctx context.Context) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.live, ctx)
}
