package faultproxy

import "time"

// A Script says what happens in one direction of a connection. The zero value
// passes everything on at once.
type Script struct {
	// Pieces chops the stream into pieces of 1 to Pieces bytes, written one by
	// one, at places that the Seed decides. 0: as the bytes come.
	Pieces int

	// Pause is the longest pause before a piece; the Seed decides how long each
	// one is. Set ends the one under way. 0: none.
	Pause time.Duration

	// Gate lets one piece pass for each value that can be received, and all of
	// them once it is closed. nil: it is open.
	Gate <-chan struct{}

	// Rate is how many bytes pass in a second. 0: no bound.
	Rate int

	// Fault happens when exactly At bytes have come this way since the
	// connection began; at once if they have already.
	Fault Fault
	At    int64
}

// A Fault is what a direction of a connection does instead of passing bytes on.
type Fault uint8

const (
	// Pass is no fault.
	Pass Fault = iota

	// Hold stops reading, so that the sender gets stuck when all buffers are
	// full. It doesn't see the sender's end either. Nothing is lost.
	Hold

	// Drop is a black hole: it reads and drops, and keeps even the sender's end
	// to itself. In both directions it is a peer that vanished without a trace.
	Drop

	// Shut ends this direction only, and for good: the receiver gets FIN, and
	// what the sender still sends is dropped.
	Shut

	// Cut is Shut in both directions. The connection is over when both peers
	// have ended their side of it too.
	Cut

	// Reset gives both peers RST. That can destroy bytes that have been passed
	// on, but not read.
	Reset
)

// due returns the fault behind pos bytes.
func (s *Script) due(pos int64) Fault {
	if pos < s.At {
		return Pass
	}
	return s.Fault
}

// limit returns how many of n bytes behind pos may be written at once, if the
// piece ends at cut.
func (s *Script) limit(n int, pos, cut int64) int {
	n = min(n, int(cut-pos))
	if s.Rate > 0 {
		n = min(n, s.Rate/100+1)
	}
	if s.Fault != Pass && s.At-pos < int64(n) {
		n = int(s.At - pos)
	}
	return n
}
