package relay

import (
	"crypto/rand"
	"errors"
	"io"
	"sync"
	"sync/atomic"
	"time"

	"github.com/portcullis-auth/portcullis"
	"github.com/portcullis-auth/portcullis/internal/wsconn"
	"github.com/portcullis-auth/portcullis/internal/wsframe"
)

// A duplex is the two sides of one socket, with a goroutine for each direction.
type duplex struct {
	client, backend *wsconn.Conn
	session         *portcullis.Session
	grace           time.Duration
	done            func(Result)
	result          Result
	over            atomic.Bool    // authorization has ended
	moving          atomic.Int32   // how many directions go on
	open            sync.WaitGroup // the sides that aren't closed for good
}

// start is Engine.Start with two goroutines a socket. Nothing is beneath up and
// down on their stacks, so that these stay as small as stacks are.
func start(s *portcullis.Session, client, backend Side, grace time.Duration, done func(Result)) {
	p := &duplex{session: s, grace: grace, done: done}
	p.moving.Store(2)
	p.open.Add(2)
	p.client = wsconn.New(client.Conn, wsconn.Options{Early: client.Early, OnClosed: p.open.Done})
	p.backend = wsconn.New(backend.Conn, wsconn.Options{Early: backend.Early, OnClosed: p.open.Done})
	s.OnEnd(p.end)
	go p.up()
	go p.down()
}

// moved is called by each direction when it is over. The last one stays until
// the socket is over too.
func (p *duplex) moved() {
	if p.moving.Add(-1) > 0 {
		return
	}
	p.close()
	p.open.Wait()
	p.result.Cause = p.session.Err()
	p.result.BackendAborted = p.backend.Cut()
	p.done(p.result)
}

// end ends both sides because authorization has ended.
func (p *duplex) end(cause error) {
	p.over.Store(true)
	code, reason := p.session.CloseStatus(cause)
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
func (p *duplex) up() {
	n, rerr, werr := move(p.backend, p.client)
	p.result.FromClient = n
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
	p.moved()
}

// down moves what the backend sends. A backend that resets the connection has
// ended it too.
func (p *duplex) down() {
	n, _, werr := move(p.client, p.backend)
	p.result.FromBackend = n
	if werr != nil || p.over.Load() {
		p.close()
	} else {
		p.finish(p.client)
	}
	p.moved()
}

// finish passes on to dst that nothing more comes; it has grace to say what it
// has to say.
func (p *duplex) finish(dst *wsconn.Conn) {
	if dst.CloseWrite() != nil {
		p.close()
		return
	}
	time.AfterFunc(p.grace, p.close)
}

// move copies from src to dst until one of them fails or ends, and says which.
func move(dst, src *wsconn.Conn) (moved int64, rerr, werr error) {
	var b *wsconn.Buffer
	for {
		lent, n, err := src.ReadLent(b)
		if b = lent; n > 0 {
			m, werr := dst.Write(b[:n])
			moved += int64(m)
			if werr != nil {
				b.Return()
				return moved, nil, werr
			}
		}
		if err != nil {
			b.Return()
			return moved, err, nil
		}
	}
}

// close is for both sides; a side that is saying goodbye goes on with that.
func (p *duplex) close() {
	_ = p.client.Close()
	_ = p.backend.Close()
}
