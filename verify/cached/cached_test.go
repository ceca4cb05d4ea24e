package cached_test

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"github.com/portcullis-auth/portcullis"
	"github.com/portcullis-auth/portcullis/verify/cached"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestNew(t *testing.T) {
	for _, tt := range []struct {
		name    string
		change  func(*cached.Config)
		wantErr string
	}{
		{"zero but for Verifier", func(*cached.Config) {}, ""},
		{"everything off", func(c *cached.Config) { c.NegativeAge, c.Failures = -1, -1 }, ""},
		{"no Verifier", func(c *cached.Config) { c.Verifier = nil }, "Verifier is required"},
		{"MaxAge", func(c *cached.Config) { c.MaxAge = -1 }, "negative"},
		{"StaleFor", func(c *cached.Config) { c.StaleFor = -1 }, "negative"},
		{"Timeout", func(c *cached.Config) { c.Timeout = -1 }, "negative"},
		{"Cooldown", func(c *cached.Config) { c.Cooldown = -1 }, "negative"},
		{"Outage", func(c *cached.Config) { c.Outage = -1 }, "negative"},
		{"for ever", func(c *cached.Config) { c.MaxAge, c.StaleFor = math.MaxInt64, 1 }, "longer"},
		{"MaxCalls", func(c *cached.Config) { c.MaxCalls = -1 }, "MaxCalls is negative"},
		{"MaxBytes", func(c *cached.Config) { c.MaxBytes = 64<<10 - 1 }, "MaxBytes"},
		{"MaxBytes negative", func(c *cached.Config) { c.MaxBytes = -1 }, "MaxBytes"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c := cached.Config{Verifier: &system{}}
			tt.change(&c)
			v, err := cached.New(c)
			if (err == nil) != (tt.wantErr == "") || err != nil && !strings.Contains(err.Error(), tt.wantErr) {
				t.Errorf("err = %v, want %q", err, tt.wantErr)
			}
			if v != nil {
				_ = v.Close()
			}
		})
	}
}

// I3: a yes is used for as long as all agree that it may be, and not a
// nanosecond longer.
func TestI3Lifetime(t *testing.T) {
	for _, tt := range []struct {
		name                    string
		maxAge, stale           time.Duration
		expires, reuse, earlier time.Duration // when, after the call; VerifiedAt is before it; 0: not stated
		fresh, outlives         time.Duration // how long it must be used: without asking, and while nobody can tell
	}{
		{name: "default", fresh: time.Minute, outlives: time.Minute},
		{name: "MaxAge", maxAge: time.Hour, fresh: time.Hour, outlives: time.Hour},
		{name: "expiry", expires: 20 * time.Second, fresh: 20 * time.Second, outlives: 20 * time.Second},
		{name: "late expiry", expires: 2 * time.Minute, fresh: time.Minute, outlives: time.Minute},
		{name: "expires very soon", expires: 1, fresh: 1, outlives: 1},
		{name: "expired", expires: -1, stale: time.Hour},
		{name: "reuse", reuse: 10 * time.Second, expires: 20 * time.Second, fresh: 10 * time.Second, outlives: 10 * time.Second},
		{name: "long reuse", reuse: time.Hour, fresh: time.Minute, outlives: time.Minute},
		{name: "no reuse", reuse: -1, stale: time.Hour},
		{name: "stale", stale: time.Hour, fresh: time.Minute, outlives: time.Hour + time.Minute},
		{name: "stale to the expiry", stale: time.Hour, expires: 2 * time.Minute, fresh: time.Minute, outlives: 2 * time.Minute},
		{name: "stale within the reuse", stale: time.Hour, reuse: 2 * time.Minute, fresh: time.Minute, outlives: 2 * time.Minute},
		{name: "short reuse is not stale", stale: time.Hour, reuse: 30 * time.Second, fresh: 30 * time.Second, outlives: 30 * time.Second},
		{name: "remembered elsewhere", earlier: 50 * time.Second, stale: time.Minute, fresh: 10 * time.Second, outlives: 70 * time.Second},
		{name: "remembered too long", earlier: 2 * time.Minute, stale: 10 * time.Minute},
		{name: "verified in the future", earlier: -time.Hour, fresh: time.Minute, outlives: time.Minute},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				at := func(d time.Duration) time.Time {
					if d == 0 {
						return time.Time{}
					}
					return time.Now().Add(d)
				}
				sys := &system{}
				sys.set(func(context.Context, string) (*portcullis.Identity, error) {
					return &portcullis.Identity{ExpiresAt: at(tt.expires), ReuseUntil: at(tt.reuse), VerifiedAt: at(-tt.earlier)}, nil
				})
				v := open(t, sys, cached.Config{MaxAge: tt.maxAge, StaleFor: tt.stale, Failures: -1})
				began := time.Now()
				check(t, v, "token", nil) // also what is never used again
				sys.set(down)
				instants := []time.Duration{tt.fresh - 1, tt.fresh, tt.outlives - 1, tt.outlives}
				slices.Sort(instants)
				for _, at := range slices.Compact(instants) {
					if at < 0 {
						continue
					}
					time.Sleep(at - time.Since(began))
					before := sys.asked()
					_, err := v.Verify(t.Context(), "token")
					if asked := sys.asked() > before; asked != (at >= tt.fresh) {
						t.Errorf("after %v: asked = %t", at, asked)
					}
					if (err == nil) != (at < tt.outlives) {
						t.Errorf("after %v: err = %v", at, err)
					}
					if err != nil && (!errors.Is(err, portcullis.ErrUnavailable) || !errors.Is(err, errDown)) {
						t.Errorf("after %v: err = %v, want one that is unavailable and says why", at, err)
					}
				}
			})
		})
	}
}

