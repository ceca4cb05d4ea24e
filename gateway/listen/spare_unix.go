//go:build unix

package listen

import (
	"net"
	"syscall"
)

// The descriptors that connections are not to take: a 64th of all, within these
// bounds. Those that are there already need some for backends, token systems and
// the operator, without which nobody could be thrown out any more (L3).
const (
	leastSpare = 16
	mostSpare  = 256
)

// intoSpare reports whether nc took one of the last descriptors. The system gives
// out the lowest that is free, so its number is about how many there are.
func intoSpare(nc *net.TCPConn) bool {
	var limit syscall.Rlimit
	raw, err := nc.SyscallConn()
	if err != nil || syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit) != nil {
		return false
	}
	into := false
	_ = raw.Control(func(fd uintptr) {
		most := uint64(limit.Cur) //nolint:unconvert // not everywhere of this type
		into = uint64(fd) >= most-min(max(most/64, leastSpare), mostSpare, most)
	})
	return into
}
