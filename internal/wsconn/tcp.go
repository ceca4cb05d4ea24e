package wsconn

import "net"

// TCP returns the TCP connection that nc is, or that it says it is, as those of
// package gateway/listen do; nil: it is none. Who says so has nothing left that it
// has read and not given out, and is what is to be closed.
func TCP(nc net.Conn) *net.TCPConn {
	switch nc := nc.(type) {
	case *net.TCPConn:
		return nc
	case interface{ TCP() *net.TCPConn }:
		return nc.TCP()
	default:
		return nil
	}
}
