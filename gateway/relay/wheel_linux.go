package relay

import "time"

const (
	tick  = 16 * time.Millisecond // how exact timers are
	slots = 256
)

// A wheel holds timers of pairs: one each, in a list for the tick when it is
// due, or one of the rounds before. Setting and stopping one allocates nothing.
type wheel struct {
	now   int64 // ticks since the beginning, all done
	count int
	lists [slots]*pair
}

// A timer is a pair's place in the wheel.
type timer struct {
	due        int64 // in ticks since the beginning; 0: not set
	next, prev *pair
}

// set sets the pair's timer, in place of what it was, to be due at a moment that
// isn't before now.
func (w *wheel) set(p *pair, now, at time.Duration) {
	w.stop(p)
	if w.count == 0 { // nobody has advanced it for a while
		w.now = int64(now / tick)
	}
	w.count++
	p.timer.due = after(max(at, now))
	head := &w.lists[p.timer.due%slots]
	if p.timer.next = *head; *head != nil {
		(*head).timer.prev = p
	}
	*head = p
}

// after returns the first tick that is wholly behind a moment.
func after(at time.Duration) int64 { return int64(at/tick) + 1 }

// stop takes the timer out if it is set.
func (w *wheel) stop(p *pair) {
	t := &p.timer
	if t.due == 0 {
		return
	}
	if t.next != nil {
		t.next.timer.prev = t.prev
	}
	if t.prev != nil {
		t.prev.timer.next = t.next
	} else {
		w.lists[t.due%slots] = t.next
	}
	*t = timer{}
	w.count--
}

// advance calls late for each pair whose time is over by now. late may set and
// stop timers of its pair.
func (w *wheel) advance(now time.Duration, late func(*pair)) {
	until := int64(now / tick)
	for at := max(w.now+1, until-slots+1); at <= until; at++ {
		for p := w.lists[at%slots]; p != nil; {
			next := p.timer.next
			if p.timer.due <= until {
				w.stop(p)
				late(p)
			}
			p = next
		}
	}
	w.now = max(w.now, until)
}

// next returns when advance has something to do at the soonest; 0: never.
func (w *wheel) next() time.Duration {
	if w.count == 0 {
		return 0
	}
	at := w.now + 1
	for range slots - 1 {
		if w.lists[at%slots] != nil {
			break
		}
		at++
	}
	return time.Duration(at) * tick
}
