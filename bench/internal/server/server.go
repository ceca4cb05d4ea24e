//go:build linux

// Package server is what stands behind a proxy that is measured: the backend,
// and the token system. One thread answers, so that as much as possible of the
// machine is left to the proxy.
//
// Over HTTP/1.1 it answers
//
//	POST /introspect  by RFC 7662
//	GET /auth         200 or 401, about the bearer token of the request
//	a handshake       101, for /push, /sink and, on every other path, an echo
//	GET ...           200 with a little JSON
//
// A token is good if it reads as t-USER-EXP-SIZE: until EXP, in seconds since
// 1970 (0: for a day), and introspection tells SIZE more bytes of claims.
//
// An echo returns Binary frames. A Text frame is a wish: "close" for a Close
// frame and the end, "reset" for an end without, and "flood N" for N messages of
// 64 KiB. A push answers any frame by a message of 64 bytes to each socket on
// /push. A sink counts bytes, and answers each Ack of them by an empty message.
package server

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"github.com/portcullis-auth/portcullis/bench/internal/frame"
	"github.com/portcullis-auth/portcullis/bench/internal/loop"
)

const (
	// Large is a large message.
	Large = 64 << 10
	// Ack is how many bytes a sink takes until it says so: 64 large messages,
	// each with a header of 10 bytes and a mask of 4.
	Ack = 64 * (Large + 14)
	// Small is a small message.
	Small = 64
)

// Counts are what a server knows of itself.
type Counts struct {
	Sockets int // that are open now
	Tokens  int // that have been asked about
	Good    int // of these
}

// Part is the server as a child: it says its address, and then answers whatever
// is said to it with its Counts.
func Part(ctx context.Context, _ []string, in *json.Decoder, out *json.Encoder) error {
	failed := make(chan error, 1)
	var s server
	listening := make(chan string)
	go func() { failed <- s.serve(ctx, listening) }()
	select {
	case err := <-failed:
		return err
	case addr := <-listening:
		if err := out.Encode(addr); err != nil {
			return err
		}
	}
	heard := make(chan error, 1)
	go func() {
		for {
			var question json.RawMessage
			if err := in.Decode(&question); err != nil {
				heard <- err
				return
			}
			if err := out.Encode(Counts{int(s.sockets.Load()), int(s.tokens.Load()), int(s.good.Load())}); err != nil {
				heard <- err
				return
			}
		}
	}()
	select {
	case err := <-failed:
		return err
	case err := <-heard:
		if errors.Is(err, io.EOF) {
			return nil
		}
		return err
	case <-ctx.Done():
		return nil
	}
}

type kind byte

const (
	free kind = iota
	http
	echo
	push
	sink
)

// A conn is one connection's state. What isn't used holds no memory.
type conn struct {
	kind  kind
	over  bool   // to be closed as soon as out is written
	in    []byte // a request that isn't whole
	out   []byte // what the peer isn't ready for; nothing is read meanwhile
	flood int    // messages to be written when out is
	sunk  int    // bytes since the last Ack
	place int    // in pushes
	frame frame.Reader
	word  []byte // payload of a frame that isn't an echo
}

type server struct {
	loop   *loop.Loop
	conns  []conn // by descriptor
	pushes []int
	buf    []byte // what has been read
	out    []byte // what is to be written
	day    time.Time

	sockets, tokens, good atomic.Int64
}

var (
	largeMessage = frame.Append(nil, frame.Binary, make([]byte, Large), false)
	smallMessage = frame.Append(nil, frame.Binary, make([]byte, Small), false)
	emptyMessage = frame.Append(nil, frame.Binary, nil, false)
	goodbye      = frame.Append(nil, frame.Close, []byte{1000 >> 8, 1000 & 0xff}, false)
)

func (s *server) serve(ctx context.Context, listening chan<- string) (err error) {
	if s.loop, err = loop.New(); err != nil {
		return err
	}
	listener, addr, err := loop.Listen("127.0.0.1:0")
	if err != nil {
		return err
	}
	if err := s.loop.Watch(listener, loop.In); err != nil {
		return err
	}
	s.buf, s.out, s.day = make([]byte, 256<<10), make([]byte, 0, 512<<10), time.Now().Add(24*time.Hour)
	listening <- addr
	for ctx.Err() == nil {
		events, err := s.loop.Wait()
		if err != nil {
			return err
		}
		for _, e := range events {
			fd := int(e.Fd)
			if fd == listener {
				if err := s.accept(listener); err != nil {
					return err
				}
				continue
			}
			// An error is the peer's end, and the end of the connection only.
			if err := s.turn(fd, e.Events); err != nil {
				s.close(fd, err)
			}
		}
	}
	return nil
}

func (s *server) accept(listener int) error {
	for {
		fd, err := loop.Accept(listener)
		if err != nil || fd < 0 {
			return err
		}
		for len(s.conns) <= fd {
			s.conns = append(s.conns, make([]conn, 1024)...)
		}
		s.conns[fd] = conn{kind: http, in: s.conns[fd].in[:0]}
		if err := s.loop.Watch(fd, loop.In); err != nil {
			return err
		}
	}
}

// errReset ends a connection without a goodbye.
var errReset = errors.New("reset")

func (s *server) close(fd int, why error) {
	switch c := &s.conns[fd]; c.kind {
	case free:
		return
	case push:
		last := s.pushes[len(s.pushes)-1]
		s.pushes[c.place], s.conns[last].place = last, c.place
		s.pushes = s.pushes[:len(s.pushes)-1]
		s.sockets.Add(-1)
	case echo, sink:
		s.sockets.Add(-1)
	}
	s.conns[fd].kind = free
	if errors.Is(why, errReset) {
		loop.Reset(fd)
	} else {
		loop.Close(fd)
	}
}

// turn does what there is to do for one connection.
func (s *server) turn(fd int, events uint32) error {
	c := &s.conns[fd]
	if c.kind == free { // closed earlier in the same turn
		return nil
	}
	if events&unix.EPOLLOUT != 0 {
		return s.flush(fd, c)
	}
	if c.kind == sink {
		return s.sink(fd, c)
	}
	n, err := loop.Read(fd, s.buf)
	if n == 0 {
		return err
	}
	b := s.buf[:n]
	s.out = s.out[:0]
	if c.kind == http {
		if b, err = s.http(fd, c, b); err != nil {
			return err
		}
	}
	switch c.kind {
	case echo:
		err = s.echo(c, b)
	case push:
		err = s.push(fd, c, b)
	case sink:
		c.sunk += len(b)
	}
	return errors.Join(err, s.send(fd, c))
}

// send writes what is in s.out, now or when the peer is ready.
func (s *server) send(fd int, c *conn) error {
	b := s.out
	if len(c.out) == 0 && len(b) > 0 {
		n, err := loop.Write(fd, b)
		if err != nil {
			return err
		}
		b = b[n:]
	}
	if len(b) > 0 || c.flood > 0 {
		c.out = append(c.out, b...)
		return s.loop.Change(fd, loop.Out)
	}
	if c.over {
		return io.EOF
	}
	return nil
}

// flush writes on, and reads again when all is written.
func (s *server) flush(fd int, c *conn) error {
	for {
		n, err := loop.Write(fd, c.out)
		if err != nil {
			return err
		}
		if c.out = append(c.out[:0], c.out[n:]...); len(c.out) > 0 {
			return nil
		}
		if c.flood == 0 {
			break
		}
		c.flood--
		c.out = append(c.out, largeMessage...)
	}
	c.out = nil
	if c.over {
		return io.EOF
	}
	return s.loop.Change(fd, loop.In)
}
