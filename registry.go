package portcullis

import (
	"container/heap"
	"crypto/rand"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// sweepEvery is how often the wall clock is looked at while there are sessions:
// timers don't notice when it is set.
const sweepEvery = time.Second

// A registry holds the live sessions of a Guard, and what has been revoked. The
// sessions are one heap, soonest deadline first: it gives every session a timer
// for the price of one, and a revocation goes through all of it, which is some
// nanoseconds a session. One mutex over both closes the race between a verdict
// and a revocation: a session is tested in the moment it is registered.
//
// The zero value is empty.
type registry struct {
	// ending is read-locked from before sessions leave the heap until they have
	// ended, so that who finds them gone can wait for that.
	ending sync.RWMutex

	due atomic.Int64 // armed, in Unix nanoseconds; 0: not running

	mu       sync.Mutex // guards everything else here
	live     deadlines
	timer    *time.Timer
	armed    time.Time // when the timer fires; zero: not running
	revoked  revocations
	seen     firstSeen
	logins   logins
	tokens   tokens
	longest  time.Duration // the longest time that a token had left
	latest   time.Time     // the latest deadline of any
	number   uint64        // of the last session
	hurried  uint64        // how often hasten was called
	open     int           // sessions admitted and not yet closed
	shutdown chan struct{} // closed once open is 0; nil: not shutting down
	name     string
}

// A verdict is what the token system said about a token, and when.
type verdict struct {
	id       *Identity
	deadline time.Time // until when it holds, by the wall clock
	issued   time.Time // when its token was issued, or counts as issued
	asked    time.Time // when the token system was
	token    string    // if it is to be asked about again
}

// sighted returns when a token that doesn't say so counts as issued. A token is
// sighted as soon as the token system has vouched for it, whatever the rule
// then says: a revocation in between must find it.
func (g *registry) sighted(key tokenKey, asked, until time.Time) time.Time {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.seen.first(key, asked, until)
}

// add registers the session under the verdict and tests it against what has
// been revoked, in one step. It returns the sockets of the same login that the
// verdict outlives.
func (g *registry) add(s *Session, v verdict, now time.Time) (outlived []*Session, err error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.shutdown != nil {
		return nil, ErrShutdown
	}
	if g.revoked.match(v.id, v.issued.Unix(), now) {
		return nil, ErrRevoked
	}
	g.lasts(v.deadline, now)
	s.issued, s.deadline = v.issued.Unix(), v.deadline
	g.number++
	s.number = g.number
	g.open++
	heap.Push(&g.live, s)
	g.arm(now)
	s.token = v.token
	if s.upgrade {
		s.more.verified = v.asked
		s.token = g.tokens.keep(v.token)
		g.logins.add(s, v.id)
	}
	return g.logins.outlived(v.id, v.deadline), nil
}

// renew puts a live session under the verdict about another token, unless the
// one that it has holds longer.
func (g *registry) renew(s *Session, v verdict, now time.Time) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	if err := g.mayRenew(s, v, now); err != nil || v.deadline.Before(s.deadline) {
		return err
	}
	g.put(s, v, now)
	if v.token == "" || v.token != s.token { // not by the call that asks for it, and then by what it asks for
		s.more.renewed++
		if !s.more.next.Equal(atOnce) {
			s.more.next = time.Time{} // to be settled for this one
		}
	}
	if s.upgrade {
		g.tokens.drop(s.token)
		v.token = g.tokens.keep(v.token)
	}
	s.token = v.token
	return nil
}

// renewIf puts a session that lives on the token under a new verdict about it.
// Only "exp" makes it longer.
func (g *registry) renewIf(s *Session, token string, v verdict, now time.Time) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	if err := g.mayRenew(s, v, now); err != nil || s.token != token {
		return err
	}
	if v.id.ExpiresAt.IsZero() {
		v.deadline = s.deadline
	}
	g.put(s, v, now)
	return nil
}

// mayRenew needs the mutex, as put does.
func (g *registry) mayRenew(s *Session, v verdict, now time.Time) error {
	if g.revoked.match(v.id, v.issued.Unix(), now) {
		return ErrRevoked
	}
	if s.index < 0 {
		if err := s.Err(); err != nil {
			return err
		}
		return ErrNoSession
	}
	g.lasts(v.deadline, now)
	return nil
}

func (g *registry) put(s *Session, v verdict, now time.Time) {
	if s.more == nil {
		s.more = new(more)
	}
	s.more.verified = v.asked
	s.identity.Store(v.id)
	g.logins.move(s, v.id)
	s.issued, s.deadline = v.issued.Unix(), v.deadline
	heap.Fix(&g.live, int(s.index))
	g.arm(now)
}

// remove takes s out of the heap, if it is there.
func (g *registry) remove(s *Session) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if s.index >= 0 {
		g.drop(s)
	}
}

// drop is remove for one that is there, with the mutex held.
func (g *registry) drop(s *Session) {
	heap.Remove(&g.live, int(s.index))
	g.left(s)
}

