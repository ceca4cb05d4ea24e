package cached_test

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/portcullis-auth/portcullis"
	"github.com/portcullis-auth/portcullis/verify/cached"
)

// I4: one failure of many calls at once makes one trial, and none beside it.
func TestI4OneTrialInDoubt(t *testing.T) {
	for _, tt := range []struct {
		name  string
		trial reply
		open  bool
	}{
		{"yes", slow(yes), false},
		{"no", slow(no), false},
		{"down", slow(down), true},
		{"hanging", hang, true},
		{"panic", slow(func(context.Context, string) (*portcullis.Identity, error) { panic("x") }), true},
		{"Goexit", slow(func(context.Context, string) (*portcullis.Identity, error) { runtime.Goexit(); return nil, nil }), true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				sys := &system{}
				sys.set(down)
				sys.setTrial(tt.trial)
				v := open(t, sys, cached.Config{Failures: 3, Cooldown: time.Hour})
				for i := range 2 {
					check(t, v, fmt.Sprint("few", i), portcullis.ErrUnavailable)
				}
				synctest.Wait()
				checkTrials(t, sys, 0)
				var wg sync.WaitGroup
				for i := range 50 {
					wg.Go(func() { check(t, v, fmt.Sprint("many", i), portcullis.ErrUnavailable) })
				}
				wg.Wait() // nobody waits for the trial
				checkOpen(t, v, false)
				checkTrials(t, sys, 1)
				time.Sleep(time.Second / 2)
				check(t, v, "passes", portcullis.ErrUnavailable)
				checkCalls(t, sys, 2+50+1+1)
				time.Sleep(time.Minute)
				checkTrials(t, sys, 1)
				checkOpen(t, v, tt.open)
				if tt.open {
					return
				}
				for i := range 3 { // counted from the beginning
					checkTrials(t, sys, 1)
					check(t, v, fmt.Sprint("again", i), portcullis.ErrUnavailable)
					synctest.Wait()
				}
				checkTrials(t, sys, 2)
			})
		})
	}
}

// I4: after the cool-down the first who comes makes the trial, and then his own
// question if it was answered; what it was has nothing to do with his token.
func TestI4HalfOpen(t *testing.T) {
	answers := map[string]reply{"yes": yes, "no": no, "down": down}
	for trial, answerTrial := range answers {
		for own, answerOwn := range answers {
			t.Run(trial+", then "+own, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					sys := &system{}
					v := openCircuit(t, sys, cached.Config{MaxCalls: 1})
					sys.set(slow(answerOwn))
					sys.setTrial(slow(answerTrial))
					time.Sleep(time.Second)
					began := time.Now()
					asked, wantErr := began.Add(time.Second), map[string]error{"no": portcullis.ErrInvalid, "down": portcullis.ErrUnavailable}[own]
					if trial == "down" {
						wantErr = portcullis.ErrUnavailable
					}
					var wg sync.WaitGroup
					wg.Go(func() {
						id, err := v.Verify(t.Context(), "first")
						checkError(t, err, wantErr)
						if trial == "down" && !errors.Is(err, errDown) {
							t.Errorf("err = %v, want one that says why", err)
						}
						if err == nil && (id.Subject != "first" || !id.VerifiedAt.Equal(asked)) {
							t.Errorf("identity %+v, want what came of the second question", id)
						}
					})
					synctest.Wait()
					for i := range 100 { // during the trial
						check(t, v, fmt.Sprint(i), portcullis.ErrUnavailable)
					}
					wg.Wait()
					took, calls := 2*time.Second, 4
					if trial == "down" {
						took, calls = time.Second, 3
					}
					if d := time.Since(began); d != took {
						t.Errorf("took %v, want %v", d, took)
					}
					synctest.Wait()
					if own == "down" && trial != "down" {
						calls++ // in doubt again
					}
					checkCalls(t, sys, calls)
					checkOpen(t, v, trial == "down")
				})
			})
		}
	}
}

