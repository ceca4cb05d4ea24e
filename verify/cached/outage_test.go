package cached_test

import (
	"context"
	"fmt"
	"runtime"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/portcullis-auth/portcullis"
	"github.com/portcullis-auth/portcullis/verify/cached"
)

// outages returns a Verifier that counts the outages it was told of, with
// Outage a minute.
func outages(t *testing.T, sys portcullis.Verifier, c cached.Config) (*cached.Verifier, *atomic.Int32) {
	t.Helper()
	var n atomic.Int32
	c.Outage = time.Minute
	c.OnOutage = func() { n.Add(1) }
	return open(t, sys, c), &n
}

// checkOutages lets the time pass, less a nanosecond, and demands how many
// outages there have been before and at that time.
func checkOutages(t *testing.T, n *atomic.Int32, d time.Duration, before, then int32) {
	t.Helper()
	time.Sleep(d - 1)
	synctest.Wait()
	if got := n.Load(); got != before {
		t.Errorf("%d outages just before %v, want %d", got, d, before)
	}
	time.Sleep(time.Nanosecond)
	synctest.Wait()
	if got := n.Load(); got != then {
		t.Errorf("%d outages at %v, want %d", got, d, then)
	}
}

func TestOutage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sys := &system{}
		v, n := outages(t, sys, cached.Config{})
		check(t, v, "good", nil)
		checkOutages(t, n, time.Hour, 0, 0) // nobody asks, nothing fails
		checkCalls(t, sys, 1)

		sys.set(down)
		check(t, v, "fails", portcullis.ErrUnavailable)
		checkOutages(t, n, time.Minute, 0, 1)
		checkCalls(t, sys, 3) // it was asked about a made-up token
		check(t, v, "fails", portcullis.ErrUnavailable)
		checkOutages(t, n, time.Minute, 1, 2)
		checkOutages(t, n, time.Minute, 2, 3)

		sys.set(no) // over; the next question finds out
		checkOutages(t, n, time.Minute, 3, 3)
		calls := sys.asked()
		checkOutages(t, n, time.Hour, 3, 3)
		checkCalls(t, sys, calls)
		if v.Counters().CircuitOpen {
			t.Error("the answer left the circuit open")
		}

		sys.set(down) // from the beginning
		check(t, v, "fails", portcullis.ErrUnavailable)
		checkOutages(t, n, time.Minute, 3, 4)
	})
}

// A definite answer ends the wait, whoever got it.
func TestOutageAnswered(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sys := &system{}
		v, n := outages(t, sys, cached.Config{})
		for range 10 {
			sys.set(down)
			check(t, v, "a", portcullis.ErrUnavailable)
			time.Sleep(time.Minute - 1)
			sys.set(no)
			check(t, v, "b", portcullis.ErrInvalid)
			time.Sleep(5 * time.Second)
		}
		if got := n.Load(); got != 0 {
			t.Errorf("%d outages, want none", got)
		}
		checkCalls(t, sys, 20) // and no questions
	})
}

// The question that decides is asked whether or not the circuit is open, and
// waits for its answer.
func TestOutageQuestion(t *testing.T) {
	for _, tt := range []struct {
		name   string
		answer reply
		took   time.Duration
		want   int32
	}{
		{"no", slow(no), time.Second, 0},
		{"yes", slow(yes), time.Second, 0},
		{"down", slow(down), time.Second, 1},
		{"hanging", hang, 10 * time.Second, 1},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				sys := &system{}
				var tokens []string
				v, n := outages(t, portcullis.VerifierFunc(func(ctx context.Context, token string) (*portcullis.Identity, error) {
					tokens = append(tokens, token)
					return sys.Verify(ctx, token)
				}), cached.Config{Failures: 1, Cooldown: time.Hour})
				sys.set(down)
				check(t, v, "a", portcullis.ErrUnavailable)
				checkOpen(t, v, true) // after a trial
				sys.set(tt.answer)
				checkOutages(t, n, time.Minute+tt.took, 0, tt.want)
				if len(tokens) != 3 || !madeUp(tokens[2]) || tokens[2] == tokens[1] {
					t.Errorf("asked about %q", tokens)
				}
				checkOpen(t, v, tt.want > 0)
			})
		})
	}
}

// The question is not the trial that the circuit waits for: that it failed
// doesn't let another one be made beside it.
func TestOutageQuestionIsNoTrial(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sys := &system{}
		v, n := outages(t, sys, cached.Config{Failures: 1, Timeout: time.Hour})
		sys.set(down)
		check(t, v, "opens", portcullis.ErrUnavailable)
		time.Sleep(30 * time.Second)
		sys.set(hang)
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		done := make(chan struct{})
		go func() {
			defer close(done)
			_, _ = v.Verify(ctx, "makes the trial")
		}()
		synctest.Wait()
		sys.set(down)
		checkOutages(t, n, 40*time.Second, 1, 1)
		checkCalls(t, sys, 4) // one failed, two trials and the question
		check(t, v, "refused", portcullis.ErrUnavailable)
		checkCalls(t, sys, 4)
		<-done
	})
}

