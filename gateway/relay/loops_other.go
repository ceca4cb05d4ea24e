//go:build !linux

package relay

// loops are none on this system.
type loops struct{}

func (*loops) start(socket, Side, Side) bool { return false }

func (*loops) close() {}
