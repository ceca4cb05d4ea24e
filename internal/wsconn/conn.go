// Package wsconn is a connection on which somebody else, who knows nothing of
// it, speaks WebSocket, and which can be ended from outside with a proper
// Close frame on a frame boundary.
package wsconn

import (
	"errors"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/portcullis-auth/portcullis/internal/wsframe"
)

// past is a deadline that wakes whoever is blocked.
var past = time.Unix(1, 0)

// A mode says what the bytes that are written mean.
type mode uint8

const (
	frames mode = iota // WebSocket frames
	head               // the head of the HTTP answer to the handshake
	raw                // neither: no frame can be added
)

// Options say what a Conn begins with. The zero value is a connection on which
// the next byte in either direction begins a frame.
type Options struct {
	Early    []byte // bytes of the peer that have been read already; Read returns them first
	Head     bool   // the owner will write the handshake's answer before the frames
	Echo     string // subprotocol to add to that answer if it selects none
	Raw      bool   // the owner speaks something else
	OnClosed func() // called once, when the connection is closed for good
}

// A Conn is a [net.Conn] for its owner, until [Conn.End]. Like every net.Conn
// it is safe for concurrent use.
type Conn struct {
	nc       net.Conn
	onClosed func()

	// whole says that a Write on nc that is interrupted breaks nc (TLS, and
	// whatever we don't know), so that frames are written one by one.
	whole bool

	reading lock
	early   []byte // guarded by reading
	lender  lender // guarded by reading; nil: not needed yet

	writing lock
	mode    mode             // guarded by writing
	head    *headBuffer      // guarded by writing; nil: mode isn't head
	out     wsframe.Follower // guarded by writing

	progress chan struct{} // told when the owner wrote or closed after the end; made by that
	ended    atomic.Bool   // cause is set
	deaf     atomic.Bool   // reads are cut
	wasCut   atomic.Bool   // closed without a Close frame

	mu      sync.Mutex // guards what follows
	cause   error
	until   time.Time     // when the time to say goodbye is over
	abandon bool          // a frame that had begun is not finished
	closed  bool          // by the owner
	told    chan struct{} // what hearing returns; nil: nobody has asked
}

// A lock is a mutex that one can stop waiting for: sending to it locks it.
type lock chan struct{}

func (l lock) unlock() { <-l }

// acquire locks l, unless it is locked until the owner is to hear of the end:
// then it returns the cause.
func (c *Conn) acquire(l lock) error {
	select {
	case l <- struct{}{}:
		return nil
	default:
	}
	select {
	case l <- struct{}{}:
		return nil
	case <-c.hearing():
		return c.why()
	}
}

// New returns a Conn over nc, which belongs to the Conn from now on.
func New(nc net.Conn, o Options) *Conn {
	c := &Conn{
		nc:       nc,
		onClosed: o.OnClosed,
		early:    o.Early,
		reading:  make(lock, 1),
		writing:  make(lock, 1),
	}
	_, local := nc.(*net.UnixConn)
	c.whole = TCP(nc) == nil && !local
	switch {
	case o.Raw:
		c.mode = raw
	case o.Head:
		c.mode, c.head = head, &headBuffer{echo: o.Echo}
	}
	return c
}

// Read reads from the peer; after [Conn.End] it returns the cause, but not
// before a frame that the owner had begun is finished: an owner that hears of
// the end is likely to drop whatever it is doing.
func (c *Conn) Read(p []byte) (int, error) {
	if err := c.startRead(); err != nil {
		return 0, err
	}
	defer c.reading.unlock()
	if len(c.early) > 0 {
		return c.readEarly(p), nil
	}
	n, err := c.nc.Read(p)
	if c.deaf.Load() { // what came meanwhile came too late
		return 0, c.hear()
	}
	return n, err
}

// startRead locks reading, unless it returns the cause of the end.
func (c *Conn) startRead() error {
	if err := c.acquire(c.reading); err != nil { // what still comes is being dropped
		return err
	}
	if c.deaf.Load() {
		defer c.reading.unlock()
		return c.hear()
	}
	return nil
}

// readEarly returns early bytes; reading is locked.
func (c *Conn) readEarly(p []byte) int {
	n := copy(p, c.early)
	if c.early = c.early[n:]; len(c.early) == 0 {
		c.early = nil
	}
	return n
}

