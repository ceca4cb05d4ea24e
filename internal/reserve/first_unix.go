//go:build unix

package reserve

import (
	"math"
	"syscall"
)

// HasNumber reports whether a descriptor is in the reserve.
func HasNumber(fd int) bool { return uint64(fd) >= first() }

// first returns where the reserve begins. The limit may be changed while the
// process runs.
func first() uint64 {
	var limit syscall.Rlimit
	if syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit) != nil {
		return math.MaxUint64
	}
	all := uint64(limit.Cur) //nolint:unconvert // not everywhere of this type
	return all - min(max(all/64, least), most, all)
}
