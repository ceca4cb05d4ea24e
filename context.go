package portcullis

import (
	"context"
	"time"
)

// A deferred is the context of a request that Handler admits. Many handlers ask
// nothing of it but who the user is, and the standard library's contexts are half of
// what a Guard would cost: they are made when somebody asks for more. Whoever is
// given it can't tell the difference.
type deferred response

// A standard is what a deferred makes. It doesn't change any more.
type standard struct {
	context.Context                         // nil: it ended before somebody asked, and before the parent
	cancel          context.CancelCauseFunc // nil as that
	why             error                   // the cause of that
}

// returned is how most end.
var returned standard

func (c *deferred) context() context.Context {
	c.making.Lock()
	defer c.making.Unlock()
	switch made := c.made; {
	case made == nil:
		ctx, cancel := context.WithCancelCause(c.parent)
		c.made = &standard{Context: ctx, cancel: cancel}
	case made.Context == nil: // whatever the parent is by now
		ctx, cancel := context.WithCancelCause(context.WithoutCancel(c.parent))
		cancel(made.why)
		c.made = &standard{Context: ctx, cancel: cancel}
	}
	return c.made.Context
}

// end is its cancel function.
func (c *deferred) end(why error) {
	c.making.Lock()
	made := c.made
	if made == nil && c.parent.Err() == nil { // else the parent was first
		if c.made = &returned; why != nil {
			c.made = &standard{why: why}
		}
	}
	c.making.Unlock()
	if made != nil && made.cancel != nil {
		made.cancel(why)
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
