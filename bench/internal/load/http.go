//go:build linux

package load

import (
	"bytes"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/portcullis-auth/portcullis/bench/internal/loop"
)

const get = "GET %s HTTP/1.1\r\nHost: %s\r\nUser-Agent: bench\r\nAccept: application/json\r\nAuthorization: Bearer %s\r\n\r\n"

// http keeps N connections busy with one request after the other.
func (c *client) http(o Order) (Report, error) {
	peer, err := loop.NewPeer(o.Addr)
	if err != nil {
		return Report{}, err
	}
	requests := map[int][]byte{}
	defer func() {
		for fd := range requests {
			loop.Close(fd)
		}
	}()
	for i := range o.N {
		fd, err := peer.Dial()
		if err != nil {
			return Report{}, err
		}
		*c.sock(fd) = sock{}
		requests[fd] = fmt.Appendf(nil, get, o.Path, o.Addr, o.Tokens.token(i))
		if err := c.loop.Watch(fd, loop.Out); err != nil {
			return Report{}, err
		}
	}
	end, ops, busy := time.Now().Add(o.For), 0, o.N
	err = c.run(func() bool { return busy == 0 }, func(fd int, _ uint32) error {
		s := &c.socks[fd]
		if s.state == connecting {
			s.state = asking
			if err := loop.Dialed(fd); err != nil {
				return fmt.Errorf("connect: %w", err)
			}
			if err := c.loop.Change(fd, loop.In); err != nil {
				return err
			}
			return c.whole(fd, requests[fd])
		}
		n, err := loop.Read(fd, c.buf)
		if err != nil {
			return fmt.Errorf("a connection ended: %w", err)
		}
		b := c.buf[:n]
		if len(s.in) > 0 {
			s.in = append(s.in, b...)
			b = s.in
		}
		whole, err := response(b)
		switch {
		case err != nil:
			return err
		case !whole:
			if len(s.in) == 0 {
				s.in = append(s.in, b...)
			}
			return nil
		}
		s.in = s.in[:0]
		ops++
		if time.Now().After(end) {
			busy--
			return nil
		}
		return c.whole(fd, requests[fd])
	})
	return Report{Ops: ops}, err
}

// response reports whether b is a whole answer of 200.
func response(b []byte) (bool, error) {
	head, body, found := bytes.Cut(b, headEnd)
	if !found {
		return false, nil
	}
	if !bytes.HasPrefix(head, []byte("HTTP/1.1 200 ")) {
		line, _, _ := bytes.Cut(head, []byte("\r\n"))
		return false, fmt.Errorf("a request was answered %q", line)
	}
	length := -1
	for line := range bytes.SplitSeq(head, []byte("\r\n")) {
		if name, value, _ := bytes.Cut(line, []byte(":")); bytes.EqualFold(name, []byte("Content-Length")) {
			length, _ = strconv.Atoi(string(bytes.TrimSpace(value)))
		}
	}
	if length <= 0 || len(body) > length {
		return false, errors.New("an answer of another length than it says")
	}
	return len(body) == length, nil
}
