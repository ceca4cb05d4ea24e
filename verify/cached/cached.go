// Package cached stands between a Guard and its token system: any
// [portcullis.Verifier], with a memory, one call at a time for each token, and
// a circuit breaker. It guards the token system against overload, and users
// against its outages.
//
// A yes is used again for a while (never beyond the token's expiry, or beyond
// what the token system allows), a no for a shorter while, and what is neither
// is never remembered. Tokens are not kept, not even while they are known: the
// memory is keyed by their hash under a secret of this process.
//
// Decisions about scopes and audiences are not remembered: they are made for
// each request, from the facts in the Identity.
//
// Limits: for as long as Config.MaxAge, a token that the token system has
// withdrawn is still good here, unless a revocation says otherwise. The circuit
// breaker opens only if the token system cannot tell about a token made up at
// random either, lest strangers open it with tokens of their making. So it stays
// closed before one that answers made-up tokens (or whose Verifier does so
// without asking it) but fails for all real ones: Config.MaxCalls and
// Config.Timeout alone bound the calls then. They don't tell strangers from
// others: who has many tokens over which the token system hangs can take all
// turns, for a while, and the trial's too.
package cached

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/maypok86/otter/v2"

	"github.com/portcullis-auth/portcullis"
	"github.com/portcullis-auth/portcullis/internal/askhttp"
)

// A Config says whose answers to remember, and for how long. Verifier is
// required.
type Config struct {
	// Verifier is asked about tokens that are not known. It must return soon
	// after its context is done.
	Verifier portcullis.Verifier

	// MaxAge is the longest time that a yes is used without asking again.
	// ExpiresAt and ReuseUntil of the Identity may make it shorter. 0: 1 min.
	MaxAge time.Duration

	// NegativeAge is how long a no is used without asking again. 0: 5 s.
	// Negative: not at all.
	NegativeAge time.Duration

	// StaleFor is for how much longer than MaxAge a yes is used while the token
	// system cannot tell, within the same bounds. 0: not at all.
	StaleFor time.Duration

	// MaxBytes bounds the memory for answers, with all that they hold; a
	// sixteenth of it is for those that say no. The least is 64 KiB. 0: 64 MiB.
	MaxBytes int64

	// MaxCalls is how many calls to Verifier there may be at once. Others wait.
	// 0: 64.
	MaxCalls int

	// Timeout bounds a call, from when it begins to wait for its turn. It
	// should be shorter than what callers allow themselves: a call that all of
	// them have left doesn't tell whether the token system works. 0: 10 s.
	Timeout time.Duration

	// Failures is how many calls in a row must fail to tell before the token
	// system is asked about a token made up at random. If it cannot tell
	// either, or there is no turn for that within Timeout, the circuit opens,
	// and no more calls are made. 0: 5. Negative: it never opens.
	Failures int

	// Cooldown is how long the circuit stays open before the first who comes
	// has the token system asked like that again. With an answer it closes; else
	// it stays open for as long again. 0: 1 s.
	Cooldown time.Duration

	// OnOutage is called when the token system has not answered for Outage
	// since a call failed, not even a question about a token made up at random,
	// and about every Outage from then on until it answers. It may take its
	// time and call Close. nil: nobody is told.
	OnOutage func()

	// Outage is how long a token system must have been failing for OnOutage to
	// be called. 0: OnOutage is never called.
	Outage time.Duration
}

// A Verifier remembers what another one answered. It is made by [New], safe for
// concurrent use, and must be closed.
type Verifier struct {
	config  Config
	secret  [32]byte
	good    *otter.Cache[key, *verdict]
	bad     *otter.Cache[key, *verdict] // nil: they are not remembered
	slots   chan struct{}               // one element for each call being made
	circuit circuit
	outage  outage
	count   counts
	ctx     context.Context
	cancel  context.CancelFunc // ends ctx, and with it the calls
	running sync.WaitGroup     // of calls; grows only under mu, while not closed

	mu     sync.Mutex // guards calls, what is in them, and closed
	calls  map[key]*call
	closed bool
}

var _ portcullis.Verifier = (*Verifier)(nil)

