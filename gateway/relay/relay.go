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
	"time"

	"github.com/portcullis-auth/portcullis"
)

// A Side is one end of a socket, after its handshake.
type Side struct {
	Conn  net.Conn
	Early []byte // bytes of this side that have been read already
}

// A Result says how a socket ended.
type Result struct {
	Cause          error // why authorization ended; nil: it didn't
	FromClient     int64 // bytes that the client sent and the backend took
	FromBackend    int64
	BackendAborted bool // the backend got no Close frame: it stood inside of a frame, or had gone
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
// one of them ends or the session does; then it closes them both and calls done
// on a goroutine of its own. It doesn't wait for that.
//
// When the session ends, neither side gets a frame that had not begun. The
// client gets the rest of the one that had begun, if that takes less than
// grace, and a Close frame with [portcullis.Session.CloseStatus]. The backend
// gets a Close frame too, unless it stands inside of a frame: that is never
// finished, and its connection is aborted. Grace counts from the moment when the
// goodbye begins.
func (e *Engine) Start(s *portcullis.Session, client, backend Side, grace time.Duration, done func(Result)) {
	e.settle.opened()
	if !e.Portable && e.loops.start(s, client, backend, grace, done) {
		return
	}
	start(s, client, backend, grace, done)
}

// Close frees what the Engine holds. Sockets in an event loop are cut.
func (e *Engine) Close() {
	e.settle.close()
	e.loops.close()
}