// left takes s, which has just left the heap, out of the indexes too.
func (g *registry) left(s *Session) {
	g.logins.remove(s)
	if s.upgrade {
		g.tokens.drop(s.token)
	}
}

// done is remove for a session that is over.
func (g *registry) done(s *Session) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if s.index >= 0 {
		g.drop(s)
	}
	if g.open--; g.open == 0 && g.shutdown != nil {
		close(g.shutdown)
	}
}

// arm makes sure that the timer fires when the next session is due, and at the
// next sweep at the latest. The mutex is held.
func (g *registry) arm(now time.Time) {
	if len(g.live) == 0 {
		return
	}
	soonest := g.live[0].deadline
	if !g.armed.IsZero() && !soonest.Before(g.armed) {
		return
	}
	wait := min(soonest.Sub(now.Round(0)), sweepEvery)
	if g.timer == nil {
		g.timer = time.AfterFunc(wait, func() { g.expire(time.Now()) })
	} else {
		g.timer.Reset(wait)
	}
	g.armed = now.Add(wait).Round(0)
	g.due.Store(g.armed.UnixNano())
}

// expire ends the sessions whose time is over.
func (g *registry) expire(now time.Time) {
	g.ending.RLock()
	defer g.ending.RUnlock()
	wall := now.Round(0)
	var due []*Session
	g.mu.Lock()
	for len(g.live) > 0 && !wall.Before(g.live[0].deadline) {
		s := heap.Pop(&g.live).(*Session)
		g.left(s)
		due = append(due, s)
	}
	g.armed = time.Time{}
	g.due.Store(0)
	g.arm(now)
	g.mu.Unlock()
	for _, s := range due {
		s.ends(ErrExpired)
	}
}

// settled returns when every session that has left the heap has ended.
func (g *registry) settled() {
	g.ending.Lock()
	defer g.ending.Unlock()
}

// revoke remembers the revocation and returns the sessions that it ends.
func (g *registry) revoke(rev Revocation, now time.Time) (ends []*Session) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.revoked.add(rev, now)
	for _, s := range g.live {
		if rev.matches(s.Identity(), s.issued) {
			ends = append(ends, s)
		}
	}
	return ends
}

// lasts notes how much time a token has left. One that ends before another one
// that was seen earlier has less than that one had.
func (g *registry) lasts(deadline, now time.Time) {
	if deadline.After(g.latest) {
		g.latest = deadline
		g.longest = max(g.longest, deadline.Sub(now))
	}
}

// lifetime returns how long any token may live, as far as is known.
func (g *registry) lifetime(atLeast time.Duration) time.Duration {
	g.mu.Lock()
	defer g.mu.Unlock()
	return max(g.longest, atLeast)
}

// all describes the live sessions.
func (g *registry) all() []SessionInfo {
	prefix := g.prefix()
	g.mu.Lock()
	live := slices.Clone(g.live)
	infos := make([]SessionInfo, len(live))
	for i, s := range live {
		infos[i] = SessionInfo{Expires: s.deadline, Verified: s.opened}
		if s.more != nil {
			infos[i].Verified, infos[i].Renewed = s.more.verified, s.more.renewed
		}
	}
	g.mu.Unlock()
	for i, s := range live {
		s.describe(&infos[i], prefix)
	}
	return infos
}

// snapshot returns the live sessions for which keep is true.
func (g *registry) snapshot(keep func(*Session) bool) (list []*Session) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, s := range g.live {
		if keep(s) {
			list = append(list, s)
		}
	}
	return list
}

// byHandle returns the live session of that handle, or nil.
func (g *registry) byHandle(name string) *Session {
	digits, ok := strings.CutPrefix(name, g.prefix())
	number, err := strconv.ParseUint(digits, 36, 64)
	if !ok || err != nil || handle(g.prefix(), number) != name { // one spelling each
		return nil
	}
	if list := g.snapshot(func(s *Session) bool { return s.number == number }); len(list) > 0 {
		return list[0]
	}
	return nil
}

// prefix returns what tells this registry's handles from those of others.
func (g *registry) prefix() string {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.name == "" {
		g.name = rand.Text()[:13] + "-"
	}
	return g.name
}

// close refuses sessions from now on; the channel is closed when none is left.
func (g *registry) close() <-chan struct{} {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.shutdown == nil {
		g.shutdown = make(chan struct{})
		if g.open == 0 {
			close(g.shutdown)
		}
	}
	return g.shutdown
}

// deadlines is a heap for container/heap; each session knows its index.
type deadlines []*Session

func (d deadlines) Len() int           { return len(d) }
func (d deadlines) Less(i, j int) bool { return d[i].deadline.Before(d[j].deadline) }

func (d deadlines) Swap(i, j int) {
	d[i], d[j] = d[j], d[i]
	d[i].index, d[j].index = int32(i), int32(j)
}

func (d *deadlines) Push(x any) {
	s := x.(*Session)
	s.index = int32(len(*d))
	*d = append(*d, s)
}

func (d *deadlines) Pop() any {
	last := len(*d) - 1
	s := (*d)[last]
	(*d)[last] = nil
	*d = (*d)[:last]
	s.index = -1
	return s
}
