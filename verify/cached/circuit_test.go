package cached_test

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/portcullis-auth/portcullis"
	"github.com/portcullis-auth/portcullis/verify/cached"
)

// I4: the circuit opens after so many failures in a row and a trial that fails
// too, makes another trial after the cool-down, and does what that one says.
func TestI4Circuit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sys := &system{}
		v := open(t, sys, cached.Config{})
		want := 0
		n := 0
		// verify asks about a token nobody has seen, and demands how often the
		// token system is asked, with trials.
		verify := func(what string, wantCalls int, wantErr error) {
			t.Helper()
			n++
			want += wantCalls
			check(t, v, fmt.Sprint("token", n), wantErr)
			synctest.Wait()
			if got := sys.asked(); got != want {
				t.Fatalf("%s: %d calls, want %d", what, got, want)
			}
		}
		verify("good", 1, nil) // token1
		sys.set(down)
		for range 4 {
			verify("failing", 1, portcullis.ErrUnavailable)
		}
		sys.set(no) // is an answer like any other
		verify("one answer", 1, portcullis.ErrInvalid)
		sys.set(down)
		for range 4 {
			verify("failing again", 1, portcullis.ErrUnavailable)
		}
		verify("trial", 2, portcullis.ErrUnavailable)
		sys.set(yes)
		verify("open", 0, portcullis.ErrUnavailable)
		check(t, v, "token1", nil) // what is known is not refused
		time.Sleep(time.Second - 1)
		verify("still open", 0, portcullis.ErrUnavailable)
		sys.set(down)
		time.Sleep(time.Nanosecond)
		verify("trial fails", 1, portcullis.ErrUnavailable)
		sys.set(yes)
		time.Sleep(time.Second - 1)
		verify("open again", 0, portcullis.ErrUnavailable)
		time.Sleep(time.Nanosecond)
		verify("trial and question", 2, nil)
		if v.Counters().CircuitOpen {
			t.Error("open after an answer")
		}
		sys.set(down)
		for range 4 { // counted from the beginning
			verify("closed", 1, portcullis.ErrUnavailable)
		}
		verify("trial", 2, portcullis.ErrUnavailable)
		verify("open a third time", 0, portcullis.ErrUnavailable)
		sys.set(no)
		time.Sleep(time.Second)
		verify("trial, no", 2, portcullis.ErrInvalid)
		verify("closed by a no", 1, portcullis.ErrInvalid)
	})
}

func TestI4CircuitNeverOpens(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sys := &system{}
		sys.set(down)
		v := open(t, sys, cached.Config{Failures: -1})
		for range 100 {
			check(t, v, "token", portcullis.ErrUnavailable)
		}
		synctest.Wait()
		checkCalls(t, sys, 100)
	})
}

// openCircuit returns a Verifier whose circuit has just opened, after two calls.
func openCircuit(t *testing.T, sys *system, c cached.Config) *cached.Verifier {
	t.Helper()
	c.Failures = 1
	v := open(t, sys, c)
	sys.set(down)
	check(t, v, "opens", portcullis.ErrUnavailable)
	synctest.Wait()
	checkOpen(t, v, true)
	checkCalls(t, sys, 2)
	return v
}

// checkOpen lets everybody do what he can do now, and demands that the circuit
// is open, or closed.
func checkOpen(t *testing.T, v *cached.Verifier, want bool) {
	t.Helper()
	synctest.Wait()
	if open := v.Counters().CircuitOpen; open != want {
		t.Errorf("open = %t, want %t", open, want)
	}
}

// checkTrials demands how many questions there have been about tokens made up.
func checkTrials(t *testing.T, sys *system, want int) {
	t.Helper()
	sys.mu.Lock()
	defer sys.mu.Unlock()
	if sys.trials != want {
		t.Errorf("%d trials, want %d", sys.trials, want)
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
		time.Sleep(2500 * time.Millisecond) // the trial waits, behind three of them
		for i := range 5 {
			wg.Go(func() { check(t, v, fmt.Sprint("late", i), portcullis.ErrUnavailable) })
		}
		wg.Wait()
		if d := time.Since(began); d != 6*time.Second {
			t.Errorf("took %v, want 6s", d)
		}
		checkCalls(t, sys, 6)
		if n := v.Counters().Refused; n != 5 {
			t.Errorf("%d refused, want 5", n)
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
		wg.Go(func() { check(t, v, "trial", portcullis.ErrUnavailable) })
		synctest.Wait()
		began := time.Now()
		check(t, v, "refused", portcullis.ErrUnavailable)
		if d := time.Since(began); d != 0 {
			t.Errorf("refused after %v", d)
		}
		wg.Wait()
	})
}

