package cached_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"runtime"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/portcullis-auth/portcullis"
	"github.com/portcullis-auth/portcullis/verify/cached"
)

// I4: a thousand who come at once with one token cause one call.
func TestI4OneCall(t *testing.T) {
	for _, tt := range []struct {
		name   string
		answer reply
		want   error
	}{
		{"yes", yes, nil},
		{"no", no, portcullis.ErrInvalid},
		{"down", down, portcullis.ErrUnavailable},
		{"no reuse", func(context.Context, string) (*portcullis.Identity, error) {
			return &portcullis.Identity{ReuseUntil: time.Now()}, nil
		}, nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				sys := &system{}
				sys.set(slow(tt.answer))
				v := open(t, sys, cached.Config{})
				var wg sync.WaitGroup
				for range 1000 {
					wg.Go(func() { check(t, v, "token", tt.want) })
				}
				wg.Wait()
				checkCalls(t, sys, 1)
				if n := v.Counters().Coalesced; n != 999 {
					t.Errorf("%d coalesced, want 999", n)
				}
			})
		})
	}
}

// I4, without a bubble: whoever comes while a call ends either joins it or finds
// what it left.
func TestI4OneCallRace(t *testing.T) {
	sys := &system{}
	v := open(t, sys, cached.Config{MaxAge: time.Hour})
	const tokens = 200
	for i := range tokens {
		var wg sync.WaitGroup
		for range 50 {
			wg.Go(func() { check(t, v, fmt.Sprint("token", i), nil) })
		}
		wg.Wait()
	}
	checkCalls(t, sys, tokens)
}

// I4: who gives up harms nobody, whether he came first or not.
func TestI4CancellationHarmsNobody(t *testing.T) {
	for _, first := range []bool{true, false} {
		t.Run(fmt.Sprint("first ", first), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				sys := &system{}
				sys.set(slow(yes))
				v := open(t, sys, cached.Config{})
				type value struct{}
				ctx, cancel := context.WithCancel(context.WithValue(t.Context(), value{}, "x"))
				began := time.Now()
				var wg sync.WaitGroup
				quitter := func() {
					wg.Go(func() {
						_, err := v.Verify(ctx, "token")
						checkError(t, err, portcullis.ErrUnavailable)
						checkError(t, err, context.Canceled)
						if d := time.Since(began); d != time.Second/2 {
							t.Errorf("gave up after %v", d)
						}
					})
					synctest.Wait()
				}
				if first {
					quitter()
				}
				wg.Go(func() { check(t, v, "token", nil) })
				synctest.Wait()
				if !first {
					quitter()
				}
				time.Sleep(time.Second / 2)
				cancel()
				wg.Wait()
				if d := time.Since(began); d != time.Second {
					t.Errorf("took %v", d)
				}
				checkCalls(t, sys, 1)
			})
		})
	}
}

// I4: when all have given up the call is cancelled. It is no failure of the
// token system. Who comes before it is over gets a call of his own, after it.
func TestI4AllGone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sys := &system{}
		sys.set(func(ctx context.Context, token string) (*portcullis.Identity, error) {
			<-ctx.Done()
			time.Sleep(time.Second) // on its way out
			return nil, ctx.Err()
		})
		v := open(t, sys, cached.Config{Failures: 1})
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		var wg sync.WaitGroup
		for range 3 {
			wg.Go(func() {
				_, err := v.Verify(ctx, "token")
				checkError(t, err, portcullis.ErrUnavailable)
				checkError(t, err, context.DeadlineExceeded)
			})
		}
		wg.Wait()
		sys.set(yes)
		check(t, v, "token", nil)
		checkCalls(t, sys, 2)
		if sys.twice {
			t.Error("two calls at once")
		}
		if c := v.Counters(); c.Errors != 0 || c.CircuitOpen {
			t.Errorf("counted as a failure: %+v", c)
		}
	})
}

// An answer that comes although all have gone is as good as any other.
func TestI4LateAnswer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sys := &system{}
		sys.set(func(ctx context.Context, token string) (*portcullis.Identity, error) {
			time.Sleep(2 * time.Second)
			return yes(ctx, token)
		})
		v := open(t, sys, cached.Config{})
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		_, err := v.Verify(ctx, "token")
		checkError(t, err, context.DeadlineExceeded)
		check(t, v, "token", nil)
		checkCalls(t, sys, 1)
	})
}

// A context that is done starts nothing, but what is known is known.
func TestI4DoneContext(t *testing.T) {
	sys := &system{}
	v := open(t, sys, cached.Config{})
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	for i := range 1000 {
		_, err := v.Verify(ctx, fmt.Sprint(i))
		checkError(t, err, context.Canceled)
		checkError(t, err, portcullis.ErrUnavailable)
	}
	checkCalls(t, sys, 0)
	check(t, v, "token", nil)
	if _, err := v.Verify(ctx, "token"); err != nil {
		t.Errorf("known, and err = %v", err)
	}
}

// The call has the values of the first caller's context, and Timeout for its
// only deadline.
func TestI4Context(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		type value struct{}
		ctx, cancel := context.WithTimeout(context.WithValue(t.Context(), value{}, "x"), time.Hour)
		defer cancel()
		v := open(t, portcullis.VerifierFunc(func(ctx context.Context, token string) (*portcullis.Identity, error) {
			if ctx.Value(value{}) != "x" {
				t.Error("the value is lost")
			}
			if end, ok := ctx.Deadline(); !ok || time.Until(end) != 3*time.Second {
				t.Errorf("deadline %v, %t", end, ok)
			}
			return yes(ctx, token)
		}), cached.Config{Timeout: 3 * time.Second})
		if _, err := v.Verify(ctx, "token"); err != nil {
			t.Error(err)
		}
	})
}

