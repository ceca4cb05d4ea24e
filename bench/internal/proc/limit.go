package proc

import (
	"fmt"
	"syscall"
)

// EnoughFiles wants so many descriptors for one process.
func EnoughFiles(n int) error {
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		return err
	}
	if limit.Max < uint64(n) {
		return fmt.Errorf("the gateway needs %d descriptors, and the hard limit is %d: raise it, or take fewer -sockets", n, limit.Max)
	}
	return nil
}
