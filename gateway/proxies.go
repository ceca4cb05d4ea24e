package gateway

import (
	"crypto/tls"
	"net"
	"net/http"
	"net/netip"
	"strings"
)

// proxies are whose word about a request is believed (D2). nil: nobody's.
type proxies []netip.Prefix

func (p proxies) trust(ip netip.Addr) bool {
	for _, network := range p {
		if network.Contains(ip) {
			return true
		}
	}
	return false
}

// view returns the request as its client made it: with the address, the scheme
// and the Host that a trusted proxy states. What isn't clear is refused: why. Of
// anybody else it believes nothing.
func (p proxies) view(r *http.Request) (_ *http.Request, why string) {
	if p == nil || !p.trust(address(r)) {
		return r, ""
	}
	chain := r.Header["X-Forwarded-For"]
	proto, ok := single(r.Header["X-Forwarded-Proto"])
	host, ok2 := single(r.Header["X-Forwarded-Host"])
	if !ok || !ok2 {
		return r, "the proxy states several schemes or hosts: have the outermost one set X-Forwarded-Proto and X-Forwarded-Host, and the others leave them alone"
	}
	r = r.WithContext(r.Context()) // a shallow copy
	if len(chain) > 0 {
		client, ok := p.client(chain)
		if !ok {
			return r, "the proxy states something in X-Forwarded-For that isn't an address"
		}
		r.RemoteAddr = net.JoinHostPort(client.String(), "0")
	}
	switch strings.ToLower(proto) {
	case "":
	case "https", "wss":
		if r.TLS == nil {
			r.TLS = new(tls.ConnectionState)
		}
	case "http", "ws":
		r.TLS = nil
	default:
		return r, "the proxy states a scheme in X-Forwarded-Proto that isn't http or https"
	}
	if host != "" {
		r.Host = host // ambiguous looks at it
	}
	return r, ""
}

// client returns the last address that no trusted proxy has: each one adds whom
// it was called by, and what is before that anybody may have written.
func (p proxies) client(lines []string) (client netip.Addr, ok bool) {
	list := strings.Split(strings.Join(lines, ","), ",")
	for i := len(list) - 1; i >= 0; i-- {
		if client, ok = parseAddress(strings.Trim(list[i], " \t")); !ok || !p.trust(client) {
			break
		}
	}
	return client, ok
}

// parseAddress reads an address; some proxies add the port.
func parseAddress(s string) (ip netip.Addr, ok bool) {
	ip, err := netip.ParseAddr(s)
	if err != nil {
		var both netip.AddrPort
		both, err = netip.ParseAddrPort(s)
		ip = both.Addr()
	}
	return ip.Unmap(), err == nil && ip.Zone() == ""
}

// single returns the value of a header that has one at most, which is no list.
func single(lines []string) (value string, ok bool) {
	if len(lines) == 0 {
		return "", true
	}
	return lines[0], len(lines) == 1 && lines[0] != "" && !strings.Contains(lines[0], ",")
}

// address returns where the request came from; the zero Addr where that isn't
// known.
func address(r *http.Request) netip.Addr {
	from, _ := netip.ParseAddrPort(r.RemoteAddr)
	return from.Addr().Unmap()
}
