package proc

import (
	"fmt"
	"time"

	"golang.org/x/sys/unix"
)

// CPU returns the user and system time that the group has used. The ticks of
// /proc/PID/stat are too coarse for a few seconds of little work, so it asks for
// the processes' clocks (clock_getcpuclockid(3)), which count the same in ns.
func (g Group) CPU() (total time.Duration, err error) {
	for _, pid := range g {
		var t unix.Timespec
		const sched = 2 // CPUCLOCK_SCHED, of a process
		if err := unix.ClockGettime(int32(^pid)<<3|sched, &t); err != nil {
			return 0, fmt.Errorf("CPU clock of process %d: %w", pid, err)
		}
		total += time.Duration(t.Nano())
	}
	return total, nil
}
