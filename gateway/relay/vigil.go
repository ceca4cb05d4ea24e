package relay

import "time"

// A vigil is what is known of a socket in time. Times are counted from a moment
// before it began; 0: never.
type vigil struct {
	heard time.Duration    // when the client said something
	asked time.Duration    // when it was pinged
	data  time.Duration    // when data passed
	stuck [2]time.Duration // since when a side doesn't take what it is to get
	until time.Duration    // when there is no more time for a side that hasn't ended
}

// A lapse is what it is too late for.
type lapse uint8

const (
	nothing lapse = iota
	all           // until is over
	slowClient
	slowBackend
	idle
	silent // the client is to be pinged
	dead   // it has been, and said nothing
)

// awake returns the socket's vigil, to be changed.
func (k *socket) awake() *vigil {
	if k.vigil == nil {
		k.vigil = new(vigil)
	}
	return k.vigil
}

// begin begins a socket.
func (v *vigil) begin(now time.Duration) { v.heard, v.data = now, now }

// note notes that something came in.
func (v *vigil) note(from side, data bool, now time.Duration) {
	if v == nil {
		return
	}
	if from == ofClient {
		v.heard = now
	}
	if data {
		v.data = now
	}
}

// unstuck notes that a side has taken what it was to get. While the backend
// didn't, nobody listened to the client.
func (v *vigil) unstuck(to side, now time.Duration) {
	v.stuck[to] = 0
	if to == ofBackend {
		v.heard = now
	}
}

// over reports whether nothing is waited for but what the client or data do.
func (v *vigil) over() bool { return v.until == 0 && v.stuck == [2]time.Duration{} }

// patience gives a side the time that is left to it, unless that runs already.
func (v *vigil) patience(now, grace time.Duration) {
	if v.until == 0 {
		v.until = now + grace
	}
}

// next returns when it is too late for something, and for what, at the soonest;
// 0: never.
func (v *vigil) next(r *Rules) (at time.Duration, what lapse) {
	switch {
	case v == nil:
		return 0, nothing
	case v.until > 0:
		return v.until, all
	}
	first := func(since, d time.Duration, l lapse) {
		if since > 0 && d > 0 && (at == 0 || since+d < at) {
			at, what = since+d, l
		}
	}
	stall := r.Stall
	if stall == 0 {
		stall = time.Minute
	}
	first(v.stuck[ofClient], stall, slowClient)
	first(v.stuck[ofBackend], stall, slowBackend)
	first(v.data, r.Idle, idle)
	switch {
	case v.stuck[ofBackend] > 0: // nobody listens to the client
	case v.asked > v.heard:
		first(v.asked, r.Ping, dead)
	default:
		first(v.heard, r.Ping, silent)
	}
	return at, what
}

// ending returns what the lapse ends the socket with; nil: it doesn't.
func (l lapse) ending() *ending {
	switch l {
	case slowClient:
		return &ending{cause: ErrSlowClient, backend: notice{1008, "slow"}}
	case slowBackend:
		return &ending{cause: ErrSlowBackend, client: notice{1013, "unavailable"}}
	case idle:
		return alike(ErrIdle, 1008, "idle")
	case dead:
		return &ending{cause: ErrPingTimeout, backend: notice{1001, "ping_timeout"}}
	default:
		return nil
	}
}

// timed reports whether a socket that does nothing will be late for something.
func (r *Rules) timed() bool { return r.Idle > 0 || r.Ping > 0 }

// ping is an empty Ping frame (RFC 6455, section 5.5.2).
var ping = []byte{0x89, 0}
