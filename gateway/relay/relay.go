// Package relay moves a WebSocket's frames between a client and a backend, and
// ends both sides properly when the authorization behind it ends.
package relay

import (
	"crypto/rand"
	"errors"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/portcullis-auth/portcullis"
	"github.com/portcullis-auth/portcullis/internal/wsconn"
	"github.com/portcullis-auth/portcullis/internal/wsframe"
)

// bufferSize is how much is moved at once, in bytes.
const bufferSize = 16 << 10

var buffers = sync.Pool{New: func() any { return new([bufferSize]byte) }}

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
	BackendAborted bool // inside of a frame, so that the backend got no Close
}

// Run moves frames between the two sides, which it owns from now on, until one
// of them ends or the session does; then it closes them both, and returns.
//
// When the session ends, neither side gets a frame that had not begun. The
// client gets the rest of the one that had begun, if that takes less than
// grace, and a Close frame with [portcullis.Session.CloseStatus]. The backend gets a
// Close frame too, unless it stands inside of a frame: that is never finished,
// and its connection is aborted.
func Run(s *portcullis.Session, client, backend Side, grace time.Duration) Result {
	var closed sync.WaitGroup
	closed.Add(2)
	p := pair{
		client:  wsconn.New(client.Conn, wsconn.Options{Early: client.Early, OnClosed: closed.Done}),
		backend: wsconn.New(backend.Conn, wsconn.Options{Early: backend.Early, OnClosed: closed.Done}),
		grace:   grace,
	}
	s.OnEnd(func(cause error) { p.end(s, cause) })

	var result Result
	var moving sync.WaitGroup
	moving.Go(func() { result.FromClient = p.up() })
	result.FromBackend = p.down()
	moving.Wait()
	p.close()
	closed.Wait()
	result.Cause = s.Err()
	result.BackendAborted = p.backend.Cut()
	return result
}

// A pair is the two sides of one socket.
type pair struct {
	client, backend *wsconn.Conn
	grace           time.Duration
	over            atomic.Bool // authorization has ended
}

// end ends both sides because authorization has ended.
func (p *pair) end(s *portcullis.Session, cause error) {
	p.over.Store(true)
	code, reason := s.CloseStatus(cause)
	var mask [4]byte
	_, _ = rand.Read(mask[:])
	p.backend.End(wsconn.Ending{
		Cause: cause, Grace: p.grace,
		Frame:       wsframe.AppendClose(nil, code, reason, &mask),
		Abandon:     true,
		KeepReading: true, // the client may be owed the rest of a frame
	})
	p.client.End(wsconn.Ending{
		Cause: cause, Grace: p.grace,
		Frame:    wsframe.AppendClose(nil, code, reason, nil),
		Silenced: func() { _ = p.backend.Close() }, // it is owed nothing more
	})
}

// up moves what the client sends.
func (p *pair) up() int64 {
	n, rerr, werr := move(p.backend, p.client)
	switch {
	case p.over.Load(): // the other direction may have a frame to finish
	case werr != nil: // the client is still to get what the backend said before it went
		time.AfterFunc(p.grace, p.close)
		_, _ = io.Copy(io.Discard, p.client) // unread, it would become a reset that overtakes that
	case errors.Is(rerr, io.EOF):
		p.finish(p.backend)
	default:
		p.close()
	}
	return n
}

// down moves what the backend sends. A backend that resets the connection has
// ended it too.
func (p *pair) down() int64 {
	n, _, werr := move(p.client, p.backend)
	if werr != nil || p.over.Load() {
		p.close()
	} else {
		p.finish(p.client)
	}
	return n
}

// finish passes on to dst that nothing more comes; it has grace to say what it
// has to say.
func (p *pair) finish(dst *wsconn.Conn) {
	if dst.CloseWrite() != nil {
		p.close()
		return
	}
	time.AfterFunc(p.grace, p.close)
}

// move copies from src to dst until one of them fails or ends, and says which.
func move(dst, src *wsconn.Conn) (moved int64, rerr, werr error) {
	buf := buffers.Get().(*[bufferSize]byte)
	defer buffers.Put(buf)
	for {
		n, err := src.Read(buf[:])
		if n > 0 {
			m, werr := dst.Write(buf[:n])
			moved += int64(m)
			if werr != nil {
				return moved, nil, werr
			}
		}
		if err != nil {
			return moved, err, nil
		}
	}
}

// close is for both sides; a side that is saying goodbye goes on with that.
func (p *pair) close() {
	_ = p.client.Close()
	_ = p.backend.Close()
}
