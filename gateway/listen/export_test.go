package listen

import (
	"log/slog"
	"net"
)

// ReadHeader is readHeader.
var ReadHeader = readHeader

// Shaking is how many handshakes have begun and aren't over.
func (l *Listener) Shaking() (n int) {
	l.shaking.Range(func(_, _ any) bool { n++; return true })
	return n
}

// Slots is how many connections are counted, and of how many addresses.
func (l *Listener) Slots() (taken, addresses int) {
	l.slots.mu.Lock()
	defer l.slots.mu.Unlock()
	return l.slots.taken, len(l.slots.of)
}

// Claim is the connection's claim.
func Claim(c net.Conn) bool { return c.(*conn).claim() }

// Rarely is rarely.
type Rarely struct{ rarely }

// Log is its log.
func (r *Rarely) Log(log *slog.Logger, msg string) { r.log(log, slog.LevelInfo, msg, slog.Attr{}) }

// Subscriber is what connections from there count for.
func Subscriber(a net.Addr) string { return subscriber(addressOf(a)).String() }

// Why is why.
var Why = why
