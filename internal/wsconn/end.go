package wsconn

import (
	"crypto/tls"
	"io"
	"net"
	"time"
)

// An Ending says how a connection ends.
type Ending struct {
	Cause error         // what the owner is told by Read and Write; not nil
	Frame []byte        // the Close frame
	Grace time.Duration // how long all of it may take once it begins; then the connection is cut

	// Abandon cuts a connection that stands inside of a frame, instead of
	// giving the owner the time to finish it.
	Abandon bool

	// KeepReading lets the owner read on, until it closes the connection.
	KeepReading bool

	// Silenced, if set, is called once when nothing that the owner writes
	// goes out any more: between two frames at once, within one later.
	Silenced func()
}

// End ends the connection: when it returns no byte reaches the owner any more
// (but see KeepReading), and the peer gets no frame that had not begun. In the
// background the frame that had begun is finished, the Close frame is written
// behind it, the connection is half-closed, what the peer still sends is
// dropped until it closes too, and then the connection is closed; what of this
// isn't done when Grace is over is left undone. A connection that is in no
// state to carry a Close frame is cut. Of many that end at once, those with no
// frame to finish begin with all this one after the other. The first End
// counts; after Close it does nothing.
func (c *Conn) End(e Ending) {
	c.mu.Lock()
	if c.cause != nil || c.closed {
		c.mu.Unlock()
		e.silenced()
		return
	}
	c.cause = e.Cause
	c.until = time.Now().Add(e.Grace)
	c.abandon = e.Abandon
	c.progress = make(chan struct{}, 1)
	c.ended.Store(true)
	if !e.KeepReading {
		c.deaf.Store(true)
	}
	settled := c.settled()
	switch {
	case settled:
	case c.whole && !e.Abandon:
		_ = c.nc.SetWriteDeadline(c.until)
	default:
		_ = c.nc.SetWriteDeadline(past) // the writer finds out how far it came
	}
	c.mu.Unlock()
	go c.goodbye(e, settled)
}

// settled reports whether the owner of the ended connection writes nothing and
// can't write anything any more. c.mu is held.
func (c *Conn) settled() bool {
	select {
	case c.writing <- struct{}{}:
		defer c.writing.unlock()
		return c.mode != frames || c.out.AtBoundary() || c.abandon
	default:
		return false
	}
}

func (e *Ending) silenced() {
	if e.Silenced != nil {
		e.Silenced()
	}
}

// goodbye does what is left to do after End, within Grace.
func (c *Conn) goodbye(e Ending, settled bool) {
	pass := func() {}
	if settled {
		pass = takeTurn(c.nc)
		c.until = time.Now().Add(e.Grace) // no writer looks at it
	}
	over := time.NewTimer(e.Grace)
	defer over.Stop()
	boundary := c.awaitBoundary(e.Abandon, over.C)
	if !e.KeepReading {
		c.tell()
	}
	e.silenced()
	said := false
	if boundary {
		said = c.sayClose(e.Frame)
		c.writing.unlock()
	}
	pass()
	if e.KeepReading {
		c.awaitClose(over.C)
		c.tell()
	}
	if said {
		c.drain(over.C)
	}
	c.cut(said)
}

// tell tells the owner of the end; whoever reads leaves.
func (c *Conn) tell() {
	c.deaf.Store(true)
	_ = c.nc.SetReadDeadline(past)
	close(c.hearing())
}

// awaitBoundary waits until the stream stands between two frames; it then
// returns true and holds the writing lock. It returns false if that can't
// come, or not in time.
func (c *Conn) awaitBoundary(abandon bool, over <-chan time.Time) bool {
	for {
		select {
		case c.writing <- struct{}{}:
		case <-over:
			return false
		}
		if c.mode == frames && c.out.AtBoundary() {
			return true
		}
		hopeless := c.mode != frames || abandon || c.isClosed()
		c.writing.unlock()
		if hopeless {
			return false
		}
		select {
		case <-c.progress:
		case <-over:
			return false
		}
	}
}

// sayClose writes the Close frame, unless the owner has sent one, and ends the
// writing side. It reports whether that worked. The writing lock is held.
func (c *Conn) sayClose(frame []byte) bool {
	_ = c.nc.SetWriteDeadline(c.until)
	if !c.out.Closed() {
		if _, err := c.nc.Write(frame); err != nil {
			return false
		}
	}
	if half, ok := c.nc.(interface{ CloseWrite() error }); ok {
		_ = half.CloseWrite() // it fails if the peer, which has the frame, has gone already
	}
	return true
}

// awaitClose waits until the owner has closed the connection.
func (c *Conn) awaitClose(over <-chan time.Time) {
	for !c.isClosed() {
		select {
		case <-c.progress:
		case <-over:
			return
		}
	}
}

// drain drops what the peer still sends until it closes: closing earlier would
// reset the connection, and a reset can overtake the Close frame.
func (c *Conn) drain(over <-chan time.Time) {
	select {
	case c.reading <- struct{}{}:
	case <-over:
		return
	}
	defer c.reading.unlock()
	c.early = nil
	_ = c.nc.SetReadDeadline(c.until)
	_, _ = io.Copy(io.Discard, c.nc)
}

// cut closes the connection for good.
func (c *Conn) cut(said bool) {
	if !said {
		c.wasCut.Store(true)
		Abort(c.nc)
	}
	_ = c.nc.Close()
	if c.onClosed != nil {
		c.onClosed()
	}
}

// Abort closes nc so that the peer sees that it is cut, not ended. A TLS
// connection would say its own goodbye first, and wait 5 s for the peer to
// take it.
func Abort(nc net.Conn) {
	nc = beneath(nc)
	if t := TCP(nc); t != nil {
		_ = t.SetLinger(0)
	}
	_ = nc.Close()
}

// beneath returns the connection that nc speaks TLS on, or nc.
func beneath(nc net.Conn) net.Conn {
	if t, ok := nc.(*tls.Conn); ok {
		nc = t.NetConn()
	}
	if l, ok := nc.(interface{ beneath() net.Conn }); ok { // what ForTLS returns
		nc = l.beneath()
	}
	return nc
}
