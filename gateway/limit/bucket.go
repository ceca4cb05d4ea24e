package limit

import (
	"math"
	"sync/atomic"
	"time"

	"github.com/portcullis-auth/portcullis"
)

// A Rate is a number of events, or bytes, a second.
type Rate struct {
	PerSecond float64 // 0: no bound

	// Burst is how many may come at once after a while without any. Less than 1:
	// as many as come in a second, but one at least. What is larger by itself (a
	// message, where bytes are counted) passes after such a while too, and is
	// paid for by those that follow.
	Burst int
}

// An Exceeded is the error of all limits. It wraps [portcullis.ErrLimit]: 429, or
// Close 1008.
type Exceeded struct {
	What string // the limit's name, as in "sockets_per_user"

	// RetryAfter is how long to wait until the same would pass, if nothing else
	// comes before. 0: nobody knows when a socket will be closed.
	RetryAfter time.Duration
}

func (e *Exceeded) Error() string { return "limit exceeded: " + e.What }

func (e *Exceeded) Unwrap() error { return portcullis.ErrLimit }

// A kind is something that is counted by the second.
type kind int

const (
	messages kind = iota
	bytes
	handshakes
	requests
	kinds
)

type quotas [kinds]quota

// A quota is a Rate as buckets reckon with it. The zero value is no bound.
type quota struct {
	name  string
	burst int
	each  float64 // nanoseconds for one
	room  int64   // nanoseconds for a burst
}

// longest bounds every time that is reckoned with, so that sums of some of them
// don't overflow: 36 years.
const longest = 1 << 60

func newQuota(name string, r Rate) quota {
	if r.PerSecond == 0 {
		return quota{}
	}
	q := quota{name: name, burst: r.Burst, each: float64(time.Second) / r.PerSecond}
	if !(r.PerSecond > 0) { // NaN isn't either
		q.each, q.room = 1, -1 // nothing fits
		return q
	}
	if q.burst < 1 {
		q.burst = int(min(max(math.Ceil(r.PerSecond), 1), math.MaxInt32))
	}
	q.room = q.time(q.burst)
	return q
}

func (q *quota) bounds() bool { return q.each != 0 }

// time returns the nanoseconds that n take. Rounding down gives away less than a
// nanosecond each time; rounding up would make bursts smaller than they are.
func (q *quota) time(n int) int64 { return int64(min(float64(n)*q.each, longest)) }

// A bucket says until when what was used has been paid for, in nanoseconds since
// the Limiter's start: all that is left of a token bucket if its size and rate
// are kept elsewhere. The zero value is a full one.
//
// [golang.org/x/time/rate] does the same in ten times the memory and, because it
// reads both clocks, in three times the time.
type bucket struct{ paid atomic.Int64 }

// take takes n, unless that exceeds the quota: then it takes nothing.
func (b *bucket) take(q *quota, n int, now int64) error {
	if !q.bounds() || n <= 0 {
		return nil
	}
	need, pay := q.time(min(n, q.burst)), q.time(n)
	for {
		paid := b.paid.Load()
		from := max(paid, now)
		if over := from - now + need - q.room; over > 0 {
			return &Exceeded{What: q.name, RetryAfter: time.Duration(over)}
		}
		if b.paid.CompareAndSwap(paid, from+pay) {
			return nil
		}
	}
}

// full reports whether the bucket is as good as a new one.
func (b *bucket) full(now int64) bool { return b.paid.Load() <= now }

// owe has b used at least what other has.
func (b *bucket) owe(other *bucket) {
	b.paid.Store(max(b.paid.Load(), other.paid.Load()))
}
