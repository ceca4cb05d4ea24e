// Package relay moves a WebSocket's frames between a client and a backend, and
// ends both sides properly when the authorization behind it ends.
//
// There are two engines behind one behaviour. On Linux the two connections of a
// socket leave the Go runtime's hands for an event loop, where an idle one costs
// two descriptors and a few hundred bytes: no goroutine, no buffer, no timer.
// Everywhere else, and for TLS, two goroutines move the frames.
package relay

import (
	"net"

	"github.com/portcullis-auth/portcullis"
)

// A Side is one end of a socket, after its handshake.
type Side struct {
	Conn  net.Conn
	Early []byte // bytes of this side that have been read already
}

// A Result says how a socket ended.
type Result struct {
	// Cause is why authorization ended, or why the relay ended the socket: one of
	// this package's errors then. nil: one of the sides ended it.
	Cause error

	// Code and Reason are what there was to tell the client because of that. 0: it
	// was cut, or there is no Cause.
	Code   int
	Reason string

	FromClient  int64 // bytes that the client sent and the backend took
	FromBackend int64

	// MessagesFromClient is how many data messages the client began, whether they
	// were dropped or not; 0 with [Rules.Transparent].
	MessagesFromClient  int64
	MessagesFromBackend int64

	BackendAborted bool // the backend got no Close frame: it stood inside of a frame, was too slow, or had gone
}

// An Engine moves the frames of many sockets. The zero value works, for
// concurrent use; it must be closed.
type Engine struct {
	// Portable has it use goroutines where it could do better.
	Portable bool

	loops  loops
	settle settle
}

// Start moves frames between the two sides, which it owns from now on, until
// one of them ends, the session does, or the relay ends the socket because a
// side breaks the rules; then it closes them both and calls done on a goroutine
// of its own. It doesn't wait for that.
//
// When the session ends, neither side gets a frame that had not begun. The
// client gets the rest of the one that had begun, if that takes less than
// Grace, and a Close frame with [portcullis.Session.CloseStatus]. The backend
// gets a Close frame too, unless it stands inside of a frame: that is never
// finished, and its connection is aborted. Grace counts from the moment when the
// goodbye begins.
//
// What the relay ends is ended in the same way, for one of this package's
// errors, and the session's end changes nothing any more. Of a frame that breaks
// a rule nothing goes on; but of text that isn't UTF-8, what came before that did
// may have.
func (e *Engine) Start(s *portcullis.Session, client, backend Side, o Options, done func(Result)) {
	e.settle.opened()
	k := newSocket(s, o, done)
	if !e.Portable && e.loops.start(k, client, backend) {
		return
	}
	start(k, client, backend)
}

// Close frees what the Engine holds. Sockets in an event loop are cut.
func (e *Engine) Close() {
	e.settle.close()
	e.loops.close()
}