// I4: who has tokens over which the token system stumbles harms nobody else,
// however many they are.
func TestI4StrangerCannotOpenTheCircuit(t *testing.T) {
	stumble := func(ctx context.Context, token string) (*portcullis.Identity, error) {
		switch {
		case strings.HasPrefix(token, "evil"):
			return nil, fmt.Errorf("%w: status 400", portcullis.ErrUnavailable)
		case strings.HasPrefix(token, "good"):
			return yes(ctx, token)
		}
		return no(ctx, token)
	}
	for _, failures := range []int{0, 1} {
		t.Run(fmt.Sprint("one after the other, Failures ", failures), func(t *testing.T) {
			sys := &system{}
			sys.set(stumble)
			v := open(t, sys, cached.Config{Failures: failures, Cooldown: time.Hour})
			for i := range 5000 {
				check(t, v, fmt.Sprint("evil", i), portcullis.ErrUnavailable)
				if i%7 == 0 {
					check(t, v, fmt.Sprint("good", i), nil)
				}
			}
			if c := v.Counters(); c.Refused != 0 || c.CircuitOpen {
				t.Errorf("%+v", c)
			}
			sys.mu.Lock()
			defer sys.mu.Unlock()
			if sys.trials == 0 {
				t.Error("no trials")
			}
		})
		t.Run(fmt.Sprint("at once, Failures ", failures), func(t *testing.T) {
			sys := &system{}
			sys.set(stumble)
			v := open(t, sys, cached.Config{Failures: failures, Cooldown: time.Hour, MaxCalls: 8})
			var wg sync.WaitGroup
			for i := range 8 {
				wg.Go(func() {
					for j := range 500 {
						check(t, v, fmt.Sprint("evil", i, j), portcullis.ErrUnavailable)
						if j%7 == 0 {
							check(t, v, fmt.Sprint("good", i, j), nil)
						}
					}
				})
			}
			wg.Wait()
			if c := v.Counters(); c.Refused != 0 || c.CircuitOpen {
				t.Errorf("%+v", c)
			}
		})
		t.Run(fmt.Sprint("slowly, Failures ", failures), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				sys := &system{}
				sys.set(slow(stumble))
				v := open(t, sys, cached.Config{Failures: failures, Cooldown: time.Hour})
				var wg sync.WaitGroup
				for i := range 3000 {
					wg.Go(func() { check(t, v, fmt.Sprint("evil", i), portcullis.ErrUnavailable) })
					if i%30 == 0 {
						wg.Go(func() { check(t, v, fmt.Sprint("good", i), nil) })
						time.Sleep(time.Second)
					}
				}
				wg.Wait()
				if c := v.Counters(); c.Refused != 0 || c.CircuitOpen {
					t.Errorf("%+v", c)
				}
			})
		})
	}
}

// The limit: made-up tokens are answered, real ones are not.
func TestI4ClosedForMadeUpTokens(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sys := &system{}
		sys.set(slow(down))
		sys.setTrial(slow(no))
		v := open(t, sys, cached.Config{MaxCalls: 4})
		var wg sync.WaitGroup
		for i := range 30 {
			wg.Go(func() { check(t, v, fmt.Sprint(i), portcullis.ErrUnavailable) })
		}
		wg.Wait()
		time.Sleep(time.Minute)
		checkOpen(t, v, false)
		if c := v.Counters(); c.Refused != 0 || c.Errors != 30 || sys.most != 4 {
			t.Errorf("%+v, %d calls at once; want 30 errors, and no more than 4 at once", c, sys.most)
		}
	})
}

// I4: failures while a trial is made don't start another one, and are not
// forgotten if nobody waits for it any more.
func TestI4FailuresDuringAbandonedTrial(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sys := &system{}
		v := open(t, sys, cached.Config{Failures: 2})
		var wg sync.WaitGroup
		sys.set(after(2*time.Second, no))
		wg.Go(func() { check(t, v, "answered", portcullis.ErrInvalid) })
		synctest.Wait()
		sys.set(down)
		for i := range 2 {
			check(t, v, fmt.Sprint("doubt", i), portcullis.ErrUnavailable)
		}
		checkOpen(t, v, true)
		time.Sleep(time.Second)
		sys.setTrial(hang)
		ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
		defer cancel()
		wg.Go(func() { _, _ = v.Verify(ctx, "makes the trial") })
		time.Sleep(2 * time.Second) // closed by the answer
		for i := range 3 {
			check(t, v, fmt.Sprint("during", i), portcullis.ErrUnavailable)
		}
		wg.Wait()
		checkOpen(t, v, false)
		checkTrials(t, sys, 2)
		sys.setTrial(down)
		check(t, v, "doubt again", portcullis.ErrUnavailable)
		checkOpen(t, v, true)
		checkTrials(t, sys, 3)
	})
}

// Stale: what was good is good while nobody can tell, however it is that nobody
// can tell.
func TestI3Stale(t *testing.T) {
	for _, tt := range []struct {
		name   string
		answer reply
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
					synctest.Wait()
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
