package gateway

import (
	"encoding/base64"
	"net/http"
	"net/netip"
	"strconv"
	"strings"

	"github.com/portcullis-auth/portcullis/internal/upgrade"
)

// ambiguous says why two parsers could read the request differently, so that
// the rule would see something else than the backend; "" if they couldn't, but
// for the oddities, which a route may let through. What net/http has refused or
// normalized already isn't looked for.
func ambiguous(r *http.Request) (odd oddities, why string) {
	target := r.RequestURI
	path, query, _ := strings.Cut(target, "?")
	switch {
	case r.Method == http.MethodConnect:
		return 0, "CONNECT is not served here"
	case !strings.HasPrefix(target, "/"):
		return 0, "the request target must be a path"
	case !plainHost(r.Host):
		return 0, "the Host must be a name or an address, and perhaps a port"
	case strings.HasPrefix(target, "//"): // to many that is a host
		return 0, "the path begins with an empty segment"
	case strings.ContainsAny(target, "#\\"):
		return 0, "the request target holds a # or a backslash"
	}
	for i := range len(target) {
		if target[i] <= ' ' || target[i] >= 0x7F {
			return 0, "the request target holds a byte that must be encoded"
		}
	}
	if strings.Contains(path, "//") {
		odd |= doubleSlash
	}
	if strings.Contains(query, ";") {
		odd |= semicolon
	}
	for segment := range strings.SplitSeq(path, "/") {
		more, why := ambiguousSegment(segment)
		if why != "" {
			return 0, why
		}
		odd |= more
	}
	for name := range r.Header {
		if plainEqual(name, "x-http-method-override") || plainEqual(name, "x-http-method") || plainEqual(name, "x-method-override") { // D4
			return 0, "a header names another method"
		}
	}
	return odd, ""
}

// plainHost reports whether everybody reads the same name or address out of a
// Host (RFC 9110, section 7.2), which may have a port.
func plainHost(host string) bool {
	if i := strings.LastIndexByte(host, ':'); i > strings.LastIndexByte(host, ']') {
		if _, err := strconv.ParseUint(host[i+1:], 10, 16); err != nil {
			return false
		}
		host = host[:i]
	}
	if inner, ok := strings.CutPrefix(host, "["); ok {
		inner, ok = strings.CutSuffix(inner, "]")
		ip, err := netip.ParseAddr(inner)
		return ok && err == nil && ip.Is6() && ip.Zone() == "" // net/http sends no zone on
	}
	for i := range len(host) {
		if c := host[i]; !isAlphanumeric(c) && c != '-' && c != '_' && c != '.' {
			return false
		}
	}
	return host != "" && host[0] != '.' && !strings.Contains(host, "..")
}

// ambiguousSegment looks for what some decode before they split, and others
// after.
func ambiguousSegment(segment string) (odd oddities, why string) {
	for i := 0; i+2 < len(segment); i++ {
		if segment[i] != '%' {
			continue
		}
		switch strings.ToLower(segment[i+1 : i+3]) {
		case "2f":
			odd |= encodedSlash
		case "5c":
			return 0, "the path holds an encoded backslash"
		case "2e":
			return 0, "the path holds an encoded dot"
		case "00":
			return 0, "the path holds an encoded NUL"
		case "3b":
			odd |= semicolon
		}
	}
	if segment == "." || segment == ".." {
		return 0, "the path holds a dot segment"
	}
	if strings.Contains(segment, ";") { // some servers cut it off, with what follows
		odd |= semicolon
	}
	return odd, ""
}

// badHandshake says with which status, and why, a request for an upgrade is
// refused (RFC 6455, section 4.2.1); 0 if it isn't.
func badHandshake(r *http.Request) (status int, why string) {
	key := r.Header["Sec-Websocket-Key"]
	version := r.Header["Sec-Websocket-Version"]
	switch {
	case !upgrade.ToWebSocket(r):
		return http.StatusBadRequest, "only upgrades to websocket are served here"
	case r.Method != http.MethodGet:
		return http.StatusBadRequest, "a WebSocket handshake is a GET"
	case !r.ProtoAtLeast(1, 1):
		return http.StatusBadRequest, "a WebSocket handshake needs HTTP/1.1"
	case r.ContentLength != 0 || len(r.TransferEncoding) > 0:
		return http.StatusBadRequest, "a WebSocket handshake has no body"
	case len(version) != 1 || version[0] != "13":
		return http.StatusUpgradeRequired, "only version 13 of the WebSocket protocol is served here"
	case len(key) != 1:
		return http.StatusBadRequest, "a WebSocket handshake has one Sec-WebSocket-Key"
	}
	if raw, err := base64.StdEncoding.DecodeString(key[0]); err != nil || len(raw) != 16 {
		return http.StatusBadRequest, "Sec-WebSocket-Key must be 16 bytes in base64"
	}
	return 0, ""
}
