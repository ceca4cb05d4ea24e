package cached_test

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/portcullis-auth/portcullis"
	"github.com/portcullis-auth/portcullis/verify/cached"
)

// I4: the circuit opens after so many failures in a row, lets one call pass
// after the cool-down, and does what that one says.
func TestI4Circuit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sys := &system{}
		v := open(t, sys, cached.Config{})
		want := 0
		n := 0
		// verify asks about a token nobody has seen, and demands that the token
		// system is asked, or not.
		verify := func(what string, wantCall bool, wantErr error) {
			t.Helper()
			n++
			if wantCall {
				want++
			}
			check(t, v, fmt.Sprint("token", n), wantErr)
			if got := sys.asked(); got != want {
				t.Fatalf("%s: %d calls, want %d", what, got, want)
			}
		}
		verify("good", true, nil) // token1
		sys.set(down)
		for range 4 {
			verify("failing", true, portcullis.ErrUnavailable)
		}
		sys.set(no) // is an answer like any other
		verify("one answer", true, portcullis.ErrInvalid)
		sys.set(down)
		for range 5 {
			verify("failing again", true, portcullis.ErrUnavailable)
		}
		sys.set(yes)
		verify("open", false, portcullis.ErrUnavailable)
		check(t, v, "token1", nil) // what is known is not refused
		time.Sleep(time.Second - 1)
		verify("still open", false, portcullis.ErrUnavailable)
		sys.set(down)
		time.Sleep(time.Nanosecond)
		verify("probe fails", true, portcullis.ErrUnavailable)
		sys.set(yes)
		verify("open again", false, portcullis.ErrUnavailable)
		time.Sleep(time.Second)
		verify("probe", true, nil)
		if v.Counters().CircuitOpen {
			t.Error("open after an answer")
		}
		sys.set(down)
		for range 5 { // counted from the beginning
			verify("closed", true, portcullis.ErrUnavailable)
		}
		verify("open a third time", false, portcullis.ErrUnavailable)
		sys.set(no)
		time.Sleep(time.Second)
		verify("probe, no", true, portcullis.ErrInvalid)
		verify("closed by a no", true, portcullis.ErrInvalid)
	})
}

func TestI4CircuitNeverOpens(t *testing.T) {
	sys := &system{}
	sys.set(down)
	v := open(t, sys, cached.Config{Failures: -1})
	for range 100 {
		check(t, v, "token", portcullis.ErrUnavailable)
	}
	checkCalls(t, sys, 100)
}

// openCircuit returns a Verifier whose circuit has just opened.
func openCircuit(t *testing.T, sys *system, c cached.Config) *cached.Verifier {
	t.Helper()
	c.Failures = 1
	v := open(t, sys, c)
	sys.set(down)
	check(t, v, "opens", portcullis.ErrUnavailable)
	if !v.Counters().CircuitOpen {
		t.Fatal("the circuit is closed")
	}
	return v
}

// I4: of many who come after the cool-down one is let through.
func TestI4OneProbe(t *testing.T) {
	for _, good := range []bool{true, false} {
		t.Run(fmt.Sprint("good ", good), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				sys := &system{}
				v := openCircuit(t, sys, cached.Config{})
				sys.set(slow(map[bool]func(context.Context, string) (*portcullis.Identity, error){true: yes, false: down}[good]))
				time.Sleep(time.Second)
				var wg sync.WaitGroup
				for i := range 100 {
					wg.Go(func() { _, _ = v.Verify(t.Context(), fmt.Sprint(i)) })
				}
				wg.Wait()
				checkCalls(t, sys, 2)
				if open := v.Counters().CircuitOpen; open == good {
					t.Errorf("open = %t", open)
				}
			})
		})
	}
}

// I4: those who waited for their turn when the circuit opened don't get it.
func TestI4OpensBeforeTheQueue(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sys := &system{}
		sys.set(slow(down))
		v := open(t, sys, cached.Config{MaxCalls: 1, Failures: 2, Cooldown: time.Minute})
		began := time.Now()
		var wg sync.WaitGroup
		for i := range 5 {
			wg.Go(func() { check(t, v, fmt.Sprint(i), portcullis.ErrUnavailable) })
		}
		wg.Wait()
		if d := time.Since(began); d != 2*time.Second {
			t.Errorf("took %v, want 2s", d)
		}
		checkCalls(t, sys, 2)
		if n := v.Counters().Refused; n != 3 {
			t.Errorf("%d refused, want 3", n)
		}
	})
}

