package wsconn

import (
	"net"
	"sync"
)

// A Buffer is lent by [Conn.ReadLent].
type Buffer [16 << 10]byte

var buffers = sync.Pool{New: func() any { return new(Buffer) }}

// Return gives the buffer back; nobody may use it any more. nil is no buffer.
func (b *Buffer) Return() {
	if b != nil {
		buffers.Put(b)
	}
}

// orNew returns b, or a buffer if it is none.
func (b *Buffer) orNew() *Buffer {
	if b != nil {
		return b
	}
	return buffers.Get().(*Buffer)
}

// A lender does what ReadLent does.
type lender interface {
	lend(b *Buffer) (*Buffer, int, error)
}

// ReadLent is [Conn.Read] for the owner of many connections: it lends a buffer
// that has n bytes in it, and waits for them without one. The owner passes it
// back with the next call, or to [Buffer.Return]; it is nil if n is 0. What can't
// be waited for that way is waited for with a buffer: that is what is neither
// TCP nor a Unix socket nor TLS over [ForTLS], and everything on Windows.
func (c *Conn) ReadLent(b *Buffer) (lent *Buffer, n int, err error) {
	if err := c.startRead(); err != nil {
		b.Return()
		return nil, 0, err
	}
	defer c.reading.unlock()
	if len(c.early) > 0 {
		b = b.orNew()
		return b, c.readEarly(b[:]), nil
	}
	if c.lender == nil {
		c.lender = lenderOf(c.nc)
	}
	b, n, err = c.lender.lend(b)
	if c.deaf.Load() { // what came meanwhile came too late
		b.Return()
		return nil, 0, c.hear()
	}
	return b, n, err
}

// A holder lends what can't be waited for without a buffer.
type holder struct{ net.Conn }

func (h holder) lend(b *Buffer) (*Buffer, int, error) {
	b = b.orNew()
	n, err := h.Read(b[:])
	if n == 0 {
		b.Return()
		b = nil
	}
	return b, n, err
}
