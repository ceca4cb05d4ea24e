package relay

import "time"

const (
	tick  = 16 * time.Millisecond // how exact timers are
	slots = 256
)

// A wheel holds timers of pairs: one each, in a list for the tick when it is
// due, or one of the rounds before. Setting and stopping one allocates nothing.
type wheel struct {
	origin time.Time
	now    int64 // ticks since origin, all done
	count  int
	lists  [slots]*pair
}

// A timer is a pair's place in the wheel.
type timer struct {
	due        int64 // in ticks since origin; 0: not set
	next, prev *pair
}

func newWheel(now time.Time) wheel { return wheel{origin: now} }

// set sets the pair's timer, in place of what it was, to be due in d.
func (w *wheel) set(p *pair, now time.Time, d time.Duration) {
	w.stop(p)
	since := now.Sub(w.origin)
	if w.count == 0 { // nobody has advanced it for a while
		w.now = int64(since / tick)
	}
	w.count++
	p.timer.due = int64((since+d)/tick) + 1
	head := &w.lists[p.timer.due%slots]
	if p.timer.next = *head; *head != nil {
		(*head).timer.prev = p
	}
	*head = p
}

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
func (w *wheel) advance(now time.Time, late func(*pair)) {
	until := int64(now.Sub(w.origin) / tick)
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

// next returns when advance has something to do at the soonest; zero: never.
func (w *wheel) next() time.Time {
	if w.count == 0 {
		return time.Time{}
	}
	at := w.now + 1
	for range slots - 1 {
		if w.lists[at%slots] != nil {
			break
		}
		at++
	}
	return w.origin.Add(time.Duration(at) * tick)
}
