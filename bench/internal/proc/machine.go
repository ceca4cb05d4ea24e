package proc

import (
	"cmp"
	"os"
	"runtime"
	"strconv"
	"strings"
	"time"
)

// Processor returns the processor's name.
func Processor() string {
	for line := range strings.Lines(read("/proc/cpuinfo")) {
		if name, ok := strings.CutPrefix(line, "model name"); ok {
			return strings.Trim(name, "\t :\n")
		}
	}
	return runtime.GOARCH
}

// Kernel returns its version.
func Kernel() string { return strings.TrimSpace(read("/proc/sys/kernel/osrelease")) }

// Load returns the load average of the last minute.
func Load() string {
	one, _, _ := strings.Cut(read("/proc/loadavg"), " ")
	return cmp.Or(one, "?")
}

// MemoryGiB returns how much memory there is, to the nearest GiB.
func MemoryGiB() int {
	kib, _ := parseField(read("/proc/meminfo"), "MemTotal:")
	return (kib + 1<<19) >> 20
}

// tick is the unit of CPU times in /proc, on every Linux that Go runs on.
const tick = 10 * time.Millisecond

// Times are those of all processors since the start of the machine.
type Times struct {
	All   time.Duration
	Stole time.Duration // the time that a hypervisor gave to others
}

// Now returns the times until now.
func Now() Times { return parseTimes(read("/proc/stat")) }

func parseTimes(text string) (t Times) {
	line, _, _ := strings.Cut(text, "\n")
	f := strings.Fields(line)
	for i := 1; i < min(len(f), 9); i++ { // those of guests, behind, are in user
		n, _ := strconv.Atoi(f[i])
		t.All += time.Duration(n) * tick
		if i == 8 {
			t.Stole = time.Duration(n) * tick
		}
	}
	return t
}

func read(file string) string {
	raw, _ := os.ReadFile(file)
	return string(raw)
}
