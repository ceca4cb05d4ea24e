//go:build linux || darwin

package reserve_test

import (
	"errors"
	"net"
	"syscall"
	"testing"

	"github.com/portcullis-auth/portcullis/internal/reserve"
	"github.com/portcullis-auth/portcullis/internal/reserve/reservetest"
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

	undo := reservetest.Few(t, 8) // the reserve is 16
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
	undo()
	if reserve.Has(operator) {
		t.Error("in the reserve, with descriptors enough")
	}
}
