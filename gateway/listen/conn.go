package listen

import (
	"errors"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"sync"
	"time"
)

// A conn is a connection that has a slot, and perhaps a PROXY header to come.
type conn struct {
	*net.TCPConn
	listener *Listener
	proxied  bool
	outer    net.Conn // what TLS is spoken on; nil: it isn't

	once   sync.Once // guards what follows, which the PROXY header decides
	remote net.Addr
	err    error // why nothing can be read

	mu     sync.Mutex  // guards what follows
	late   *time.Timer // closes it unless it is stopped; nil: nothing is to come in time
	closed bool
	slot   netip.Addr // the address that it counts for; zero: none
}

// begin reads the PROXY header, once. A connection that has no valid one, or
// whose stated address has too many, is closed.
func (c *conn) begin() error {
	c.once.Do(func() {
		if !c.proxied {
			return
		}
		stated, err := readHeader(c.TCPConn)
		if c.outer == nil {
			c.inTime()
		}
		if err != nil {
			c.err = err
			_ = c.Close()
			if l := c.listener; !errors.Is(err, io.EOF) { // else it is a look whether somebody listens
				l.headless.log(l.log, slog.LevelWarn, "connection cut: "+err.Error(), slog.String("remote", c.remote.String()))
			}
			return
		}
		if stated != nil {
			c.remote = stated
		}
		if !c.claim() {
			c.err = net.ErrClosed
			_ = c.Close()
			c.listener.refuse(c.remote)
		}
	})
	return c.err
}

// claim takes a slot of the connection's address, and reports whether there was
// one for it.
func (c *conn) claim() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	address := subscriber(addressOf(c.remote))
	if c.closed || !c.listener.slots.takeFor(address) {
		return false
	}
	c.slot = address
	return true
}

// Close closes the connection and frees its slot.
func (c *conn) Close() error {
	err := c.TCPConn.Close()
	c.inTime()
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.closed {
		c.closed = true
		c.listener.slots.release(c.slot)
	}
	return err
}

// inTime is for when all that has to come in time has come, or won't any more.
func (c *conn) inTime() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.late != nil {
		c.late.Stop()
	}
	if c.outer != nil {
		c.listener.shaking.Delete(c.outer)
	}
}

// TCP returns the connection beneath, as [Listener.Accept] says.
func (c *conn) TCP() *net.TCPConn { return c.TCPConn }

// RemoteAddr waits for the PROXY header, if there is to be one.
func (c *conn) RemoteAddr() net.Addr {
	_ = c.begin()
	return c.remote
}

func (c *conn) Read(p []byte) (int, error) {
	if err := c.begin(); err != nil {
		return 0, err
	}
	return c.TCPConn.Read(p)
}

// WriteTo is for [io.Copy], which would read past Read.
func (c *conn) WriteTo(w io.Writer) (int64, error) {
	if err := c.begin(); err != nil {
		return 0, err
	}
	return c.TCPConn.WriteTo(w)
}

// addressOf returns the IP address of a *net.TCPAddr.
func addressOf(a net.Addr) netip.Addr {
	return a.(*net.TCPAddr).AddrPort().Addr().Unmap().WithZone("")
}
