//go:build linux

package loop

import (
	"errors"
	"fmt"
	"io"
	"net/netip"

	"golang.org/x/sys/unix"
)

// Listen listens on an address, whose port may be 0, and returns what that
// became.
func Listen(addr string) (fd int, at string, err error) {
	sa, err := parse(addr)
	if err != nil {
		return -1, "", err
	}
	if fd, err = socket(); err != nil {
		return -1, "", err
	}
	err = errors.Join(
		unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_REUSEADDR, 1),
		unix.Bind(fd, sa),
		unix.Listen(fd, unix.SOMAXCONN))
	if err != nil {
		return -1, "", errors.Join(err, unix.Close(fd))
	}
	got, err := unix.Getsockname(fd)
	if err != nil {
		return -1, "", err
	}
	in4, ok := got.(*unix.SockaddrInet4)
	if !ok {
		return -1, "", fmt.Errorf("%s is not an IPv4 address", addr)
	}
	return fd, netip.AddrPortFrom(netip.AddrFrom4(in4.Addr), uint16(in4.Port)).String(), nil
}

// Accept returns the next connection, or -1 if there is none yet.
func Accept(listener int) (int, error) {
	// Raw: unix.Accept4 allocates the peer's address.
	fd, _, errno := unix.RawSyscall6(unix.SYS_ACCEPT4, uintptr(listener), 0, 0, unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0, 0)
	switch errno {
	case 0:
		return int(fd), noDelay(int(fd))
	case unix.EAGAIN, unix.EINTR, unix.ECONNABORTED:
		return -1, nil
	}
	return -1, fmt.Errorf("accept: %w", errno)
}

// A Peer is whom to dial.
type Peer struct{ sa *unix.SockaddrInet4 }

// NewPeer returns the peer at an address.
func NewPeer(addr string) (Peer, error) {
	sa, err := parse(addr)
	return Peer{sa}, err
}

// Dial begins to connect. The socket is writable when it is connected, or has
// failed, which Dialed says.
func (p Peer) Dial() (fd int, err error) {
	if fd, err = socket(); err != nil {
		return -1, err
	}
	if err := unix.Connect(fd, p.sa); err != nil && !errors.Is(err, unix.EINPROGRESS) {
		return -1, errors.Join(fmt.Errorf("connect: %w", err), unix.Close(fd))
	}
	return fd, noDelay(fd)
}

// Dialed returns why a socket isn't connected.
func Dialed(fd int) error {
	code, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_ERROR)
	if err == nil && code != 0 {
		err = unix.Errno(code)
	}
	return err
}

// Read reads. It returns 0 if there is nothing yet, and io.EOF at the end.
func Read(fd int, b []byte) (int, error) { return count(unix.Read(fd, b)) }

// Discard reads like Read, up to n bytes, but keeps nothing, and copies nothing.
func Discard(fd, n int) (int, error) {
	got, _, errno := unix.RawSyscall6(unix.SYS_RECVFROM, uintptr(fd), 0, uintptr(n), unix.MSG_TRUNC, 0, 0)
	if errno != 0 {
		return count(-1, errno)
	}
	return count(int(got), nil)
}

func count(n int, err error) (int, error) {
	switch {
	case errors.Is(err, unix.EAGAIN), errors.Is(err, unix.EINTR):
		return 0, nil
	case err != nil:
		return 0, err
	case n == 0:
		return 0, io.EOF
	}
	return n, nil
}

// Write writes what the socket takes now, if anything.
func Write(fd int, b []byte) (int, error) {
	n, err := unix.Write(fd, b)
	if errors.Is(err, unix.EAGAIN) || errors.Is(err, unix.EINTR) {
		return 0, nil
	}
	return max(n, 0), err
}

// Close closes a socket. The loop forgets it.
func Close(fd int) { _ = unix.Close(fd) }

// Reset closes a socket without a goodbye: the peer gets a RST.
func Reset(fd int) {
	_ = unix.SetsockoptLinger(fd, unix.SOL_SOCKET, unix.SO_LINGER, &unix.Linger{Onoff: 1})
	Close(fd)
}

func socket() (int, error) {
	return unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
}

func noDelay(fd int) error { return unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_NODELAY, 1) }

func parse(addr string) (*unix.SockaddrInet4, error) {
	ap, err := netip.ParseAddrPort(addr)
	if err != nil {
		return nil, err
	}
	if !ap.Addr().Is4() {
		return nil, fmt.Errorf("%s is not an IPv4 address", addr)
	}
	return &unix.SockaddrInet4{Port: int(ap.Port()), Addr: ap.Addr().As4()}, nil
}
