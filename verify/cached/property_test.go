package cached_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"github.com/portcullis-auth/portcullis"
	"github.com/portcullis-auth/portcullis/verify/cached"
)

// A mode is what the token system answers, and how long that takes.
type mode struct {
	what    string        // "yes", "no", "down"
	expires time.Duration // after it was asked; 0: never
	reuse   time.Duration // likewise
	takes   time.Duration // at most slowest
	trial   string        // like what, about tokens made up, after trialTakes
}

const (
	slowest    = 3 * time.Second
	trialTakes = 1500*time.Millisecond + 1 // nothing else happens when it is over
)

func (m mode) Verify(ctx context.Context, token string) (*portcullis.Identity, error) {
	if madeUp(token) {
		m.what, m.takes = m.trial, trialTakes
	}
	id := &portcullis.Identity{Subject: token}
	if m.expires != 0 {
		id.ExpiresAt = time.Now().Add(m.expires)
	}
	if m.reuse != 0 {
		id.ReuseUntil = time.Now().Add(m.reuse)
	}
	select {
	case <-ctx.Done():
		return nil, ctx.Err()
	case <-time.After(m.takes):
	}
	switch m.what {
	case "yes":
		return id, nil
	case "no":
		return nil, portcullis.ErrInvalid
	}
	return nil, errDown
}

func drawMode(t *rapid.T) mode {
	return mode{
		what:    rapid.SampledFrom([]string{"yes", "no", "down", "down"}).Draw(t, "what"),
		expires: rapid.SampledFrom([]time.Duration{0, 0, -time.Second, 3 * time.Second, 25 * time.Second}).Draw(t, "expires"),
		reuse:   rapid.SampledFrom([]time.Duration{0, 0, 0, -1, 4 * time.Second, 15 * time.Second}).Draw(t, "reuse"),
		takes:   rapid.SampledFrom([]time.Duration{time.Millisecond, time.Second, slowest}).Draw(t, "takes"),
		trial:   rapid.SampledFrom([]string{"yes", "no", "down", "down"}).Draw(t, "trial"),
	}
}

func drawConfig(t *rapid.T) cached.Config {
	return cached.Config{
		MaxAge:      rapid.SampledFrom([]time.Duration{2 * time.Second, 10 * time.Second}).Draw(t, "MaxAge"),
		NegativeAge: rapid.SampledFrom([]time.Duration{-1, 2 * time.Second, 20 * time.Second}).Draw(t, "NegativeAge"),
		StaleFor:    rapid.SampledFrom([]time.Duration{0, 5 * time.Second, 30 * time.Second}).Draw(t, "StaleFor"),
		Failures:    rapid.SampledFrom([]int{-1, 1, 3}).Draw(t, "Failures"),
		Cooldown:    rapid.SampledFrom([]time.Duration{time.Second, 4 * time.Second}).Draw(t, "Cooldown"),
		MaxCalls:    rapid.IntRange(1, 3).Draw(t, "MaxCalls"),
	}
}

// inBubble runs f in a bubble, where rapid's own failing would end the process.
func inBubble(t *testing.T, rt *rapid.T, f func(t *testing.T) error) {
	var err error
	synctest.Test(t, func(t *testing.T) { err = f(t) })
	if err != nil {
		rt.Fatal(err)
	}
}

// A model is what a Verifier should do, one Verify after the other.
type model struct {
	c        cached.Config
	good     map[string]struct{ asked, fresh, stale time.Time }
	bad      map[string]time.Time // until when
	failures int
	until    time.Time // the circuit is open, or half open from then; zero: closed
	trial    time.Time // when the trial in doubt is over; zero: there is none
	trialOK  bool      // what comes of it
}

// settle lets the trial be over if it is, at that time.
func (m *model) settle(at time.Time) {
	if m.trial.IsZero() || at.Before(m.trial) {
		return
	}
	if m.trialOK {
		m.failures, m.until = 0, time.Time{}
	} else if m.failures >= m.c.Failures {
		m.until = m.trial.Add(m.c.Cooldown)
	}
	m.trial = time.Time{}
}

