//go:build !unix

package wsconn

import "net"

// ForTLS returns nc.
func ForTLS(nc net.Conn) net.Conn { return nc }

func lenderOf(nc net.Conn) lender { return holder{nc} }
