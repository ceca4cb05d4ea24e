package faultproxy

import (
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"sync"
	"syscall"
	"time"
)

// inHand is how many bytes a Flow can have read and not passed on. It is small
// because a test can have thousands of them.
const inHand = 4 << 10

// past is a deadline that wakes whoever is blocked.
var past = time.Unix(1, 0)

// A Flow is one direction of a [Conn]. It is safe for concurrent use.
type Flow struct {
	conn     *Conn
	back     *Flow // the other direction
	src, dst *net.TCPConn

	// These are move's own.
	rand *rand.Rand
	cut  int64         // where the piece ends that is being written
	wait time.Duration // before the next write

	writing sync.Mutex // held while dst is written to
	broken  bool       // a Write was told that the receiver has reset; guarded by writing

	mu      sync.Mutex // guards what follows
	moved   *sync.Cond // told of each change but a new script
	script  Script
	version int           // of script
	changed chan struct{} // closed when there is another version, or the end
	seen    int           // the version that move follows
	passed  int64
	dropped int64
	ended   bool
}

// Set changes the script. When it returns, nothing happens by the former one
// any more. A direction that has ended doesn't care.
func (f *Flow) Set(s Script) {
	version := f.put(s)
	f.mu.Lock()
	defer f.mu.Unlock()
	_ = await(context.Background(), f.moved, func() bool { return f.seen >= version || f.ended })
}

// put changes the script and wakes move.
func (f *Flow) put(s Script) (version int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if !f.ended {
		f.script = s
		f.version++
		close(f.changed)
		f.changed = make(chan struct{})
		_ = f.src.SetReadDeadline(past)
		_ = f.dst.SetWriteDeadline(past)
	}
	return f.version
}

// Count returns how many bytes have been passed on, and how many dropped.
func (f *Flow) Count() (passed, dropped int64) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.passed, f.dropped
}

// Await waits until n bytes have been passed on or dropped since the connection
// began. It returns the error of ctx, or [ErrEnded] if they can't come any more.
func (f *Flow) Await(ctx context.Context, n int64) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	err := await(ctx, f.moved, func() bool { return f.passed+f.dropped >= n || f.ended })
	if err == nil && f.passed+f.dropped < n {
		return ErrEnded
	}
	return err
}

// look returns what to do behind which byte, and until when; not ok: nothing.
func (f *Flow) look() (s Script, pos int64, changed <-chan struct{}, ok bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.ended {
		return s, 0, nil, false
	}
	_ = f.src.SetReadDeadline(time.Time{})
	_ = f.dst.SetWriteDeadline(time.Time{})
	f.seen = f.version
	f.moved.Broadcast()
	return f.script, f.passed + f.dropped, f.changed, true
}

func (f *Flow) count(passed, dropped int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.passed += int64(passed)
	f.dropped += int64(dropped)
	f.moved.Broadcast()
}

func (f *Flow) end() {
	f.mu.Lock()
	defer f.mu.Unlock()
	if !f.ended {
		f.ended = true
		close(f.changed)
		f.moved.Broadcast()
	}
}

// move moves bytes until the sender and what it sent have come to their end, or
// the receiver has reset.
func (f *Flow) move() {
	defer f.end()
	var (
		buf  [inHand]byte
		left []byte // read, and neither passed on nor dropped
		over error  // how the sender ended
		shut bool   // the receiver got FIN
	)
	for {
		s, pos, changed, ok := f.look()
		if !ok {
			return
		}
		fault := s.due(pos)
		switch fault {
		case Reset:
			f.conn.Reset()
			return
		case Cut:
			f.conn.Up.put(Script{Fault: Shut})
			f.conn.Down.put(Script{Fault: Shut})
			continue
		case Shut:
			shut = true
			_ = f.dst.CloseWrite()
		}
		drop := shut || fault == Drop
		switch {
		case fault == Hold, fault == Drop && over != nil:
			<-changed
		case drop && len(left) > 0:
			f.count(0, len(left))
			left = nil
		case len(left) > 0:
			n, err := f.pass(s, pos, left, changed)
			left = left[n:]
			switch {
			case err == nil || errors.Is(err, os.ErrDeadlineExceeded):
			case errors.Is(err, syscall.EPIPE): // it has closed, and the sender got its FIN or will
				shut = true
			default: // it has reset; the other direction goes on with what it said before
				return
			}
		case over == nil:
			n, err := f.src.Read(buf[:])
			if left = buf[:n]; !errors.Is(err, os.ErrDeadlineExceeded) {
				over = err
			}
		case errors.Is(over, io.EOF) && !f.disguised():
			_ = f.dst.CloseWrite()
			return
		default:
			f.conn.Reset()
			return
		}
	}
}

// pass writes what may be written of left now: nothing, if the script changes
// first.
func (f *Flow) pass(s Script, pos int64, left []byte, changed <-chan struct{}) (int, error) {
	if pieces := int64(s.Pieces); f.cut <= pos || pieces > 0 && f.cut > pos+pieces { // a new piece
		if s.Gate != nil {
			select {
			case <-s.Gate:
			case <-changed:
				return 0, nil
			}
		}
		f.cut = pos + int64(len(left))
		if pieces > 0 {
			f.cut = pos + 1 + f.rand.Int64N(pieces)
		}
		if s.Pause > 0 {
			f.wait += time.Duration(f.rand.Int64N(int64(s.Pause) + 1))
		}
	}
	if f.wait > 0 {
		due := time.NewTimer(f.wait)
		defer due.Stop()
		f.wait = 0
		select {
		case <-due.C:
		case <-changed:
			return 0, nil
		}
	}
	f.writing.Lock()
	n, err := f.dst.Write(left[:s.limit(len(left), pos, f.cut)])
	f.broken = errors.Is(err, syscall.ECONNRESET)
	f.writing.Unlock()
	f.count(n, 0)
	if s.Rate > 0 {
		f.wait = time.Duration(n) * time.Second / time.Duration(s.Rate)
	}
	return n, err
}

// disguised reports whether the end of what src sends is a reset. The kernel
// tells it once: if a Write has been told, Read gets a plain end.
func (f *Flow) disguised() bool {
	if f.src.CloseRead() == nil { // it is still connected
		return false
	}
	f.back.writing.Lock() // not for long: a Write can't block any more
	defer f.back.writing.Unlock()
	return f.back.broken
}
