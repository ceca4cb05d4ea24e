package portcullis

import "time"

// ExpireAt does what the timer does at that time.
func (g *Guard) ExpireAt(t time.Time) { g.sessions.expire(t) }

// Empty reports whether nothing is registered.
func (g *Guard) Empty() bool {
	g.sessions.mu.Lock()
	defer g.sessions.mu.Unlock()
	return len(g.sessions.live) == 0 && g.sessions.open == 0 && len(g.sessions.logins) == 0 && len(g.sessions.tokens) == 0
}

// End ends the session.
func (s *Session) End(cause error) { s.end(cause) }

// Revocations returns how many revocations are remembered.
func (g *Guard) Revocations() int {
	g.sessions.mu.Lock()
	defer g.sessions.mu.Unlock()
	return g.sessions.revoked.n
}

const MaxFirstSeen = maxFirstSeen

var (
	// Protocols returns the subprotocols that a handshake offers.
	Protocols = protocols

	// Echo returns the subprotocol that the Guard answers with, where no source
	// has noted it.
	Echo = guessMarker
)

// Logins returns how many logins have live sockets.
func (g *Guard) Logins() int {
	g.sessions.mu.Lock()
	defer g.sessions.mu.Unlock()
	return len(g.sessions.logins)
}