// Nor does it say anything if there is no slot for it.
func TestOutageQuestionWithoutSlot(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sys := &system{}
		v, n := outages(t, sys, cached.Config{Failures: 1, MaxCalls: 1})
		sys.set(down)
		check(t, v, "opens", portcullis.ErrUnavailable)
		time.Sleep(50 * time.Second)
		sys.set(func(context.Context, string) (*portcullis.Identity, error) {
			time.Sleep(time.Minute) // whatever ctx says
			return nil, errDown
		})
		go func() { _, _ = v.Verify(t.Context(), "makes the trial") }()
		checkOutages(t, n, 20*time.Second, 0, 1) // 10 s of them for the slot
		time.Sleep(10 * time.Second)
		began := time.Now()
		check(t, v, "refused", portcullis.ErrUnavailable)
		if d := time.Since(began); d != 0 {
			t.Errorf("refused after %v", d)
		}
		checkTrials(t, sys, 2)
	})
}

// But it is a failure like any other, that may lead to a trial.
func TestOutageQuestionFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sys := &system{}
		v, n := outages(t, sys, cached.Config{Failures: 2})
		sys.set(down)
		check(t, v, "fails", portcullis.ErrUnavailable)
		checkOutages(t, n, time.Minute, 0, 1)
		checkCalls(t, sys, 3)
		checkOpen(t, v, true)
	})
}

// What the wrapped Verifier does to the goroutine of the question hides no
// outage.
func TestOutageQuestionPanics(t *testing.T) {
	for _, tt := range []struct {
		name string
		do   func()
	}{
		{"panic", func() { panic("x") }},
		{"Goexit", runtime.Goexit},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				sys := &system{}
				v, n := outages(t, sys, cached.Config{})
				sys.set(func(context.Context, string) (*portcullis.Identity, error) { tt.do(); return nil, nil })
				check(t, v, "a", portcullis.ErrUnavailable)
				checkOutages(t, n, time.Minute, 0, 1)
				checkOutages(t, n, time.Minute, 1, 2)
			})
		})
	}
}

// An answer that comes while the question is asked, or while OnOutage runs, ends
// the outage all the same.
func TestOutageMeetsAnswer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sys := &system{}
		var n atomic.Int32
		v := open(t, sys, cached.Config{Outage: time.Minute, Failures: -1, OnOutage: func() {
			n.Add(1)
			time.Sleep(10 * time.Second)
		}})
		sys.set(slow(down))
		check(t, v, "a", portcullis.ErrUnavailable)
		time.Sleep(time.Minute + time.Second/2) // in the question
		sys.set(yes)
		check(t, v, "b", nil)
		time.Sleep(10 * time.Minute) // the question failed after that: another one finds out
		if got := n.Load(); got != 0 {
			t.Errorf("%d outages, want none", got)
		}

		sys.set(down)
		check(t, v, "c", portcullis.ErrUnavailable)
		time.Sleep(time.Minute + time.Second) // in OnOutage
		sys.set(yes)
		check(t, v, "d", nil)
		calls := sys.asked()
		time.Sleep(time.Hour)
		if got := n.Load(); got != 1 {
			t.Errorf("%d outages, want one", got)
		}
		checkCalls(t, sys, calls)
	})
}

// Users who gave up are not an outage.
func TestOutageAbandoned(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sys := &system{}
		v, n := outages(t, sys, cached.Config{})
		sys.set(hang)
		for i := range 100 {
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			_, err := v.Verify(ctx, fmt.Sprint(i))
			checkError(t, err, context.DeadlineExceeded)
			cancel()
		}
		checkOutages(t, n, time.Hour, 0, 0)
		if v.Counters().CircuitOpen {
			t.Error("nor do they open the circuit")
		}
	})
}

// OnOutage may close the Verifier; afterwards it is not called.
func TestOutageClose(t *testing.T) {
	for _, at := range []string{"OnOutage", "the question", "the wait"} {
		t.Run(at, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				sys := &system{}
				var n atomic.Int32
				var v *cached.Verifier
				v = open(t, sys, cached.Config{Outage: time.Minute, OnOutage: func() {
					n.Add(1)
					_ = v.Close()
				}})
				sys.set(down)
				check(t, v, "a", portcullis.ErrUnavailable)
				sys.set(hang)
				switch at {
				case "the wait":
					_ = v.Close()
				case "the question":
					time.Sleep(time.Minute + time.Second)
					_ = v.Close()
				}
				time.Sleep(time.Hour)
				v.Fail() // by a call that ended as the Verifier was closed
				time.Sleep(time.Hour)
				calls := sys.asked()
				for range 100 {
					v.Trial() // by a timer, or a call, likewise
				}
				checkCalls(t, sys, calls)
				want := int32(0)
				if at == "OnOutage" {
					want = 1
				}
				if got := n.Load(); got != want {
					t.Errorf("%d outages, want %d", got, want)
				}
			})
		})
	}
}
