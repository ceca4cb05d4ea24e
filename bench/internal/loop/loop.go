//go:build linux

// Package loop waits for many sockets in one thread, and moves bytes with as
// little as the machine allows: what loads and answers must not be what is
// measured. All sockets are IPv4 and non-blocking.
package loop

import (
	"runtime"
	"runtime/debug"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// What a socket may be watched for.
const (
	In  = unix.EPOLLIN | unix.EPOLLRDHUP
	Out = unix.EPOLLOUT
)

// turn bounds one wait, in which the runtime can't stop the thread.
const turn = 50 * time.Millisecond

// A Loop waits. It is used by one goroutine.
type Loop struct {
	epoll  int
	events [512]unix.EpollEvent
}

// New returns a loop without sockets, for the rest of the process's life. It
// keeps the garbage collector away from a process that is small: those who loop
// allocate next to nothing. The runtime takes a thread that waits for one that
// works, and wakes it a hundred times a second, unless GODEBUG has
// asyncpreemptoff=1. What that leaves costs a few milliseconds of CPU a second.
func New() (*Loop, error) {
	runtime.GOMAXPROCS(max(2, runtime.NumCPU())) // the loop never gives its own back
	debug.SetGCPercent(-1)
	debug.SetMemoryLimit(256 << 20)
	fd, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	return &Loop{epoll: fd}, err
}

// Watch begins to watch a socket.
func (l *Loop) Watch(fd int, what uint32) error {
	return unix.EpollCtl(l.epoll, unix.EPOLL_CTL_ADD, fd, &unix.EpollEvent{Events: what, Fd: int32(fd)})
}

// Change changes what a socket is watched for.
func (l *Loop) Change(fd int, what uint32) error {
	return unix.EpollCtl(l.epoll, unix.EPOLL_CTL_MOD, fd, &unix.EpollEvent{Events: what, Fd: int32(fd)})
}

// Wait returns what has happened, if anything has within a short while. The
// events are good until the next Wait.
func (l *Loop) Wait() ([]unix.EpollEvent, error) {
	// Raw: the runtime isn't told, and so has no thread take over meanwhile.
	n, _, errno := unix.RawSyscall6(unix.SYS_EPOLL_PWAIT, uintptr(l.epoll),
		uintptr(unsafe.Pointer(&l.events[0])), uintptr(len(l.events)), uintptr(turn.Milliseconds()), 0, 0) //nolint:gosec // as unix.EpollWait has it
	switch errno {
	case 0:
		return l.events[:n], nil
	case unix.EINTR:
		return nil, nil
	}
	return nil, errno
}
