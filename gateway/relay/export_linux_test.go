package relay

import (
	"slices"
	"time"
)

const Tick = tick

// A Wheel is a wheel with pairs that have numbers.
type Wheel struct {
	wheel
	start time.Time
	pairs [10]pair
}

func NewWheel() *Wheel {
	start := time.Now()
	return &Wheel{wheel: newWheel(start), start: start}
}

func (w *Wheel) Set(i int, now, d time.Duration) { w.set(&w.pairs[i], w.start.Add(now), d) }

func (w *Wheel) Stop(i int) { w.stop(&w.pairs[i]) }

func (w *Wheel) Advance(now time.Duration) map[int]bool {
	late := map[int]bool{}
	w.advance(w.start.Add(now), func(p *pair) {
		for i := range w.pairs {
			if p == &w.pairs[i] {
				late[i] = true
			}
		}
	})
	return late
}

func (w *Wheel) Next() (time.Duration, bool) {
	next := w.next()
	return next.Sub(w.start), !next.IsZero()
}

// Stuck returns what a client with a queue has taken, and what it hasn't.
func (e *Engine) Stuck() (taken int64, queued int) {
	for _, l := range e.loops.list {
		l.mu.Lock()
		pairs := slices.Clone(l.pairs)
		l.mu.Unlock()
		for _, p := range pairs {
			if p == nil {
				continue
			}
			p.mu.Lock()
			if p.client.queue != nil {
				taken, queued = p.client.moved, len(p.client.queue.rest)
			}
			p.mu.Unlock()
		}
	}
	return taken, queued
}
