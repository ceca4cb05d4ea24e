package portcullis

import (
	"context"
	"sync"
	"time"
)

// A deferred is the context of a request that Handler admits. Many handlers ask
// nothing of it but who the user is, and the standard library's contexts are half of
// what a Guard would cost: they are made when somebody asks for more. Whoever is
// given it can't tell the difference.
type deferred struct {
	s      *Session
	parent context.Context

	mu     sync.Mutex // guards what follows
	made   context.Context
	cancel context.CancelCauseFunc // nil: nobody has asked for anything
	over   bool                    // it ended before somebody did, and before the parent
	why    error                   // the cause of that
}

func (c *deferred) context() context.Context {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case c.made != nil:
	case c.over: // whatever the parent is by now
		c.made, c.cancel = context.WithCancelCause(context.WithoutCancel(c.parent))
		c.cancel(c.why)
	default:
		c.made, c.cancel = context.WithCancelCause(c.parent)
	}
	return c.made
}

// end is its cancel function.
func (c *deferred) end(why error) {
	c.mu.Lock()
	cancel := c.cancel
	if cancel == nil && c.parent.Err() == nil { // else the parent was first
		c.over, c.why = true, why
	}
	c.mu.Unlock()
	if cancel != nil {
		cancel(why)
	}
}

func (c *deferred) Deadline() (time.Time, bool) { return c.parent.Deadline() }

func (c *deferred) Done() <-chan struct{} { return c.context().Done() }

func (c *deferred) Err() error { return c.context().Err() }

// Value has package context find what it cancels by, too.
func (c *deferred) Value(key any) any {
	if key == (sessionKey{}) {
		return c.s
	}
	return c.context().Value(key)
}

// String keeps package fmt from what mu guards.
func (c *deferred) String() string { return "portcullis.Context" }
