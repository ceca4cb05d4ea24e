package portcullis

import (
	"context"
	"time"
)

// A deferred is the context of a request that Handler admits. Many handlers ask
// nothing of it but who the user is, and the standard library's contexts are half of
// what a Guard would cost: they are made when somebody asks for more. Whoever is
// given it can't tell the difference.
type deferred struct {
	s      *Session
	parent context.Context

	// s.mu guards these.
	made context.Context // nil: nobody has asked for anything
	over bool            // it is cancelled, as soon as it is made
	why  error           // the cause of that
}

func (c *deferred) context() context.Context {
	c.s.mu.Lock()
	defer c.s.mu.Unlock()
	switch {
	case c.made != nil:
	case c.over: // before the parent was, which it may be by now
		c.made, c.s.cancel = context.WithCancelCause(context.WithoutCancel(c.parent))
		c.s.cancel(c.why)
	default:
		c.made, c.s.cancel = context.WithCancelCause(c.parent)
	}
	return c.made
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
