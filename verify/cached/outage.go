package cached

import (
	"sync"
	"time"
)

// An outage notices that there has been no definite answer for a while, though
// some were asked for. The zero value notices nothing.
type outage struct {
	every time.Duration // 0: notices nothing
	ask   func()        // asks a question; a definite answer calls answered
	tell  func()

	mu    sync.Mutex // guards what follows
	since time.Time  // of the first failure after the last answer; zero: none
	timer *time.Timer
}

// failed tells of a call that could not tell.
func (o *outage) failed() {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.every > 0 && o.since.IsZero() {
		since := time.Now()
		o.since = since
		o.timer = time.AfterFunc(o.every, func() { o.due(since) })
	}
}

// answered tells of a definite answer.
func (o *outage) answered() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.end()
}

// close notices nothing from now on.
func (o *outage) close() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.every = 0
	o.end()
}

func (o *outage) end() {
	if !o.since.IsZero() {
		o.since = time.Time{}
		o.timer.Stop()
	}
}

// due is what the timer of the outage since then does, in a goroutine of its
// own.
func (o *outage) due(since time.Time) {
	defer o.decide(since) // even if the question ends the goroutine
	o.ask()               // it may be over, and nobody has asked since
}

// decide tells of the outage since then, if it lasts, and sets its timer again.
func (o *outage) decide(since time.Time) {
	o.mu.Lock()
	lasts := o.since.Equal(since)
	o.mu.Unlock()
	if !lasts {
		return
	}
	o.tell()
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.since.Equal(since) {
		o.timer.Reset(o.every)
	}
}