// I3: a no is remembered shortly, with its kind; an error never is.
func TestI3Negative(t *testing.T) {
	for _, tt := range []struct {
		name string
		err  error
		age  time.Duration
		want error
		kept time.Duration // 0: not at all
		text string
	}{
		{"invalid", fmt.Errorf("%w: not active", portcullis.ErrInvalid), 0, portcullis.ErrInvalid, 5 * time.Second, "not active"},
		{"expired", portcullis.ErrExpired, time.Minute, portcullis.ErrExpired, time.Minute, ""},
		{"revoked", portcullis.ErrRevoked, time.Minute, portcullis.ErrRevoked, time.Minute, ""},
		{"forbidden", portcullis.ErrForbidden, time.Minute, portcullis.ErrForbidden, time.Minute, ""},
		{"not remembered", portcullis.ErrInvalid, -1, portcullis.ErrInvalid, 0, ""},
		{"unavailable", fmt.Errorf("%w: 500", portcullis.ErrUnavailable), time.Minute, portcullis.ErrUnavailable, 0, ""},
		{"unknown error", errDown, time.Minute, portcullis.ErrUnavailable, 0, "connection refused"},
		{"no and unavailable", fmt.Errorf("%w: %w", portcullis.ErrUnavailable, portcullis.ErrExpired), time.Minute, portcullis.ErrUnavailable, 0, ""},
		{"shutdown", portcullis.ErrShutdown, time.Minute, portcullis.ErrUnavailable, 0, ""},
		{"neither", nil, time.Minute, portcullis.ErrUnavailable, 0, "no Identity"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				sys := &system{}
				sys.set(func(context.Context, string) (*portcullis.Identity, error) { return nil, tt.err })
				v := open(t, sys, cached.Config{NegativeAge: tt.age, Failures: -1})
				check(t, v, "token", tt.want)
				_, err := v.Verify(t.Context(), "token")
				checkError(t, err, tt.want)
				if !strings.Contains(err.Error(), tt.text) {
					t.Errorf("err = %v, want %q in it", err, tt.text)
				}
				if tt.kept == 0 {
					checkCalls(t, sys, 2)
					return
				}
				time.Sleep(tt.kept - 1)
				check(t, v, "token", tt.want)
				checkCalls(t, sys, 1)
				time.Sleep(time.Nanosecond)
				sys.set(yes)
				check(t, v, "token", nil)
				check(t, v, "other", nil)
				checkCalls(t, sys, 3)
			})
		})
	}
}

