//go:build linux || darwin

package listen_test

import (
	"net"
	"testing"

	"github.com/portcullis-auth/portcullis/gateway/listen"
	"github.com/portcullis-auth/portcullis/internal/reserve/reservetest"
)

// Without descriptors nothing is accepted, and nothing is given up: what waits is
// served when there are some again.
func TestL3OutOfDescriptors(t *testing.T) {
	log := newLogbook()
	l := open(t, listen.Options{Log: log.log()})
	nc := dial(t, l, "") // the system has accepted it
	undo := noDescriptors(t)
	conns := accepted(t, l)
	log.await(t, 1, "no connection can be accepted")
	log.await(t, 2, "no connection can be accepted") // a second later
	undo()
	c := next(t, conns)
	defer c.Close()
	if c.RemoteAddr().String() != nc.LocalAddr().String() {
		t.Errorf("accepted from %s, want %s", c.RemoteAddr(), nc.LocalAddr())
	}
}

// Close is heard while there are no descriptors.
func TestL3CloseWithoutDescriptors(t *testing.T) {
	log := newLogbook()
	l := open(t, listen.Options{Log: log.log()})
	dial(t, l, "")
	defer noDescriptors(t)()
	failed := make(chan error, 1)
	go func() {
		c, err := l.Accept()
		if err == nil {
			_ = c.Close()
		}
		failed <- err
	}()
	log.await(t, 1, "no connection can be accepted")
	_ = l.Close()
	if err := next(t, failed); err == nil {
		t.Error("accepted something")
	}
}

// noDescriptors takes all descriptors that are free from the process, until undo.
func noDescriptors(t *testing.T) (undo func()) {
	t.Helper()
	undo = reservetest.Few(t, 0)
	if c, err := net.Dial("tcp", "127.0.0.1:1"); err == nil {
		_ = c.Close()
		t.Fatal("there are descriptors left")
	}
	return undo
}
