//go:build linux

package load

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"time"

	"golang.org/x/sys/unix"

	"github.com/portcullis-auth/portcullis/bench/internal/frame"
	"github.com/portcullis-auth/portcullis/bench/internal/loop"
	"github.com/portcullis-auth/portcullis/bench/internal/server"
	"github.com/portcullis-auth/portcullis/bench/internal/stat"
)

// text returns a message of that size that doesn't repeat itself soon.
func text(size int) []byte {
	b := make([]byte, size)
	for i := range b {
		b[i] = byte(i ^ i>>8)
	}
	return b
}

// errOther is what came back, instead of what was sent.
var errOther = errors.New("a message came back that is another")

// echo has each open socket send Depth messages at once, and again when all of
// them are back, for a while.
func (c *client) echo(o Order) (Report, error) {
	end := time.Now().Add(o.For)
	return c.talk(o, len(c.open), func() bool { return time.Now().Before(end) })
}

// once has each open socket send one message, N of them at a time.
func (c *client) once(o Order) (Report, error) {
	o.Depth = 1
	return c.talk(o, o.N, nil)
}

// talk has sockets talk, some at a time: each again while again says so, or else
// the next one.
func (c *client) talk(o Order, atATime int, again func() bool) (Report, error) {
	message := text(o.Size)
	batch := bytes.Repeat(frame.Append(nil, frame.Binary, message, true), o.Depth)
	next, ops, busy := 0, 0, 0
	say := func(fd int) error {
		c.socks[fd].left = o.Depth
		return c.write(fd, batch)
	}
	sayNext := func() error {
		if next == len(c.open) {
			return nil
		}
		next++
		busy++
		return say(c.open[next-1])
	}
	for range atATime {
		if err := sayNext(); err != nil {
			return Report{}, err
		}
	}
	err := c.run(func() bool { return busy == 0 }, func(fd int, events uint32) error {
		if events&loop.Out != 0 {
			if err := c.flush(fd); err != nil {
				return err
			}
		}
		if events&^loop.Out == 0 {
			return nil
		}
		n, err := c.frames(fd, func(s *sock, payload []byte) error {
			at := s.frame.Seen - len(payload)
			if s.frame.Length != o.Size || !bytes.Equal(payload, message[at:s.frame.Seen]) {
				return errOther
			}
			return nil
		})
		if err != nil || n == 0 {
			return err
		}
		s := &c.socks[fd]
		ops += n
		if s.left -= n; s.left > 0 {
			return nil
		}
		if s.left < 0 {
			return errOther
		}
		if again != nil && again() {
			return say(fd)
		}
		busy--
		return sayNext()
	})
	return Report{Ops: ops}, err
}

// paced sends Rate messages a second, each on the next socket. The way of a
// message begins when it is due: one that is sent late has waited.
func (c *client) paced(o Order) (Report, error) {
	timer, err := unix.TimerfdCreate(unix.CLOCK_MONOTONIC, unix.TFD_NONBLOCK|unix.TFD_CLOEXEC)
	if err != nil {
		return Report{}, err
	}
	defer loop.Close(timer)
	every := time.Second / time.Duration(o.Rate)
	total := int(o.For / every)
	tick := unix.NsecToTimespec(every.Nanoseconds())
	start := time.Now()
	if err := errors.Join(
		unix.TimerfdSettime(timer, 0, &unix.ItimerSpec{Interval: tick, Value: tick}, nil),
		c.loop.Watch(timer, unix.EPOLLIN)); err != nil {
		return Report{}, err
	}
	message, out := text(o.Size), make([]byte, 0, o.Size+14)
	due, took := 0, make([]time.Duration, 0, total)
	err = c.run(func() bool { return len(took) == total }, func(fd int, events uint32) error {
		if fd == timer {
			var expired [8]byte
			if n, err := loop.Read(timer, expired[:]); n == 0 {
				return err
			}
			for n := binary.NativeEndian.Uint64(expired[:]); n > 0 && due < total; n-- {
				due++
				binary.BigEndian.PutUint64(message, uint64(due))
				out = frame.Append(out[:0], frame.Binary, message, true)
				if err := c.write(c.open[due%len(c.open)], out); err != nil {
					return err
				}
			}
			return nil
		}
		if events&loop.Out != 0 {
			if err := c.flush(fd); err != nil {
				return err
			}
		}
		if events&^loop.Out == 0 {
			return nil
		}
		_, err := c.frames(fd, func(s *sock, payload []byte) error {
			if at := s.frame.Seen - len(payload); at < len(s.head) {
				copy(s.head[at:], payload)
			}
			if s.frame.Done() {
				number := binary.BigEndian.Uint64(s.head[:])
				if s.frame.Length != o.Size || number == 0 || number > uint64(due) {
					return errOther
				}
				took = append(took, time.Since(start)-time.Duration(number)*every)
			}
			return nil
		})
		return err
	})
	return Report{Ops: len(took), P50: stat.Quantile(took, 50), P99: stat.Quantile(took, 99)}, err
}

