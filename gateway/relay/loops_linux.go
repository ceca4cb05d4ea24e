package relay

import (
	"net"
	"runtime"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/portcullis-auth/portcullis/internal/reserve"
	"github.com/portcullis-auth/portcullis/internal/wsconn"
)

// loops are the event loops of an Engine, made when the first socket comes.
type loops struct {
	mu     sync.Mutex // guards what follows
	list   []*loop
	next   int // whose turn it is to get a socket
	closed bool
	clock  func() time.Duration // the loops'; nil: the monotonic clock
}

// start hands a socket to a loop. It reports false, and has done nothing, if
// the connections, or what has been read of them, are none that a loop can take,
// or the system lacks descriptors.
func (s *loops) start(k socket, client, backend Side) bool {
	clientConn, backendConn := wsconn.TCP(client.Conn), wsconn.TCP(backend.Conn)
	if clientConn == nil || backendConn == nil || max(len(client.Early), len(backend.Early)) > readSize {
		return false
	}
	l := s.pick()
	if l == nil {
		return false
	}
	p := &pair{loop: l, socket: k}
	if p.client.fd = duplicate(clientConn); p.client.fd < 0 {
		return false
	}
	if p.backend.fd = duplicate(backendConn); p.backend.fd < 0 {
		_ = unix.Close(p.client.fd)
		return false
	}
	_ = client.Conn.Close() // ours is the last one now
	_ = backend.Conn.Close()
	p.session.OnEnd(p.sessionEnded)
	l.add(arrival{p, client.Early, backend.Early})
	return true
}

// pick returns the loop that gets the next socket; nil if there can be none.
//
// One loop for two cores: its work is system calls, which leave the other core
// to net/http, and more loops than can run at once only add to the time that an
// event waits for its turn.
func (s *loops) pick() *loop {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return nil
	}
	if s.list == nil {
		if s.clock == nil {
			begun := time.Now()
			s.clock = func() time.Duration { return time.Since(begun) + 1 }
		}
		for range (runtime.GOMAXPROCS(0) + 1) / 2 {
			l, err := newLoop(s.clock)
			if err != nil {
				break
			}
			s.list = append(s.list, l)
		}
		if s.list == nil {
			return nil
		}
	}
	s.next = (s.next + 1) % len(s.list)
	return s.list[s.next]
}

func (s *loops) close() {
	s.mu.Lock()
	list := s.list
	s.list, s.closed = nil, true
	s.mu.Unlock()
	for _, l := range list {
		l.stop()
	}
}

// duplicate returns another descriptor of the connection, which the runtime's
// poller knows nothing of; -1 if there is none to be had for a socket.
func duplicate(nc *net.TCPConn) int {
	raw, err := nc.SyscallConn()
	if err != nil {
		return -1
	}
	fd := -1
	if raw.Control(func(of uintptr) {
		fd, err = unix.FcntlInt(of, unix.F_DUPFD_CLOEXEC, 0)
	}) != nil || err != nil {
		return -1
	}
	if reserve.HasNumber(fd) {
		_ = unix.Close(fd)
		return -1
	}
	return fd
}