func TestTimeout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sys := &system{}
		sys.set(func(ctx context.Context, token string) (*portcullis.Identity, error) {
			<-ctx.Done()
			time.Sleep(time.Second) // keeps its slot until the others have gone
			return nil, ctx.Err()
		})
		v := open(t, sys, cached.Config{MaxCalls: 1})
		began := time.Now()
		var wg sync.WaitGroup
		verify := func(token string, took time.Duration) {
			wg.Go(func() {
				_, err := v.Verify(t.Context(), token)
				checkError(t, err, portcullis.ErrUnavailable)
				checkError(t, err, context.DeadlineExceeded)
				if d := time.Since(began); d != took {
					t.Errorf("%s took %v, want %v", token, d, took)
				}
			})
			synctest.Wait()
		}
		verify("first", 11*time.Second)
		verify("first", 11*time.Second)
		verify("waits for a slot", 10*time.Second)
		wg.Wait()
		// What never got its turn says nothing about the token system.
		if c := v.Counters(); c.Calls != 1 || c.Errors != 1 {
			t.Errorf("%+v, want one call and one error", c)
		}
	})
}

// I4: a Verifier that panics, or ends its goroutine, hangs nobody, and its
// panic's text is shown to nobody.
func TestI4Panic(t *testing.T) {
	for _, tt := range []struct {
		name string
		do   func()
	}{
		{"panic", func() { panic("S3CR3T") }},
		{"runtime error", func() { _ = []int{}[len(os.Args)] }},
		{"Goexit", runtime.Goexit},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				sys := &system{}
				sys.set(slow(func(context.Context, string) (*portcullis.Identity, error) {
					tt.do()
					return nil, nil
				}))
				v := open(t, sys, cached.Config{MaxCalls: 1, Failures: 2})
				for range 2 {
					var wg sync.WaitGroup
					for range 10 {
						wg.Go(func() {
							_, err := v.Verify(t.Context(), "token")
							checkError(t, err, portcullis.ErrUnavailable)
							if strings.Contains(err.Error(), "S3CR3T") {
								t.Errorf("err = %v", err)
							}
						})
					}
					wg.Wait()
				}
				time.Sleep(time.Second) // the trial panics, too
				synctest.Wait()
				checkCalls(t, sys, 3)
				if c := v.Counters(); c.Errors != 3 || !c.CircuitOpen || c.InFlight != 0 {
					t.Errorf("%+v, want three errors that open the circuit", c)
				}
				for n := range 3 { // and those of the half-open circuit
					time.Sleep(time.Second)
					check(t, v, "token", portcullis.ErrUnavailable)
					checkCalls(t, sys, 4+n)
				}
			})
		})
	}
}

// The token system gets no more calls at once than it is meant to get.
func TestMaxCalls(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sys := &system{}
		sys.set(slow(yes))
		v := open(t, sys, cached.Config{MaxCalls: 3})
		began := time.Now()
		var wg sync.WaitGroup
		for i := range 30 {
			wg.Go(func() { check(t, v, fmt.Sprint(i), nil) })
		}
		// Who gives up while he waits for his turn makes no call.
		ctx, cancel := context.WithTimeout(t.Context(), time.Second/2)
		defer cancel()
		synctest.Wait()
		_, err := v.Verify(ctx, "impatient")
		checkError(t, err, context.DeadlineExceeded)
		wg.Wait()
		if sys.most != 3 || time.Since(began) != 10*time.Second {
			t.Errorf("%d calls at once, and %v for all; want 3 and 10s", sys.most, time.Since(began))
		}
		checkCalls(t, sys, 30)
	})
}

// Close ends what is going on, and nothing goes on after it.
func TestClose(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sys := &system{}
		v := open(t, sys, cached.Config{StaleFor: time.Hour, Outage: time.Second, OnOutage: func() { t.Error("an outage") }, MaxCalls: 2})
		check(t, v, "known", nil)
		began := time.Now()
		sys.set(func(ctx context.Context, _ string) (*portcullis.Identity, error) {
			<-ctx.Done()
			time.Sleep(time.Minute) // on its way out
			return nil, ctx.Err()
		})
		var wg sync.WaitGroup
		for i := range 5 { // three of them wait for a slot
			wg.Go(func() {
				_, err := v.Verify(t.Context(), fmt.Sprint(i))
				checkError(t, err, portcullis.ErrUnavailable)
			})
		}
		synctest.Wait()
		_ = v.Close()
		if sys.inside != 0 || time.Since(began) != time.Minute {
			t.Errorf("Close took %v and left %d calls", time.Since(began), sys.inside)
		}
		wg.Wait()
		checkCalls(t, sys, 3)
		for _, token := range []string{"known", "unknown"} {
			check(t, v, token, portcullis.ErrUnavailable)
		}
		checkCalls(t, sys, 3)
		if good, bad := v.Memory(); good.Entries+bad.Entries > 0 {
			t.Errorf("remembers %+v, %+v", good, bad)
		}
		if err := v.Close(); err != nil {
			t.Error(err)
		}
		time.Sleep(time.Hour)
	})
}

// Close and Verify may meet.
func TestCloseRace(t *testing.T) {
	for range 100 {
		v := open(t, &system{}, cached.Config{})
		var wg sync.WaitGroup
		for i := range 8 {
			wg.Go(func() {
				for j := range 5 {
					if _, err := v.Verify(t.Context(), fmt.Sprint(i, j)); err != nil && !errors.Is(err, portcullis.ErrUnavailable) {
						t.Error(err)
					}
				}
			})
		}
		_ = v.Close()
		wg.Wait()
	}
}
