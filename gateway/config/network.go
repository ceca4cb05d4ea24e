package config

import (
	"net/netip"
	"reflect"

	"go.yaml.in/yaml/v4"
)

// decodeNetwork reads a network in CIDR notation (RFC 4632, RFC 4291, section
// 2.3), or one address.
func decodeNetwork(_ *decoder, n *yaml.Node, v reflect.Value, _ string, _ reflect.StructTag) (problem, fix string) {
	s, problem, fix := text(n)
	if problem != "" {
		return problem, fix
	}
	if ip, err := netip.ParseAddr(s); err == nil && ip.Zone() == "" {
		ip = ip.Unmap()
		v.Set(reflect.ValueOf(netip.PrefixFrom(ip, ip.BitLen())))
		return "", ""
	}
	network, err := netip.ParsePrefix(s)
	switch {
	case err != nil:
		return "is not a network", "write an address, or a network as in 10.0.0.0/8 or fd00::/8"
	case network.Addr().Is4In6():
		return "is an IPv4 network in IPv6 notation", "write it as IPv4"
	case network.Masked() != network:
		return "has bits behind its length", "write " + network.Masked().String()
	}
	v.Set(reflect.ValueOf(network))
	return "", ""
}
