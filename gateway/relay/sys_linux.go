package relay

import (
	"unsafe"

	"golang.org/x/sys/unix"
)

// These are system calls that don't block, so the scheduler needn't be told
// about them: that would cost more than some of them. n is never negative.

func read(fd int, p []byte) (n int, err error) {
	return result(unix.RawSyscall(unix.SYS_READ, uintptr(fd), uintptr(unsafe.Pointer(unsafe.SliceData(p))), uintptr(len(p)))) //nolint:gosec // lives on the heap, and as long as the call
}

func write(fd int, p []byte) (n int, err error) {
	return result(unix.RawSyscall(unix.SYS_WRITE, uintptr(fd), uintptr(unsafe.Pointer(unsafe.SliceData(p))), uintptr(len(p)))) //nolint:gosec // as above
}

// epollWait returns what is there, without waiting.
func epollWait(epoll int, events []unix.EpollEvent) int {
	n, _ := result(unix.RawSyscall6(unix.SYS_EPOLL_PWAIT, uintptr(epoll), uintptr(unsafe.Pointer(unsafe.SliceData(events))), uintptr(len(events)), 0, 0, 0)) //nolint:gosec // as above
	return n
}

func result(n, _ uintptr, errno unix.Errno) (int, error) {
	if errno != 0 {
		return 0, errno
	}
	return int(n), nil
}
