//go:build linux

package load

import (
	"bytes"
	"errors"
	"fmt"
	"time"

	"github.com/portcullis-auth/portcullis/bench/internal/loop"
)

// atOnce is how many handshakes are under way at a time.
const atOnce = 64

// openAll opens N sockets, for the orders that follow.
func (c *client) openAll(o Order) (Report, error) {
	n := 0
	err := c.dial(o, func() bool { n++; return n <= o.N }, func(fd int) {
		c.open = append(c.open, fd)
	})
	return Report{Ops: len(c.open)}, err
}

// handshakes opens sockets for a while, and closes each after the 101.
func (c *client) handshakes(o Order) (Report, error) {
	end, n := time.Now().Add(o.For), 0
	err := c.dial(o, func() bool { return time.Now().Before(end) }, func(fd int) {
		loop.Close(fd)
		n++
	})
	return Report{Ops: n}, err
}

// The key is always the same, and so is the answer to it (RFC 6455, section 1.3).
const upgrade = "GET %s HTTP/1.1\r\nHost: %s\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n" +
	"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nAuthorization: Bearer %s\r\n\r\n"

var (
	accept  = []byte("s3pPLMBiTxaQ9kYGzzhZRbK+xOo=")
	headEnd = []byte("\r\n\r\n")
)

// dial opens sockets as long as there are more to open, some at a time.
func (c *client) dial(o Order, more func() bool, opened func(fd int)) error {
	peer, err := loop.NewPeer(o.Addr)
	if err != nil {
		return err
	}
	next, underWay := 0, map[int]bool{}
	begin := func() error {
		fd, err := peer.Dial()
		if err != nil {
			return err
		}
		*c.sock(fd) = sock{ticket: next, in: c.socks[fd].in[:0]}
		next++
		underWay[fd] = true
		return c.loop.Watch(fd, loop.Out)
	}
	for len(underWay) < atOnce && more() {
		if err := begin(); err != nil {
			return err
		}
	}
	err = c.run(func() bool { return len(underWay) == 0 }, func(fd int, _ uint32) error {
		switch s := &c.socks[fd]; s.state {
		case connecting:
			if err := loop.Dialed(fd); err != nil {
				return fmt.Errorf("connect: %w", err)
			}
			s.state = asking
			if err := c.whole(fd, fmt.Appendf(c.buf[:0], upgrade, o.Path, o.Addr, o.Tokens.token(s.ticket))); err != nil {
				return err
			}
			return c.loop.Change(fd, loop.In)
		case asking:
			done, err := c.answered(fd)
			if err != nil || !done {
				return err
			}
			s.state = ready
			delete(underWay, fd)
			if opened(fd); more() {
				return begin()
			}
		case ready:
			_, err := c.frames(fd, func(*sock, []byte) error { return errOther })
			return err
		}
		return nil
	})
	for fd := range underWay {
		loop.Close(fd)
	}
	return err
}

// whole writes what is short enough for any socket that is empty.
func (c *client) whole(fd int, b []byte) error {
	n, err := loop.Write(fd, b)
	if err == nil && n < len(b) {
		err = fmt.Errorf("only %d of %d bytes went out", n, len(b))
	}
	return err
}

// answered reports whether the 101 is there; anything else is an error.
func (c *client) answered(fd int) (bool, error) {
	n, err := loop.Read(fd, c.buf)
	if err != nil {
		return false, fmt.Errorf("a handshake was not answered: %w", err)
	}
	s := &c.socks[fd]
	s.in = append(s.in, c.buf[:n]...)
	head, rest, done := bytes.Cut(s.in, headEnd)
	if !done {
		return false, nil
	}
	if !bytes.HasPrefix(head, []byte("HTTP/1.1 101 ")) || !bytes.Contains(head, accept) {
		line, _, _ := bytes.Cut(head, []byte("\r\n"))
		return false, fmt.Errorf("a handshake was answered %q", line)
	}
	if len(rest) > 0 {
		return false, errors.New("bytes that nobody has asked for")
	}
	s.in = s.in[:0]
	return true, nil
}
