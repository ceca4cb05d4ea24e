//go:build unix

package wsconn

import (
	"crypto/tls"
	"errors"
	"io"
	"net"
	"os"
	"syscall"
)

// lenderOf returns what lends the bytes of nc.
func lenderOf(nc net.Conn) lender {
	if t, ok := nc.(*tls.Conn); ok {
		if l, ok := t.NetConn().(*below); ok {
			return &secured{t, l}
		}
	}
	if s, ok := newSocket(nc); ok {
		return s
	}
	return holder{nc}
}

// A socket lends what comes from the system.
type socket struct {
	raw   syscall.RawConn
	try   func(fd uintptr) bool // tryRead
	buf   *Buffer               // what tryRead reads into; nil: it takes one
	other *Buffer               // to be given back too before there is a wait
	n     int                   // how much tryRead has read
	err   error                 // what it found instead
}

// newSocket is for types that can be read past their Read.
func newSocket(nc net.Conn) (*socket, bool) {
	if t := TCP(nc); t != nil {
		nc = t
	}
	var raw syscall.RawConn
	err := errors.ErrUnsupported
	switch nc := nc.(type) {
	case *net.TCPConn:
		raw, err = nc.SyscallConn()
	case *net.UnixConn:
		raw, err = nc.SyscallConn()
	}
	if err != nil {
		return nil, false
	}
	s := &socket{raw: raw}
	s.try = s.tryRead
	return s, true
}

// wait returns when tryRead has found something.
func (s *socket) wait() error {
	s.n = 0
	return s.raw.Read(s.try)
}

// tryRead reads what there is, and reports false if there is nothing: then it is
// called again when something comes. It can't know that without trying, since
// the runtime's poller doesn't tell of what was there before.
func (s *socket) tryRead(fd uintptr) bool {
	s.buf = s.buf.orNew()
	n, err := syscall.Read(int(fd), s.buf[:])
	for errors.Is(err, syscall.EINTR) {
		n, err = syscall.Read(int(fd), s.buf[:])
	}
	if n > 0 {
		s.n = n
		return true
	}
	s.buf.Return()
	s.other.Return()
	s.buf, s.other = nil, nil
	switch {
	case errors.Is(err, syscall.EAGAIN):
		return false
	case err == nil:
		s.err = io.EOF
	default:
		s.err = os.NewSyscallError("read", err)
	}
	return true
}

func (s *socket) lend(b *Buffer) (*Buffer, int, error) {
	s.buf = b
	err := s.wait()
	b, s.buf = s.buf, nil
	if s.n > 0 {
		return b, s.n, nil
	}
	b.Return()
	if err == nil {
		err = s.err
	}
	return nil, 0, err
}

// A below is a connection that TLS is spoken on, and what has been read of it
// ahead of TLS.
type below struct {
	net.Conn
	*socket
	off    int  // how much of socket.buf TLS has got
	noWait bool // Read is not to wait
}

// ForTLS returns a connection over nc, for [tls.Client] or [tls.Server], with
// which [Conn.ReadLent] can wait without a buffer. It returns nc if there is
// none.
func ForTLS(nc net.Conn) net.Conn {
	if s, ok := newSocket(nc); ok {
		return &below{Conn: nc, socket: s}
	}
	return nc
}

func (l *below) beneath() net.Conn { return l.Conn }

// Read returns EAGAIN instead of waiting if it is not to wait. To crypto/tls
// that is temporary: it returns it, and goes on with the next Read.
func (l *below) Read(p []byte) (int, error) {
	switch {
	case l.off < l.n:
		n := copy(p, l.buf[l.off:l.n])
		l.off += n
		return n, nil
	case l.err != nil:
		return 0, l.err
	case l.noWait:
		return 0, syscall.EAGAIN
	}
	return l.Conn.Read(p)
}

// await reads ahead when TLS has taken all that was. It returns b, or nil if it
// has given that back to wait.
func (l *below) await(b *Buffer) (*Buffer, error) {
	l.off, l.other = 0, b
	err := l.wait()
	b, l.other = l.other, nil
	return b, err
}

// A secured lends what comes over TLS.
type secured struct {
	tls   *tls.Conn
	below *below
}

func (s *secured) lend(b *Buffer) (_ *Buffer, n int, err error) {
	for {
		b = b.orNew()
		s.below.noWait = true
		n, err = s.tls.Read(b[:])
		s.below.noWait = false
		nothing := errors.Is(err, syscall.EAGAIN)
		switch {
		case n > 0 && nothing: // TLS has looked what is behind the bytes
			return b, n, nil
		case n > 0:
			return b, n, err
		case nothing:
			if b, err = s.below.await(b); err == nil {
				continue
			}
		}
		b.Return()
		return nil, 0, err
	}
}