// I4: who is refused doesn't wait for a slot first.
func TestI4RefusedAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sys := &system{}
		v := openCircuit(t, sys, cached.Config{MaxCalls: 1})
		sys.set(slow(down))
		time.Sleep(time.Second)
		var wg sync.WaitGroup
		wg.Go(func() { check(t, v, "probe", portcullis.ErrUnavailable) })
		synctest.Wait()
		began := time.Now()
		check(t, v, "refused", portcullis.ErrUnavailable)
		if d := time.Since(began); d != 0 {
			t.Errorf("refused after %v", d)
		}
		wg.Wait()
	})
}

// I4: a probe that everybody has left is no answer. The next one may be made at once.
func TestI4ProbeAbandoned(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sys := &system{}
		v := openCircuit(t, sys, cached.Config{})
		sys.set(hang)
		time.Sleep(time.Second)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		_, err := v.Verify(ctx, "impatient")
		checkError(t, err, context.DeadlineExceeded)
		synctest.Wait()
		if !v.Counters().CircuitOpen {
			t.Error("closed by a call without an answer")
		}
		sys.set(yes)
		check(t, v, "next", nil)
	})
}

// I4: a call that was made before the circuit opened may close it with its
// answer, but that it failed, or was left, says nothing about the probe.
func TestI4Stragglers(t *testing.T) {
	for _, tt := range []struct {
		name   string
		answer func(context.Context, string) (*portcullis.Identity, error)
		open   bool
	}{
		{"answer", yes, false},
		{"failure", down, true},
		{"left", hang, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				sys := &system{}
				v := open(t, sys, cached.Config{Failures: 1, Timeout: time.Minute})
				after := func(d time.Duration, answer func(context.Context, string) (*portcullis.Identity, error)) {
					sys.set(func(ctx context.Context, token string) (*portcullis.Identity, error) {
						time.Sleep(d)
						return answer(ctx, token)
					})
				}
				ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
				defer cancel()
				var wg sync.WaitGroup
				after(1500*time.Millisecond, tt.answer)
				wg.Go(func() { _, _ = v.Verify(ctx, "straggler") })
				synctest.Wait()
				sys.set(down)
				check(t, v, "opens", portcullis.ErrUnavailable)
				time.Sleep(time.Second)
				after(20*time.Second, down)
				wg.Go(func() { _, _ = v.Verify(t.Context(), "probe") })
				time.Sleep(10 * time.Second) // the straggler is over, and a cool-down more
				if open := v.Counters().CircuitOpen; open != tt.open {
					t.Errorf("open = %t, want %t", open, tt.open)
				}
				sys.set(yes)
				calls := sys.asked()
				_, _ = v.Verify(t.Context(), "during the probe")
				if asked := sys.asked() > calls; asked == tt.open {
					t.Errorf("asked = %t during the probe", asked)
				}
				wg.Wait()
			})
		})
	}
}

// Stale: what was good is good while nobody can tell, however it is that nobody
// can tell.
func TestI3Stale(t *testing.T) {
	for _, tt := range []struct {
		name   string
		answer func(context.Context, string) (*portcullis.Identity, error)
	}{
		{"down", down},
		{"hanging", hang},
		{"panic", func(context.Context, string) (*portcullis.Identity, error) { panic("x") }},
		{"nothing", func(context.Context, string) (*portcullis.Identity, error) { return nil, nil }},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				sys := &system{}
				v := open(t, sys, cached.Config{StaleFor: time.Hour, Failures: 2})
				asked := time.Now()
				check(t, v, "token", nil)
				time.Sleep(time.Minute)
				sys.set(tt.answer)
				for range 4 { // two of them by an open circuit
					id, err := v.Verify(t.Context(), "token")
					if err != nil {
						t.Fatal(err)
					}
					if !id.VerifiedAt.Equal(asked) {
						t.Errorf("VerifiedAt = %v, want when it was good", id.VerifiedAt)
					}
				}
				check(t, v, "unknown", portcullis.ErrUnavailable)
				sys.set(yes)
				time.Sleep(time.Minute)
				began := time.Now()
				id, err := v.Verify(t.Context(), "token")
				if err != nil || !id.VerifiedAt.Equal(began) {
					t.Errorf("%v, %v; want a new answer", id, err)
				}
				if n := v.Counters().Stale; n != 4 {
					t.Errorf("%d stale, want 4", n)
				}
			})
		})
	}
}