// I3: once the token system has said no, or has forbidden to use its answers
// again, an older yes is not used any more, not even when nobody can tell.
func TestI3NoEndsYes(t *testing.T) {
	noReuse := func(context.Context, string) (*portcullis.Identity, error) {
		return &portcullis.Identity{ReuseUntil: time.Now()}, nil
	}
	for _, tt := range []struct {
		name   string
		second reply
		want   error
	}{
		{"no", no, portcullis.ErrInvalid},
		{"no reuse", noReuse, nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				sys := &system{}
				v := open(t, sys, cached.Config{StaleFor: time.Hour, NegativeAge: -1})
				check(t, v, "token", nil)
				time.Sleep(time.Minute)
				sys.set(tt.second)
				check(t, v, "token", tt.want)
				sys.set(down)
				check(t, v, "token", portcullis.ErrUnavailable)
			})
		})
	}
}

// I5: what is remembered are facts; everybody gets the same ones, with the time
// at which the token system was asked, and the wrapped Verifier's own Identity
// is not touched.
func TestI5Facts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		theirs := &portcullis.Identity{
			Issuer: "https://id.example.com", Subject: "ada", Scopes: []string{"chat"}, Claims: []byte(`{"aud":"x"}`),
		}
		before := *theirs
		v := open(t, portcullis.VerifierFunc(func(context.Context, string) (*portcullis.Identity, error) {
			time.Sleep(time.Second)
			return theirs, nil
		}), cached.Config{})
		want := before
		want.VerifiedAt = time.Now() // before the call, not after
		for range 3 {
			got, err := v.Verify(t.Context(), "token")
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(&want, got); diff != "" {
				t.Errorf("identity (-want +got):\n%s", diff)
			}
		}
		if diff := cmp.Diff(&before, theirs); diff != "" {
			t.Errorf("the Verifier's own (-want +got):\n%s", diff)
		}
	})
}

// J5: nobody is asked about what is too long for a token.
func TestJ5TooLong(t *testing.T) {
	sys := &system{}
	v := open(t, sys, cached.Config{})
	check(t, v, strings.Repeat("x", 16<<10+1), portcullis.ErrInvalid)
	checkCalls(t, sys, 0)
	check(t, v, strings.Repeat("x", 16<<10), nil)
	check(t, v, strings.Repeat("x", 16<<10-1), nil)
	checkCalls(t, sys, 2)
}

// The numbers, in the order in which things happen.
func TestCounters(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sys := &system{}
		v := open(t, sys, cached.Config{StaleFor: time.Hour, Failures: 1, Cooldown: time.Hour})
		check(t, v, "good", nil) // miss
		check(t, v, "good", nil) // hit
		sys.set(no)
		check(t, v, "bad", portcullis.ErrInvalid) // miss
		check(t, v, "bad", portcullis.ErrInvalid) // negative
		sys.set(slow(yes))
		var wg sync.WaitGroup
		for range 3 { // one miss, two coalesced
			wg.Go(func() { check(t, v, "third", nil) })
		}
		synctest.Wait()
		if n := v.Counters().InFlight; n != 1 {
			t.Errorf("%d calls in flight, want 1", n)
		}
		wg.Wait()
		time.Sleep(time.Minute)
		sys.set(down)
		check(t, v, "good", nil)                                       // error, stale
		synctest.Wait()                                                // call, error, opens
		check(t, v, "good", nil)                                       // refused, stale
		check(t, v, "other", portcullis.ErrUnavailable)                // refused
		check(t, v, strings.Repeat("x", 1<<20), portcullis.ErrInvalid) // not counted
		want := cached.Counters{
			Hits: 1, Negative: 1, Misses: 8, Coalesced: 2, Refused: 2, Stale: 2, Calls: 5, Errors: 2, CircuitOpen: true,
		}
		if diff := cmp.Diff(want, v.Counters()); diff != "" {
			t.Errorf("counters (-want +got):\n%s", diff)
		}
	})
}
