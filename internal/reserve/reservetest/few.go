//go:build linux || darwin

// Package reservetest takes descriptors away, for tests. It is for where limits have
// the types that they have on Linux.
package reservetest

import (
	"os"
	"testing"

	"golang.org/x/sys/unix"
)

// Few leaves the process n descriptors, beginning with the lowest that is free,
// until undo or the test's end. The test mustn't be parallel.
func Few(t testing.TB, n int) (undo func()) {
	t.Helper()
	var was unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &was); err != nil {
		t.Fatal(err)
	}
	f, err := os.Open(os.DevNull) // gets the lowest that is free
	if err != nil {
		t.Fatal(err)
	}
	now := was
	now.Cur = uint64(f.Fd()) + uint64(n)
	_ = f.Close()
	if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &now); err != nil {
		t.Fatal(err)
	}
	undo = func() {
		if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &was); err != nil {
			t.Error(err)
		}
	}
	t.Cleanup(undo)
	return undo
}