// I4: of many who come at once after the cool-down one makes the trial.
func TestI4HalfOpenOneTrial(t *testing.T) {
	for _, good := range []bool{true, false} {
		t.Run(fmt.Sprint("good ", good), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				sys := &system{}
				v := openCircuit(t, sys, cached.Config{})
				sys.set(slow(map[bool]reply{true: yes, false: down}[good]))
				time.Sleep(time.Second)
				var wg sync.WaitGroup
				for i := range 100 {
					wg.Go(func() { _, _ = v.Verify(t.Context(), fmt.Sprint(i)) })
				}
				wg.Wait()
				checkTrials(t, sys, 2)
				checkCalls(t, sys, map[bool]int{true: 4, false: 3}[good])
				checkOpen(t, v, !good)
			})
		})
	}
}

// I4: a trial that everybody has left is no answer. The next one may be made at
// once.
func TestI4HalfOpenAbandoned(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sys := &system{}
		v := openCircuit(t, sys, cached.Config{})
		sys.set(hang)
		for n := range 3 {
			time.Sleep(time.Second)
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			_, err := v.Verify(ctx, "impatient")
			cancel()
			checkError(t, err, context.DeadlineExceeded)
			checkOpen(t, v, true)
			checkTrials(t, sys, 2+n)
		}
		if n := v.Counters().Errors; n != 2 {
			t.Errorf("%d errors, want those that opened it", n)
		}
		sys.set(yes)
		check(t, v, "next", nil)
		checkOpen(t, v, false)
	})
}

// I4: the trial in doubt needs a slot like any other call. That there is none
// within Timeout is as good as a failure.
func TestI4TrialWithoutSlot(t *testing.T) {
	for _, tt := range []struct {
		name string
		busy time.Duration
		open bool
	}{
		{"free in time", 9 * time.Second, false},
		{"too late", 11 * time.Second, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				sys := &system{}
				sys.setTrial(no)
				v := open(t, sys, cached.Config{MaxCalls: 1, Failures: 1, Cooldown: time.Hour})
				var wg sync.WaitGroup
				sys.set(slow(down))
				wg.Go(func() { check(t, v, "fails", portcullis.ErrUnavailable) })
				synctest.Wait()
				sys.set(func(ctx context.Context, _ string) (*portcullis.Identity, error) {
					time.Sleep(tt.busy) // whatever ctx says
					return nil, ctx.Err()
				})
				ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
				defer cancel()
				wg.Go(func() { _, _ = v.Verify(ctx, "takes the slot") })
				wg.Wait()
				time.Sleep(20 * time.Second)
				checkOpen(t, v, tt.open)
				checkTrials(t, sys, map[bool]int{true: 0, false: 1}[tt.open])
				if n := v.Counters().InFlight; n != 0 {
					t.Errorf("%d slots taken", n)
				}
			})
		})
	}
}

// I4: an answer that comes while a trial is made closes the circuit, whatever
// becomes of the trial; failures after it count again.
func TestI4AnswerDuringTrial(t *testing.T) {
	for _, half := range []bool{false, true} {
		for _, tt := range []struct {
			name string
			then int // failures after the answer
			open bool
		}{
			{"answer", 0, false},
			{"answer, one failure", 1, false},
			{"answer, failures", 2, true},
		} {
			t.Run(fmt.Sprintf("%s, half open %t", tt.name, half), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					sys := &system{}
					v := open(t, sys, cached.Config{Failures: 2})
					var wg sync.WaitGroup
					sys.set(after(3*time.Second, yes))
					wg.Go(func() { check(t, v, "answered", nil) })
					synctest.Wait()
					sys.set(down)
					trial := after(5*time.Second, down)
					if half {
						sys.setTrial(down)
					} else {
						sys.setTrial(trial)
					}
					for i := range 2 {
						check(t, v, fmt.Sprint("doubt", i), portcullis.ErrUnavailable)
					}
					checkOpen(t, v, half)
					if half {
						sys.setTrial(trial)
						time.Sleep(time.Second)
						wg.Go(func() { check(t, v, "first", portcullis.ErrUnavailable) })
						synctest.Wait()
						check(t, v, "refused", portcullis.ErrUnavailable)
					}
					trials := map[bool]int{false: 1, true: 2}[half]
					time.Sleep(4 * time.Second)
					checkOpen(t, v, false)
					for i := range tt.then {
						check(t, v, fmt.Sprint("after", i), portcullis.ErrUnavailable)
					}
					checkTrials(t, sys, trials) // the same still
					wg.Wait()
					time.Sleep(4 * time.Second)
					checkOpen(t, v, tt.open)
					checkTrials(t, sys, trials)
					if tt.open {
						return
					}
					for i := range 2 - tt.then { // it is not forgotten that the trial is over
						check(t, v, fmt.Sprint("later", i), portcullis.ErrUnavailable)
					}
					synctest.Wait()
					checkTrials(t, sys, trials+1)
				})
			})
		}
	}
}