// push has the first socket ask for a message to everybody, and again when
// everybody has it, for a while.
func (c *client) push(o Order) (Report, error) {
	end, ops := time.Now().Add(o.For), 0
	ask := frame.Append(nil, frame.Binary, []byte("push"), true)
	if err := c.write(c.open[0], ask); err != nil {
		return Report{}, err
	}
	got, done := 0, false
	err := c.run(func() bool { return done }, func(fd int, _ uint32) error {
		n, err := c.frames(fd, func(s *sock, _ []byte) error {
			if s.frame.Length != server.Small {
				return errOther
			}
			return nil
		})
		if err != nil {
			return err
		}
		ops += n
		if got += n; got < len(c.open) {
			return nil
		}
		if got -= len(c.open); got > 0 {
			return fmt.Errorf("%d messages too many", got)
		}
		if done = time.Now().After(end); done {
			return nil
		}
		return c.write(c.open[0], ask)
	})
	return Report{Ops: ops}, err
}

// send has each open socket send large messages to a sink as fast as it takes
// them, for a while, but no more than two sinkfuls ahead.
func (c *client) send(o Order) (Report, error) {
	const batch, ahead = server.Ack / (server.Large + 14), 2 // messages in a sinkful; sinkfuls
	message := frame.Append(nil, frame.Binary, text(server.Large), true)
	end, ops, busy := time.Now().Add(o.For), 0, len(c.open)
	type sender struct {
		unsent []byte // of the message that is being sent
		more   int    // messages of the batch after that
		done   bool
	}
	senders := make(map[int]*sender, len(c.open))
	for _, fd := range c.open {
		senders[fd] = &sender{more: batch}
		c.socks[fd].left = 1 // batches that are not acknowledged
		if err := c.loop.Change(fd, loop.In|loop.Out); err != nil {
			return Report{}, err
		}
	}
	err := c.run(func() bool { return busy == 0 }, func(fd int, events uint32) error {
		s, to := &c.socks[fd], senders[fd]
		if events&^loop.Out != 0 {
			n, err := c.frames(fd, func(*sock, []byte) error { return nil })
			if err != nil {
				return err
			}
			s.left -= n
			ops += n * batch
		}
		if len(to.unsent) == 0 && to.more == 0 { // the batch is sent
			switch {
			case to.done:
				return nil
			case s.left < ahead && time.Now().Before(end):
				s.left++
				to.more = batch
				return c.loop.Change(fd, loop.In|loop.Out)
			case s.left == 0:
				busy--
				to.done = true
			}
			return c.loop.Change(fd, loop.In)
		}
		if events&loop.Out == 0 {
			return nil
		}
		if len(to.unsent) == 0 {
			to.more--
			to.unsent = message
		}
		n, err := loop.Write(fd, to.unsent)
		to.unsent = to.unsent[n:]
		return err
	})
	return Report{Ops: ops}, err
}
