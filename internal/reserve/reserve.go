// Package reserve is the process's last descriptors. Clients and backends don't
// get any of them: they are for the token systems, the admin API, certificates and
// logs, so that whoever is there can still be checked, seen and thrown out (L3).
//
// The last are a 64th of all, but at least 16 and at most 256. The system gives
// out the lowest number that is free, so a number tells how many are taken. What
// is given out again by number, like a duplicate, is to be checked too.
package reserve

import (
	"errors"
	"syscall"
)

const (
	least = 16
	most  = 256
)

// Has reports whether c's descriptor is in the reserve. There is none on systems
// that number them otherwise.
func Has(c syscall.Conn) bool {
	raw, err := c.SyscallConn()
	return err == nil && errors.Is(refuse(raw), syscall.EMFILE)
}

// Refuse is for [net.Dialer.Control]: where only the reserve has a descriptor for a
// connection, it fails with [syscall.EMFILE].
func Refuse(_, _ string, c syscall.RawConn) error { return refuse(c) }

func refuse(c syscall.RawConn) (err error) {
	first := first()
	if failed := c.Control(func(fd uintptr) {
		if uint64(fd) >= first {
			err = syscall.EMFILE
		}
	}); failed != nil {
		return failed
	}
	return err
}