// I4: a call made before the circuit opened may fail, or be left, while another
// makes the trial: that lets nobody pass, and doesn't open it for longer.
func TestI4Stragglers(t *testing.T) {
	for _, tt := range []struct {
		name   string
		answer reply
	}{
		{"failure", down},
		{"left", hang},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				sys := &system{}
				v := open(t, sys, cached.Config{Failures: 1})
				ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
				defer cancel()
				var wg sync.WaitGroup
				sys.set(after(1500*time.Millisecond, tt.answer))
				wg.Go(func() { _, _ = v.Verify(ctx, "straggler") })
				synctest.Wait()
				sys.set(down)
				check(t, v, "opens", portcullis.ErrUnavailable)
				checkOpen(t, v, true)
				time.Sleep(time.Second)
				sys.set(yes)
				sys.setTrial(after(3*time.Second, no))
				wg.Go(func() { check(t, v, "first", nil) })
				time.Sleep(2 * time.Second) // the straggler is over
				checkOpen(t, v, true)
				checkTrials(t, sys, 2)
				check(t, v, "during the trial", portcullis.ErrUnavailable)
				wg.Wait()
				checkOpen(t, v, false)
				check(t, v, "after the trial", nil)
			})
		})
	}
}

// Close ends a trial, and waits for it, wherever it is.
func TestI4CloseDuringTrial(t *testing.T) {
	slowToLeave := func(ctx context.Context, _ string) (*portcullis.Identity, error) {
		<-ctx.Done()
		time.Sleep(time.Minute) // on its way out
		return nil, ctx.Err()
	}
	for _, tt := range []struct {
		name string
		half bool
		wait bool // for a slot
		want int  // calls
	}{
		{"in doubt", false, false, 2},
		{"without a slot", false, true, 2},
		{"half open", true, false, 3},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				sys := &system{}
				var v *cached.Verifier
				var wg sync.WaitGroup
				switch {
				case tt.half:
					v = openCircuit(t, sys, cached.Config{})
					sys.setTrial(slowToLeave)
					time.Sleep(time.Second)
					wg.Go(func() { check(t, v, "first", portcullis.ErrUnavailable) })
				default:
					v = open(t, sys, cached.Config{Failures: 1, MaxCalls: 1})
					sys.set(slow(down))
					sys.setTrial(slowToLeave)
					wg.Go(func() { check(t, v, "fails", portcullis.ErrUnavailable) })
					synctest.Wait()
					sys.set(slowToLeave)
					if tt.wait {
						wg.Go(func() { check(t, v, "takes the slot", portcullis.ErrUnavailable) })
						synctest.Wait()
					}
					time.Sleep(time.Second)
				}
				synctest.Wait()
				began := time.Now()
				checkCalls(t, sys, tt.want)
				_ = v.Close()
				if d := time.Since(began); d != time.Minute || v.Counters().InFlight != 0 {
					t.Errorf("Close took %v and left %d calls", d, v.Counters().InFlight)
				}
				wg.Wait()
				time.Sleep(time.Hour)
				checkCalls(t, sys, tt.want)
				if n := v.Counters().Errors; n != uint64(map[bool]int{false: 1, true: 2}[tt.half]) {
					t.Errorf("%d errors", n)
				}
			})
		})
	}
}

// Close, calls that fail and their trials may meet.
func TestI4CloseRace(t *testing.T) {
	for range 200 {
		sys := &system{}
		sys.set(down)
		v := open(t, sys, cached.Config{Failures: 1, Cooldown: 1, MaxCalls: 2})
		var wg sync.WaitGroup
		for i := range 4 {
			wg.Go(func() {
				for j := range 5 {
					check(t, v, fmt.Sprint(i, j), portcullis.ErrUnavailable)
				}
			})
		}
		_ = v.Close()
		calls := sys.asked()
		wg.Wait()
		runtime.Gosched()
		checkCalls(t, sys, calls)
	}
}
