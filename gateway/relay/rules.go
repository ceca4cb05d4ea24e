package relay

import (
	"strings"
	"time"

	"github.com/portcullis-auth/portcullis"
	"github.com/portcullis-auth/portcullis/internal/wsframe"
)

// Rules is how the frames of a route's sockets are treated. The zero value
// holds both sides to RFC 6455 (W5), without bounds and without Grace. It is
// shared by all sockets of a route, and must not be changed while one lives.
type Rules struct {
	// Grace is how long a side may take to end when it has been told to, or when
	// the other one has ended. 0: it is cut.
	Grace time.Duration

	// Transparent has frames go through unjudged; only their boundaries are
	// followed. Messages aren't counted then, by the Meter neither, and no bound
	// on them holds.
	Transparent bool

	// UTF8 has text be checked, unless an extension has changed it.
	UTF8 bool

	// MaxMessage bounds the bytes of payload in a message of the client. 0: no
	// bound.
	MaxMessage int64

	// MaxFragments bounds the frames of a message of the client. 0: no bound.
	MaxFragments int

	// Idle ends a socket on which no data message passes for so long, in either
	// direction: [ErrIdle]. Where frames aren't judged any bytes count. 0: never.
	Idle time.Duration

	// Ping is how long a client may be silent before it is pinged, between two
	// frames; what it answers goes on to the backend, as any frame does. One that
	// says nothing for as long again is cut: [ErrPingTimeout]. 0: never.
	Ping time.Duration

	// Stall is how long a side may take to take what is queued for it, which is
	// 64 KiB at most, or with Judge a message: else it is cut, [ErrSlowClient] or
	// [ErrSlowBackend]. 0: a minute.
	Stall time.Duration

	// Judge is asked about each message of the client, which is held until all of
	// it has come: less than twice MaxMessage, which must be set. It forbids
	// extensions and Transparent. nil: nobody is asked.
	Judge Judge
}

// A Judge says what becomes of a message of the client. payload is valid during
// the call only. Messages that follow wait meanwhile, and so may other sockets.
// It is called for many sockets at once, and must not end a session itself.
type Judge func(s *portcullis.Session, text bool, payload []byte) Verdict

// A Verdict is what becomes of a message. The zero value is End.
type Verdict int

// The verdicts.
const (
	End  Verdict = iota // the socket ends: ErrForbidden
	Drop                // the message goes nowhere; control frames between its fragments go on
	Pass
)

// A Meter bounds what a client may send. Its methods are called while bytes
// pass, by one goroutine at a time; they must be quick, and not end a session
// themselves. An error ends the socket: [ErrLimit].
type Meter interface {
	Message() error    // a data message begins
	Bytes(n int) error // n bytes have come, whatever they are
}

// Options is what differs from one socket of a route to another. The zero value
// works.
type Options struct {
	*Rules // nil: their zero value

	// Extensions is the Sec-WebSocket-Extensions that the sides have agreed on.
	// The reserved bit of permessage-deflate may then be set (RFC 7692); those of
	// others may not. Empty: none.
	Extensions string

	// Meter is the socket's. nil: nothing is counted.
	Meter Meter
}

// strict are the Rules of who has none.
var strict Rules

// unkept reports whether the rules of a message can't be kept.
func (o *Options) unkept() bool {
	return o.Judge != nil && (o.Extensions != "" || o.Transparent || o.MaxMessage <= 0)
}

// deflated reports whether messages may be compressed.
func (o *Options) deflated() bool {
	for _, e := range list([]string{o.Extensions}) {
		if strings.EqualFold(e, "permessage-deflate") {
			return true
		}
	}
	return false
}

// frames returns what the frames of a side must keep to.
func (r *Rules) frames(from side, deflated bool) wsframe.Rules {
	f := wsframe.Rules{UTF8: r.UTF8}
	if deflated {
		f.Reserved = 0x40
	}
	if from == ofClient {
		f.FromClient = true
		f.MaxMessage, f.MaxFragments = r.MaxMessage, r.MaxFragments
		f.Whole = r.Judge != nil
	}
	return f
}
