package issuer

import (
	"fmt"
	"net"
)

// Listen opens the TCP listener for an Issuer. The caller closes it (or the http.Server
// that serves it does). Port 0 picks a free port; its URL is then known before [New].
//
// Everybody who can reach the issuer can log in as anybody, so Listen refuses an address
// beyond loopback, the empty host (all interfaces) included, unless
// insecureAllowNonLoopback is set. A host name is resolved once, and the address that was
// checked is the one listened on.
func Listen(addr string, insecureAllowNonLoopback bool) (net.Listener, error) {
	resolved, err := net.ResolveTCPAddr("tcp", addr)
	if err != nil {
		return nil, fmt.Errorf("issuer: listen address %q: %w", addr, err)
	}
	if !insecureAllowNonLoopback && !resolved.IP.IsLoopback() {
		return nil, fmt.Errorf("issuer: refusing to listen on %q: the demo token system has no passwords, "+
			"so whoever reaches it can be anybody; use a loopback address such as 127.0.0.1:%d, "+
			"or ask for it explicitly by allowing non-loopback (insecure)", addr, resolved.Port)
	}
	return net.ListenTCP("tcp", resolved)
}