// verify returns what should come of it now: how often the token system is asked,
// "yes", "no" or "unknown", and for a yes when it was asked.
func (m *model) verify(token string, sys mode) (calls int, what string, asked time.Time) {
	now := time.Now()
	if g, ok := m.good[token]; ok && now.Before(g.fresh) {
		return 0, "yes", g.asked
	}
	if now.Before(m.bad[token]) {
		return 0, "no", asked
	}
	m.settle(now)
	if m.until.IsZero() || !now.Before(m.until) {
		half := !m.until.IsZero()
		if half {
			calls++
			now = now.Add(trialTakes)
			if sys.trial == "down" {
				m.until = now.Add(m.c.Cooldown)
			} else {
				m.failures, m.until = 0, time.Time{}
			}
		}
		if !half || sys.trial != "down" {
			calls++
			asked, now = now, now.Add(sys.takes)
			m.settle(now)
			if sys.what != "down" {
				m.failures, m.until = 0, time.Time{}
				m.learn(token, sys, asked, now)
				if sys.what == "no" {
					asked = time.Time{}
				}
				return calls, sys.what, asked
			}
			m.failures++
			if m.c.Failures > 0 && m.failures >= m.c.Failures && m.until.IsZero() && m.trial.IsZero() {
				calls++
				m.trial, m.trialOK = now.Add(trialTakes), sys.trial != "down"
			}
		}
	}
	if g, ok := m.good[token]; ok && now.Before(g.stale) {
		return calls, "yes", g.asked
	}
	return calls, "unknown", time.Time{}
}

// learn is what is known of the token from then on.
func (m *model) learn(token string, sys mode, asked, answered time.Time) {
	delete(m.good, token)
	if sys.what == "no" {
		if m.c.NegativeAge > 0 {
			m.bad[token] = answered.Add(m.c.NegativeAge)
		}
		return
	}
	fresh, stale := asked.Add(m.c.MaxAge), asked.Add(m.c.MaxAge+m.c.StaleFor)
	for _, d := range []time.Duration{sys.expires, sys.reuse} {
		if end := asked.Add(d); d != 0 {
			if end.Before(fresh) {
				fresh = end
			}
			if end.Before(stale) {
				stale = end
			}
		}
	}
	m.good[token] = struct{ asked, fresh, stale time.Time }{asked, fresh, stale}
}

// I3, I4: a Verifier does what the model does, whatever happens.
func TestI3Model(t *testing.T) {
	type step struct {
		wait  time.Duration
		mode  mode
		token string
		n     int // callers at once
	}
	rapid.Check(t, func(rt *rapid.T) {
		c := drawConfig(rt)
		c.MaxCalls = max(c.MaxCalls, 2) // nobody waits for a trial
		steps := rapid.SliceOfN(rapid.Custom(func(t *rapid.T) step {
			return step{
				wait:  time.Duration(rapid.IntRange(0, 12).Draw(t, "wait")) * time.Second,
				mode:  drawMode(t),
				token: rapid.SampledFrom([]string{"a", "b"}).Draw(t, "token"),
				n:     rapid.IntRange(1, 3).Draw(t, "n"),
			}
		}), 1, 40).Draw(rt, "steps")
		inBubble(t, rt, func(t *testing.T) error {
			sys := &system{}
			v := open(t, sys, c)
			defer func() { _ = v.Close() }()
			m := model{c: c, good: map[string]struct{ asked, fresh, stale time.Time }{}, bad: map[string]time.Time{}}
			for i, s := range steps {
				time.Sleep(s.wait)
				sys.set(s.mode.Verify)
				before := sys.asked()
				calls, what, asked := m.verify(s.token, s.mode)
				var wg sync.WaitGroup
				results := make([]string, s.n)
				for j := range s.n {
					wg.Go(func() {
						id, err := v.Verify(t.Context(), s.token)
						switch {
						case err == nil && id.VerifiedAt.Equal(asked):
							results[j] = "yes"
						case err == nil:
							results[j] = fmt.Sprintf("yes of %v, want of %v", id.VerifiedAt, asked)
						case errors.Is(err, portcullis.ErrInvalid):
							results[j] = "no"
						case errors.Is(err, portcullis.ErrUnavailable):
							results[j] = "unknown"
						}
					})
				}
				wg.Wait()
				synctest.Wait() // a trial in doubt is being made
				for _, got := range results {
					if got != what {
						return fmt.Errorf("step %d: %s, want %s", i, got, what)
					}
				}
				if got := sys.asked() - before; got != calls {
					return fmt.Errorf("step %d: %d calls, want %d", i, got, calls)
				}
			}
			return nil
		})
	})
}

