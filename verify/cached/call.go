package cached

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"time"
)

// A call is one question to the token system, on behalf of everybody who has
// that token (I4). There is never a second one for it at the same time: a call
// that everybody has left stays until it is over, lest its answer overtake that
// of the next one.
type call struct {
	began   time.Time
	waiting int  // callers; guarded by Verifier.mu
	left    bool // by all of them, and so cancelled; guarded by Verifier.mu
	cancel  context.CancelFunc

	done   chan struct{} // closed when answer is final
	answer *verdict
}

// ask returns the token system's answer about the token, waiting for a call
// that is being made, or making one. since is not zero for a caller who wants an
// answer to a question asked since then.
func (v *Verifier) ask(ctx context.Context, k key, token string, since time.Time) *verdict {
	for {
		c, known := v.join(ctx, k, token, since)
		if known != nil {
			return known
		}
		select {
		case <-c.done:
			if !c.left && !c.began.Before(since) {
				return c.answer
			}
			// It was others', who had all gone when we came, or had come too early.
		case <-ctx.Done():
			v.leave(c)
			return unavailable(fmt.Errorf("gave up waiting for the token system: %w", ctx.Err()))
		}
	}
}

// join counts the caller in; there is no call where the answer is known.
func (v *Verifier) join(ctx context.Context, k key, token string, since time.Time) (*call, *verdict) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if c, ok := v.calls[k]; ok {
		c.waiting++
		if !c.left {
			v.count.coalesced.Add(1)
		}
		return c, nil
	}
	now := time.Now()
	if known := v.recall(k, now); known != nil && since.IsZero() { // a call has ended since we looked
		return nil, known
	}
	switch {
	case v.closed:
		return nil, closed
	case v.circuit.refuses(now):
		return nil, circuitOpen
	case ctx.Err() != nil:
		return nil, unavailable(ctx.Err())
	}
	c := &call{began: now, waiting: 1, done: make(chan struct{}), answer: panicked}
	ctx, c.cancel = v.detach(ctx)
	v.calls[k] = c
	v.running.Add(1)
	go v.run(ctx, c, k, token) // ends when the wrapped Verifier returns
	return c, nil
}

// detach returns a context with the values of ctx that is done after Timeout,
// or when the Verifier is closed, but not with ctx.
func (v *Verifier) detach(ctx context.Context) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), v.config.Timeout)
	stop := context.AfterFunc(v.ctx, cancel)
	return ctx, func() { stop(); cancel() }
}

// leave counts a caller out. The last one ends the call.
func (v *Verifier) leave(c *call) {
	v.mu.Lock()
	defer v.mu.Unlock()
	c.waiting--
	if c.waiting == 0 {
		c.left = true
		c.cancel()
	}
}

// run makes the call. The answer is remembered before the call is over:
// whoever doesn't find the one finds the other.
func (v *Verifier) run(ctx context.Context, c *call, k key, token string) {
	defer v.running.Done()
	defer func() {
		v.mu.Lock()
		defer v.mu.Unlock()
		delete(v.calls, k)
		c.cancel()
		close(c.done)
	}()
	c.answer = v.question(ctx, token)
	v.remember(k, c.answer)
}

// question asks about the token, when there is a slot, if the circuit lets it.
func (v *Verifier) question(ctx context.Context, token string) *verdict {
	if err := v.take(ctx); err != nil {
		return unavailable(err)
	}
	defer v.give()
	trial, ok := v.circuit.enter(time.Now())
	if !ok {
		return circuitOpen
	}
	if trial {
		// An answer isn't about this token: only that nobody can tell is passed on.
		if answer := v.put(ctx, rand.Text(), true); answer.unknown() {
			return answer
		}
	}
	return v.put(ctx, token, false)
}

// trial asks about a token that cannot exist, so that a no is an answer like
// any other, and no caller has a say in it. With doubt, that is what the circuit
// waits for; else it is a question that passes even if the circuit is open.
func (v *Verifier) trial(doubt bool) {
	v.mu.Lock()
	if v.closed {
		v.mu.Unlock()
		return
	}
	v.running.Add(1)
	v.mu.Unlock()
	defer v.running.Done()
	ctx, cancel := v.detach(context.Background())
	defer cancel()
	if err := v.take(ctx); err != nil {
		if doubt {
			v.circuit.tried(true, time.Now())
		}
		return
	}
	defer v.give()
	v.put(ctx, rand.Text(), doubt)
}

// take waits for a slot, which give gives back.
func (v *Verifier) take(ctx context.Context) error {
	select {
	case v.slots <- struct{}{}:
		if err := ctx.Err(); err != nil {
			v.give()
			return err
		}
		return nil
	case <-ctx.Done():
		return fmt.Errorf("all calls to the token system are in use: %w", ctx.Err())
	}
}

func (v *Verifier) give() { <-v.slots }

// put puts the question to the wrapped Verifier, and tells everybody what came
// of it. With trial it is the one that the circuit waits for.
func (v *Verifier) put(ctx context.Context, token string, trial bool) (answer *verdict) {
	v.count.calls.Add(1)
	answer = panicked // unless Verify returns: it may panic, or end the goroutine
	defer func() {
		_ = recover()
		failed := false
		switch {
		case !answer.unknown():
			v.circuit.answered()
			v.outage.answered()
		case errors.Is(ctx.Err(), context.Canceled): // by us, so this says nothing about the token system
		default:
			failed = true
			v.count.errors.Add(1)
			v.outage.failed()
		}
		switch {
		case trial:
			v.circuit.tried(failed, time.Now())
		case failed && v.circuit.failed():
			go v.trial(true) // ends when the wrapped Verifier returns
		}
	}()
	asked := time.Now()
	id, err := v.config.Verifier.Verify(ctx, token)
	return v.config.judge(id, err, asked)
}

var (
	closed      = unavailable(errors.New("the Verifier is closed"))
	panicked    = unavailable(errors.New("the Verifier panicked"))
	circuitOpen = unavailable(errors.New("the token system has failed repeatedly, and is left alone for a moment"))
)
