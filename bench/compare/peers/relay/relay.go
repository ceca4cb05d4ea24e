//go:build linux

// Package relay moves bytes between clients and a backend, and does nothing
// else: no HTTP, no frames, no authorization. No proxy that does its work in a
// process of its own can need less; how much less than it is what work costs. Only
// at a few hundred messages a second it isn't the limit: its runtime uses some
// milliseconds of CPU a second by itself.
package relay

import (
	"context"
	"encoding/json"
	"errors"
	"io"

	"golang.org/x/sys/unix"

	"github.com/portcullis-auth/portcullis/bench/internal/loop"
)

// An end is one of the two sockets of a pair.
type end struct {
	peer   int
	dialed bool   // or else it is still to be connected
	out    []byte // what it isn't ready for; its peer isn't read meanwhile
	last   bool   // nothing comes after out
}

type relay struct {
	loop *loop.Loop
	ends []end // by descriptor
	buf  []byte
}

// Part is the relay as a child. Its arguments are where it listens, and the
// backend.
func Part(ctx context.Context, args []string, _ *json.Decoder, _ *json.Encoder) error {
	if len(args) != 2 {
		return errors.New("usage: relay LISTEN BACKEND")
	}
	backend, err := loop.NewPeer(args[1])
	if err != nil {
		return err
	}
	listener, _, err := loop.Listen(args[0])
	if err != nil {
		return err
	}
	l, err := loop.New()
	if err != nil {
		return err
	}
	r := &relay{loop: l, buf: make([]byte, 64<<10)}
	if err := l.Watch(listener, loop.In); err != nil {
		return err
	}
	for ctx.Err() == nil {
		events, err := l.Wait()
		if err != nil {
			return err
		}
		for _, e := range events {
			fd := int(e.Fd)
			if fd == listener {
				if err := r.accept(listener, backend); err != nil {
					return err
				}
			} else if err := r.turn(fd, e.Events); err != nil {
				r.close(fd)
			}
		}
	}
	return nil
}

// accept connects clients to the backend. They are read once that is done.
func (r *relay) accept(listener int, backend loop.Peer) error {
	for {
		client, err := loop.Accept(listener)
		if err != nil || client < 0 {
			return err
		}
		server, err := backend.Dial()
		if err != nil {
			return err
		}
		for len(r.ends) <= max(client, server) {
			r.ends = append(r.ends, make([]end, 1024)...)
		}
		r.ends[client], r.ends[server] = end{peer: server, dialed: true}, end{peer: client}
		if err := errors.Join(r.loop.Watch(client, 0), r.loop.Watch(server, loop.Out)); err != nil {
			return err
		}
	}
}

func (r *relay) close(fd int) {
	if peer := r.ends[fd].peer; peer > 0 {
		r.ends[fd], r.ends[peer] = end{}, end{}
		loop.Close(fd)
		loop.Close(peer)
	}
}

// turn does what there is to do for one socket.
func (r *relay) turn(fd int, events uint32) error {
	from := &r.ends[fd]
	to := &r.ends[from.peer]
	switch {
	case from.peer == 0: // closed earlier in the same turn
		return nil
	case !from.dialed:
		from.dialed = true
		return errors.Join(loop.Dialed(fd), r.watch(fd), r.watch(from.peer))
	case events&unix.EPOLLOUT != 0:
		return r.flush(fd, from)
	}
	n, err := loop.Read(fd, r.buf)
	if errors.Is(err, io.EOF) && !to.last {
		to.last = true
		if from.last { // both have said all
			return err
		}
		return errors.Join(unix.Shutdown(from.peer, unix.SHUT_WR), r.watch(fd))
	}
	if n == 0 {
		return err
	}
	sent, err := loop.Write(from.peer, r.buf[:n])
	if err != nil || sent == n {
		return err
	}
	to.out = append(to.out, r.buf[sent:n]...)
	return errors.Join(r.watch(fd), r.watch(from.peer))
}

// watch watches a socket for what can be done with it now.
func (r *relay) watch(fd int) error {
	var what uint32
	e := &r.ends[fd]
	if to := &r.ends[e.peer]; len(to.out) == 0 && !to.last {
		what |= loop.In
	}
	if len(e.out) > 0 {
		what |= loop.Out
	}
	return r.loop.Change(fd, what)
}

// flush writes on, and has both read again when all is written.
func (r *relay) flush(fd int, to *end) error {
	n, err := loop.Write(fd, to.out)
	if err != nil {
		return err
	}
	if to.out = to.out[n:]; len(to.out) > 0 {
		return nil
	}
	to.out = nil
	return errors.Join(r.watch(fd), r.watch(to.peer))
}
