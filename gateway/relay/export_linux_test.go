package relay

import "time"

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