// New returns a Verifier with an empty memory, or what is wrong with c.
func New(c Config) (*Verifier, error) {
	if c.Verifier == nil {
		return nil, errors.New("cached: Verifier is required")
	}
	c.MaxAge = cmp.Or(c.MaxAge, time.Minute)
	c.NegativeAge = cmp.Or(c.NegativeAge, 5*time.Second)
	c.MaxBytes = cmp.Or(c.MaxBytes, 64<<20)
	c.MaxCalls = cmp.Or(c.MaxCalls, 64)
	c.Timeout = cmp.Or(c.Timeout, 10*time.Second)
	c.Failures = cmp.Or(c.Failures, 5)
	c.Cooldown = cmp.Or(c.Cooldown, time.Second)
	switch {
	case min(c.MaxAge, c.StaleFor, c.Timeout, c.Cooldown, c.Outage) < 0:
		return nil, errors.New("cached: MaxAge, StaleFor, Timeout, Cooldown or Outage is negative")
	case c.MaxAge+c.StaleFor < 0:
		return nil, errors.New("cached: MaxAge and StaleFor are longer than can be counted")
	case c.MaxBytes < 64<<10:
		return nil, errors.New("cached: MaxBytes is less than 64 KiB")
	case c.MaxCalls < 0:
		return nil, errors.New("cached: MaxCalls is negative")
	}
	v := &Verifier{
		config:  c,
		slots:   make(chan struct{}, c.MaxCalls),
		calls:   make(map[key]*call),
		circuit: circuit{limit: c.Failures, cooldown: c.Cooldown},
	}
	_, _ = rand.Read(v.secret[:]) // it never fails
	// Those that say no have a memory of their own: somebody who sends a million
	// forged tokens pushes out nobody's but his own.
	v.good = newMemory(c.MaxBytes - c.MaxBytes/16)
	if c.NegativeAge > 0 {
		v.bad = newMemory(c.MaxBytes / 16)
	}
	v.ctx, v.cancel = context.WithCancel(context.Background())
	if c.OnOutage != nil {
		v.outage = outage{every: c.Outage, ask: func() { v.trial(false) }, tell: c.OnOutage}
	}
	return v, nil
}

// Verify returns what is remembered of the token, or asks. The Identity says in
// VerifiedAt when the token system was asked. Errors are those of the wrapped
// Verifier, or wrap [portcullis.ErrUnavailable]; a token longer than 16 KiB is
// [portcullis.ErrInvalid], and nobody is asked.
//
// With [portcullis.Afresh] nothing that is remembered counts, but the answer is
// remembered.
//
// Callers with the same token share one call. It has the values of the first
// one's context, and ends when all of them have gone: when ctx is done, Verify
// returns at once with an error that wraps ctx's, and the others wait on. A
// panic of the wrapped Verifier is an error too, without its text, which could
// hold anything.
func (v *Verifier) Verify(ctx context.Context, token string) (*portcullis.Identity, error) {
	if len(token) > askhttp.MaxToken { // J5
		return nil, errTooLong
	}
	k := v.key(token)
	if portcullis.IsAfresh(ctx) {
		answer := v.miss(ctx, k, token, time.Now())
		return answer.id, answer.err
	}
	if known := v.recall(k, time.Now()); known != nil {
		if known.err == nil {
			v.count.hits.Add(1)
		} else {
			v.count.negative.Add(1)
		}
		return known.id, known.err
	}
	answer := v.miss(ctx, k, token, time.Time{})
	if answer.unknown() {
		// Not what was found above: a no may have come since.
		if old, ok := v.good.GetIfPresent(k); ok && !reached(time.Now(), old.stale) {
			v.count.stale.Add(1)
			return old.id, nil
		}
	}
	return answer.id, answer.err
}

// miss asks, and counts it.
func (v *Verifier) miss(ctx context.Context, k key, token string, since time.Time) *verdict {
	v.count.misses.Add(1)
	answer := v.ask(ctx, k, token, since)
	if answer == circuitOpen {
		v.count.refused.Add(1)
	}
	return answer
}

// Close ends the calls being made, waits for them, and stops the Verifier's
// goroutines. Verify returns [portcullis.ErrUnavailable] from then on, and
// OnOutage is not called any more. The error is always nil.
func (v *Verifier) Close() error {
	v.outage.close() // first: that calls are ended here says nothing about the token system
	v.mu.Lock()
	v.closed = true
	v.mu.Unlock()
	v.cancel()
	v.running.Wait()
	// From here on nothing is known, and nothing can be asked.
	v.good.StopAllGoroutines()
	v.good.InvalidateAll()
	if v.bad != nil {
		v.bad.StopAllGoroutines()
		v.bad.InvalidateAll()
	}
	return nil
}

var errTooLong = fmt.Errorf("%w: longer than 16 KiB", portcullis.ErrInvalid)
