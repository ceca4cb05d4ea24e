//go:build unix

package reserve_test

import (
	"errors"
	"net"
	"os"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/portcullis-auth/portcullis/internal/reserve"
)

// L3: neither a client nor a backend gets one of the last descriptors; whoever
// doesn't ask does.
func TestL3Reserve(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	guarded := net.Dialer{Control: reserve.Refuse}
	dial := func(d *net.Dialer) (*net.TCPConn, error) {
		nc, err := d.DialContext(t.Context(), "tcp", l.Addr().String())
		if err != nil {
			return nil, err
		}
		t.Cleanup(func() { _ = nc.Close() })
		return nc.(*net.TCPConn), nil
	}
	before, err := dial(&guarded)
	if err != nil {
		t.Fatal(err)
	}
	for range 12 {
		if _, err := dial(&guarded); err != nil {
			t.Fatal(err)
		}
	}

	limit(t, 8) // the reserve is 16
	if reserve.Has(before) {
		t.Error("who has come early is in the reserve")
	}
	if _, err := dial(&guarded); !errors.Is(err, syscall.EMFILE) {
		t.Errorf("dialling into the reserve: %v, want EMFILE", err)
	}
	operator, err := dial(&net.Dialer{})
	if err != nil {
		t.Fatalf("the reserve can't be used: %v", err)
	}
	if !reserve.Has(operator) {
		t.Error("the last connection isn't in the reserve")
	}
	limit(t, 64)
	if reserve.Has(operator) {
		t.Error("in the reserve, with descriptors enough")
	}
}

// limit lets the process have so many descriptors more than the lowest that is
// free, until the test's end.
func limit(t *testing.T, more int) {
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
	now.Cur = uint64(f.Fd()) + uint64(more)
	_ = f.Close()
	if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &now); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &was); err != nil {
			t.Error(err)
		}
	})
}
