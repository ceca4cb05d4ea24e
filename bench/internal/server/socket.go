//go:build linux

package server

import (
	"fmt"
	"io"

	"github.com/portcullis-auth/portcullis/bench/internal/frame"
	"github.com/portcullis-auth/portcullis/bench/internal/loop"
)

// echo answers frames, in pieces if they come in pieces.
func (s *server) echo(c *conn, b []byte) error {
	var payload []byte
	for f := &c.frame; len(b) > 0; {
		payload, b = f.Take(b)
		if !f.Headed() {
			break
		}
		if f.Op == frame.Binary {
			if f.First {
				s.out = frame.AppendHeader(s.out, f.Op, f.Length, false)
			}
			s.out = append(s.out, payload...)
			continue
		}
		if c.word = append(c.word, payload...); !f.Done() {
			continue
		}
		err := s.word(c, f.Op)
		c.word = c.word[:0]
		if err != nil {
			return err
		}
	}
	return nil
}

// word obeys a frame that isn't to be echoed.
func (s *server) word(c *conn, op byte) error {
	switch op {
	case frame.Ping:
		s.out = frame.Append(s.out, frame.Pong, c.word, false)
	case frame.Close:
		if c.over { // the answer to ours
			return io.EOF
		}
		s.out, c.over = frame.Append(s.out, frame.Close, c.word, false), true
	case frame.Text:
		switch word := string(c.word); word {
		case "close":
			s.out = append(s.out, goodbye...)
		case "reset":
			return errReset
		default:
			_, _ = fmt.Sscanf(word, "flood %d", &c.flood)
		}
	}
	return nil
}

// push answers each frame but a Pong by a message to everybody. What the peer isn't
// ready for waits, as everywhere.
func (s *server) push(fd int, c *conn, b []byte) error {
	for f := &c.frame; len(b) > 0; {
		_, b = f.Take(b)
		switch {
		case !f.Done():
		case f.Op == frame.Close:
			return io.EOF
		case f.Op == frame.Binary:
			for _, to := range s.pushes {
				s.out = append(s.out[:0], smallMessage...)
				if err := s.send(to, &s.conns[to]); err != nil && to == fd {
					return err
				} // of others, the loop hears too
			}
			s.out = s.out[:0]
		}
	}
	return nil
}

// sink counts what it discards.
func (s *server) sink(fd int, c *conn) error {
	n, err := loop.Discard(fd, Ack)
	if n == 0 {
		return err
	}
	s.out = s.out[:0]
	for c.sunk += n; c.sunk >= Ack; c.sunk -= Ack {
		s.out = append(s.out, emptyMessage...)
	}
	return s.send(fd, c)
}
