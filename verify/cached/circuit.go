package cached

import (
	"sync"
	"time"
)

// A circuit keeps calls from a token system that fails. Calls that fail don't
// open it: strangers may have made their tokens. After limit failures in a row
// it is in doubt, and a trial is made: a question about a token made up at
// random. If that fails too it opens. Cooldown later it is half open: the first
// who comes makes the next trial. Any definite answer closes it.
type circuit struct {
	limit    int // negative: it never opens
	cooldown time.Duration

	mu       sync.Mutex // guards what follows
	failures int        // in a row
	until    time.Time  // when it is half open; zero: it is closed
	trying   bool       // a trial is being made; there is never a second one
}

// refuses reports whether enter would refuse a call.
func (c *circuit) refuses(now time.Time) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.blocked(now)
}

// isOpen reports whether it is not closed.
func (c *circuit) isOpen() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return !c.until.IsZero()
}

// blocked is refuses, with the mutex held.
func (c *circuit) blocked(now time.Time) bool {
	return !c.until.IsZero() && (c.trying || now.Before(c.until))
}

// enter lets a call through, or not. With trial, a trial has to be made first.
func (c *circuit) enter(now time.Time) (trial, ok bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.blocked(now) {
		return false, false
	}
	trial = !c.until.IsZero()
	c.trying = c.trying || trial
	return trial, true
}

// answered tells of a definite answer, whenever it was asked for.
func (c *circuit) answered() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.until, c.failures = time.Time{}, 0
}

// failed tells of a call that could not tell. With doubt, a trial has to be
// made.
func (c *circuit) failed() (doubt bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.failures++
	doubt = c.limit > 0 && c.failures >= c.limit && c.until.IsZero() && !c.trying
	c.trying = c.trying || doubt
	return doubt
}

// tried tells that the trial is over, after answered if it was answered. One
// that has not failed either was abandoned: another may be made. That it failed
// means nothing if a call was answered meanwhile.
func (c *circuit) tried(failed bool, now time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.trying = false
	if failed && c.failures >= c.limit {
		c.until = now.Add(c.cooldown)
	}
}