// I3, I4: when everybody comes and goes as he likes, nobody gets an answer that
// was not, or is no longer, the token system's.
func TestI4Crowd(t *testing.T) {
	type visit struct {
		at, patience time.Duration
		token        string
		mode         mode // of the token system from then on
	}
	rapid.Check(t, func(rt *rapid.T) {
		c := drawConfig(rt)
		visits := rapid.SliceOfN(rapid.Custom(func(t *rapid.T) visit {
			return visit{
				at:       time.Duration(rapid.IntRange(0, 240).Draw(t, "at")) * 250 * time.Millisecond,
				patience: rapid.SampledFrom([]time.Duration{500 * time.Millisecond, time.Second, time.Hour}).Draw(t, "patience"),
				token:    rapid.SampledFrom([]string{"a", "b", "c", "d"}).Draw(t, "token"),
				mode:     drawMode(t),
			}
		}), 1, 60).Draw(rt, "visits")
		inBubble(t, rt, func(t *testing.T) error {
			sys := &system{}
			var (
				mu        sync.Mutex
				refused   = map[string]time.Time{} // when the last no came, by token
				failed    = map[string]time.Time{} // when the last call failed, by token
				anyFailed time.Time
				wrong     error
			)
			c.Timeout = time.Hour // some wait long for a slot
			v := open(t, portcullis.VerifierFunc(func(ctx context.Context, token string) (*portcullis.Identity, error) {
				id, err := sys.Verify(ctx, token)
				mu.Lock()
				defer mu.Unlock()
				switch {
				case errors.Is(err, portcullis.ErrInvalid):
					refused[token] = time.Now()
				case err != nil:
					anyFailed = time.Now()
					failed[token] = anyFailed
				}
				return id, err
			}), c)
			var wg sync.WaitGroup
			for i, visit := range visits {
				wg.Go(func() {
					time.Sleep(visit.at)
					sys.set(visit.mode.Verify)
					began := time.Now()
					mu.Lock()
					refusedBefore := refused[visit.token]
					mu.Unlock()
					ctx, cancel := context.WithTimeout(t.Context(), visit.patience)
					defer cancel()
					id, err := v.Verify(ctx, visit.token)
					now := time.Now()
					mu.Lock()
					defer mu.Unlock()
					fail := func(what string) { wrong = fmt.Errorf("visit %d at %v: %s (%+v, %v)", i, visit.at, what, id, err) } //nolint:errorlint // for people
					switch {
					case now.Sub(began) > visit.patience:
						fail("waited too long")
					case errors.Is(err, portcullis.ErrInvalid):
						if refused[visit.token].IsZero() {
							fail("a no that nobody said")
						}
					case err != nil:
						if ctx.Err() == nil && failed[visit.token].Before(began) && (c.Failures < 0 || anyFailed.IsZero()) {
							fail("an error that nobody made")
						}
					case id.Subject != visit.token:
						fail("somebody else's")
					case id.VerifiedAt.Before(refusedBefore):
						fail("older than a no")
					}
					if err != nil || now.Sub(id.VerifiedAt) <= slowest { // it may have come just now, whatever it says
						return
					}
					switch age := now.Sub(id.VerifiedAt); {
					case age >= c.MaxAge+c.StaleFor:
						fail("too old")
					case age >= c.MaxAge && ctx.Err() == nil && !anyFailed.After(id.VerifiedAt):
						fail("stale without need")
					case !id.ExpiresAt.IsZero() && !now.Before(id.ExpiresAt):
						fail("expired")
					case !id.ReuseUntil.IsZero() && !now.Before(id.ReuseUntil):
						fail("used for too long")
					}
				})
			}
			wg.Wait()
			_ = v.Close()
			if sys.twice || sys.most > c.MaxCalls {
				return fmt.Errorf("two calls for one token: %t, calls at once: %d of %d", sys.twice, sys.most, c.MaxCalls)
			}
			return wrong
		})
	})
}