// Write writes to the peer. After [Conn.End] it takes what is left of the
// frame that had begun, and returns the cause for everything behind it.
func (c *Conn) Write(p []byte) (n int, err error) {
	if err := c.acquire(c.writing); err != nil { // the Close frame is being written
		return 0, err
	}
	defer func() {
		c.writing.unlock()
		if c.ended.Load() {
			c.signal()
		}
	}()
	for n < len(p) {
		if c.mode == head {
			m, err := c.writeHead(p[n:])
			if n += m; err != nil {
				return n, err
			}
			continue
		}
		m, again, err := c.writeSome(p[n:])
		if n += m; err != nil && !again {
			return n, err
		}
	}
	return n, nil
}

// writeSome writes as much of p as may be written in one go. Again says that
// End interrupted it, and that it is to be called once more.
func (c *Conn) writeSome(p []byte) (n int, again bool, err error) {
	ended := c.ended.Load()
	if ended && !c.mayFinish() {
		return 0, false, c.why()
	}
	if c.mode == frames && (ended || c.whole) {
		lookahead := c.out
		end, err := lookahead.Next(p)
		if err != nil {
			c.mode = raw
		}
		p = p[:end]
	}
	n, err = c.nc.Write(p)
	if c.mode == frames && c.out.Advance(p[:n]) != nil {
		c.mode = raw
	}
	if err != nil && c.ended.Load() {
		return n, !ended && errors.Is(err, os.ErrDeadlineExceeded), c.why()
	}
	return n, false, err
}

// mayFinish reports whether the ended connection stands inside of a frame that
// is to be finished, and gives that the time that is left.
func (c *Conn) mayFinish() bool {
	if c.mode != frames || c.out.AtBoundary() {
		return false
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.abandon {
		return false
	}
	_ = c.nc.SetWriteDeadline(c.until)
	return true
}

// Close closes the connection. After [Conn.End] it only says that the owner is
// done with it.
func (c *Conn) Close() error {
	c.mu.Lock()
	before := c.closed
	c.closed = true
	ended := c.cause != nil
	c.mu.Unlock()
	switch {
	case ended:
		c.signal()
		return nil
	case before:
		return net.ErrClosed
	}
	err := c.nc.Close()
	if c.onClosed != nil {
		c.onClosed()
	}
	return err
}

// CloseWrite ends the writing side, if the connection can do that; after
// [Conn.End] it does nothing.
func (c *Conn) CloseWrite() error {
	half, ok := c.nc.(interface{ CloseWrite() error })
	if !ok || c.ended.Load() {
		return nil
	}
	return half.CloseWrite()
}

// Cut reports whether the connection was closed after [Conn.End] without a
// Close frame.
func (c *Conn) Cut() bool { return c.wasCut.Load() }

// LocalAddr returns the local address.
func (c *Conn) LocalAddr() net.Addr { return c.nc.LocalAddr() }

// RemoteAddr returns the peer's address.
func (c *Conn) RemoteAddr() net.Addr { return c.nc.RemoteAddr() }

// SetDeadline does nothing after [Conn.End], like the two below: the owner
// can't give itself more time.
func (c *Conn) SetDeadline(t time.Time) error { return c.setDeadline(c.nc.SetDeadline, t) }

// SetReadDeadline sets the deadline of reads.
func (c *Conn) SetReadDeadline(t time.Time) error { return c.setDeadline(c.nc.SetReadDeadline, t) }

// SetWriteDeadline sets the deadline of writes.
func (c *Conn) SetWriteDeadline(t time.Time) error { return c.setDeadline(c.nc.SetWriteDeadline, t) }

func (c *Conn) setDeadline(set func(time.Time) error, t time.Time) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.cause != nil {
		return nil
	}
	return set(t)
}

// hearing returns what is closed when the owner is to hear of the end. Few ever
// wait for it.
func (c *Conn) hearing() chan struct{} {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.told == nil {
		c.told = make(chan struct{})
	}
	return c.told
}

// hear returns the cause of the end, when the owner is to hear of it.
func (c *Conn) hear() error {
	<-c.hearing()
	return c.why()
}

// why returns the cause of the end.
func (c *Conn) why() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.cause
}

func (c *Conn) isClosed() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.closed
}

func (c *Conn) signal() {
	select {
	case c.progress <- struct{}{}:
	default:
	}
}

var _ net.Conn = (*Conn)(nil)
