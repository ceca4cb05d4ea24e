package cached

import (
	"sync"
	"time"
)

// A circuit keeps calls from a token system that fails. After limit failures in
// a row it is open; cooldown later it is half open: one call may pass, and what
// comes of it closes the circuit or opens it again. Any definite answer closes
// it.
type circuit struct {
	limit    int // negative: it never opens
	cooldown time.Duration

	mu       sync.Mutex // guards what follows
	failures int        // in a row
	until    time.Time  // when it is half open; zero: it is closed
	probing  bool       // half open, and the one call is being made
	turn     int        // how often it has opened
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
	return !c.until.IsZero() && (c.probing || now.Before(c.until))
}

// enter lets a call through, or not. What becomes of it must be told to one of
// the methods below; failed and abandoned want to know its turn.
func (c *circuit) enter(now time.Time) (turn int, ok bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.blocked(now) {
		return -1, false
	}
	c.probing = !c.until.IsZero()
	return c.turn, true
}

// answered tells of a definite answer, whenever it was asked for.
func (c *circuit) answered() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.until, c.failures = time.Time{}, 0
}

// failed tells of a call that could not tell. One that was let through before
// the circuit opened says nothing new.
func (c *circuit) failed(turn int, now time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if turn != c.turn || c.limit < 0 {
		return
	}
	c.failures++
	if c.failures >= c.limit {
		c.until, c.probing = now.Add(c.cooldown), false
		c.turn++
	}
}

// abandoned tells of a call that was not waited for: another may be made.
func (c *circuit) abandoned(turn int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if turn == c.turn {
		c.probing = false
	}
}
