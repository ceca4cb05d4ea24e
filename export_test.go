package portcullis

import "time"

// ExpireAt does what the timer does at that time.
func (g *Guard) ExpireAt(t time.Time) { g.sessions.expire(t) }

// Empty reports whether nothing is registered.
func (g *Guard) Empty() bool {
	g.sessions.mu.Lock()
	defer g.sessions.mu.Unlock()
	return len(g.sessions.live) == 0 && g.sessions.open == 0
}

const MaxFirstSeen = maxFirstSeen
