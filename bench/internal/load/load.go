//go:build linux

// Package load is the clients of a proxy that is measured. One thread has all
// their sockets, and does one thing after the other as it is told.
package load

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/portcullis-auth/portcullis/bench/internal/frame"
	"github.com/portcullis-auth/portcullis/bench/internal/loop"
)

// Tokens are those that clients take in turn.
type Tokens struct {
	From  string // what their users' names begin with
	Known int    // how many there are; 0: a new one each time
	Size  int    // bytes of more claims
}

func (t Tokens) token(i int) string {
	if t.Known > 0 {
		i %= t.Known
	}
	return fmt.Sprintf("t-%s%d-0-%d", t.From, i, t.Size)
}

// An Order is one thing to do. Those that have a time stop when it is over, and
// have whatever is under way come back.
type Order struct {
	Do     string // the name of one
	Addr   string // of the proxy
	Path   string
	Tokens Tokens
	N      int // how many sockets, connections or at once
	Size   int // of messages, in bytes
	Depth  int // messages on their way in each socket
	Rate   int // messages a second
	For    time.Duration
}

// A Report is what came of an order.
type Report struct {
	Ops      int
	Took     time.Duration
	P50, P99 time.Duration // of the messages' ways there and back, if they are paced
	Failure  string        // "": it is done
}

// orders are what can be done, by name.
var orders = map[string]func(*client, Order) (Report, error){
	"open":       (*client).openAll,
	"handshakes": (*client).handshakes,
	"http":       (*client).http,
	"echo":       (*client).echo,
	"once":       (*client).once,
	"paced":      (*client).paced,
	"push":       (*client).push,
	"send":       (*client).send,
	"close":      (*client).closeAll,
}

// Part is the load as a child: it reads orders and answers with reports.
func Part(_ context.Context, _ []string, in *json.Decoder, out *json.Encoder) error {
	l, err := loop.New()
	if err != nil {
		return err
	}
	c := &client{loop: l, buf: make([]byte, 256<<10)}
	for {
		var o Order
		if err := in.Decode(&o); errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return err
		}
		do, ok := orders[o.Do]
		if !ok {
			return fmt.Errorf("unknown order %q", o.Do)
		}
		began := time.Now()
		r, err := do(c, o)
		if r.Took = time.Since(began); err != nil {
			r.Failure = fmt.Sprintf("%s: %v", o.Do, err)
		}
		if err := out.Encode(r); err != nil {
			return err
		}
	}
}

// A sock is one socket's state.
type sock struct {
	state  state
	ticket int    // which of those that were opened it is
	in     []byte // an answer that isn't whole
	left   int    // of what must come back
	out    []byte // what the proxy wasn't ready for
	full   bool   // and it is waited for
	frame  frame.Reader
	head   [8]byte // of a paced message
	word   []byte  // a Ping's
}

type state byte

const (
	connecting state = iota
	asking
	ready
)

type client struct {
	loop  *loop.Loop
	socks []sock // by descriptor
	open  []int  // descriptors of the sockets that are ready
	buf   []byte
}

// stall is how long nothing may happen when something should.
const stall = 20 * time.Second

// run hands events to on until done.
func (c *client) run(done func() bool, on func(fd int, events uint32) error) error {
	for last := time.Now(); !done(); {
		events, err := c.loop.Wait()
		if err != nil {
			return err
		}
		if len(events) == 0 {
			if time.Since(last) > stall {
				return fmt.Errorf("nothing has come for %v", stall)
			}
			continue
		}
		last = time.Now()
		for _, e := range events {
			if err := on(int(e.Fd), e.Events); err != nil {
				return err
			}
		}
	}
	return nil
}

func (c *client) sock(fd int) *sock {
	for len(c.socks) <= fd {
		c.socks = append(c.socks, make([]sock, 1024)...)
	}
	return &c.socks[fd]
}

// closeAll closes what openAll has opened.
func (c *client) closeAll(Order) (Report, error) {
	n := len(c.open)
	for _, fd := range c.open {
		loop.Close(fd)
	}
	c.open = c.open[:0]
	return Report{Ops: n}, nil
}

// write writes to a socket, what it doesn't take now when it does.
func (c *client) write(fd int, b []byte) error {
	s := &c.socks[fd]
	if len(s.out) == 0 {
		n, err := loop.Write(fd, b)
		if err != nil {
			return err
		}
		b = b[n:]
	}
	if len(b) == 0 {
		return nil
	}
	s.out = append(s.out, b...)
	s.full = true
	return c.loop.Change(fd, loop.In|loop.Out)
}

// flush writes what a socket wasn't ready for.
func (c *client) flush(fd int) error {
	s := &c.socks[fd]
	n, err := loop.Write(fd, s.out)
	if err != nil {
		return err
	}
	if s.out = s.out[n:]; len(s.out) > 0 || !s.full {
		return nil
	}
	s.out, s.full = nil, false
	return c.loop.Change(fd, loop.In)
}

// frames reads what has come to a socket, gives on each piece of a message, and
// returns how many of them have become whole. Pings are answered.
func (c *client) frames(fd int, piece func(s *sock, payload []byte) error) (messages int, err error) {
	n, err := loop.Read(fd, c.buf)
	if err != nil {
		return 0, fmt.Errorf("a socket ended: %w", err)
	}
	s := &c.socks[fd]
	var payload []byte
	for b := c.buf[:n]; len(b) > 0; {
		payload, b = s.frame.Take(b)
		switch {
		case !s.frame.Headed():
		case s.frame.Op == frame.Binary:
			if err := piece(s, payload); err != nil {
				return messages, err
			}
			if s.frame.Done() {
				messages++
			}
		case s.frame.Op == frame.Ping:
			if s.word = append(s.word, payload...); s.frame.Done() {
				if err := c.write(fd, frame.Append(nil, frame.Pong, s.word, true)); err != nil {
					return messages, err
				}
				s.word = nil
			}
		default:
			return messages, fmt.Errorf("a frame that nobody has sent, of opcode %d", s.frame.Op)
		}
	}
	return messages, nil
}
