package config

import (
	"net"
	"net/http"
	"net/netip"
	"path"
	"strconv"
	"strings"
)

// checks are what the tag check names, for text: each returns what is wrong,
// and what to do.
var checks = map[string]func(string) (problem, fix string){
	"text":    func(string) (problem, fix string) { return "", "" },
	"file":    func(string) (problem, fix string) { return "", "" },
	"address": checkAddress,
	"admin":   checkAdmin,
	"env":     checkEnv,
	"header":  checkHeader,
	"secret":  checkSecretHeader,
	"host":    checkHost,
	"path":    checkPath,
	"origin":  checkOrigin,
	"login":   checkLogin,
	"issuer":  checkIssuer,
	"user":    checkUserURL,
	"field":   checkPointer,
	"segment": checkSegment,
	"domain":  checkDomain,

	"directory": checkDirectory,
}

func checkAddress(s string) (problem, fix string) {
	const how = "write HOST:PORT or :PORT, as in 127.0.0.1:8080"
	host, port, err := net.SplitHostPort(s)
	if err != nil {
		return "is not an address", how
	}
	if n, err := strconv.ParseUint(port, 10, 16); err != nil || strconv.FormatUint(n, 10) != port {
		return "has no port from 0 to 65535", how
	}
	if host != "" && host != "*" && !isIP(host) && !isHostname(host) {
		return "has no host name or IP address before the port", how
	}
	if host == "*" {
		return "has * for a host", "leave the host away, as in :" + port
	}
	return "", ""
}

func checkAdmin(s string) (problem, fix string) {
	if s == "off" {
		return "", ""
	}
	if problem, _ = checkAddress(s); problem != "" {
		return problem, "write off, or HOST:PORT, as in 127.0.0.1:8081"
	}
	return "", ""
}

// loopback reports whether only this machine can reach an address that
// checkAddress has passed.
func loopback(address string) bool {
	host, _, err := net.SplitHostPort(address)
	return err == nil && loopbackHost(host)
}

func loopbackHost(host string) bool {
	ip, err := netip.ParseAddr(host)
	return strings.EqualFold(host, "localhost") || err == nil && ip.Unmap().IsLoopback()
}

// checkEnv doesn't say what s is: it may be the secret itself.
func checkEnv(s string) (problem, fix string) {
	for i, r := range s {
		letter := r == '_' || r >= 'A' && r <= 'Z' || r >= 'a' && r <= 'z'
		if !letter && (i == 0 || r < '0' || r > '9') {
			return "is not the name of an environment variable", "write the name, not the value: letters, digits and _"
		}
	}
	return "", ""
}

// isToken reports whether s is a token (RFC 9110, section 5.6.2), which cookies
// (RFC 6265, section 4.1.1), headers and subprotocols (RFC 6455, section 4.1)
// are called by.
func isToken(s string) bool {
	for _, r := range s {
		if r <= ' ' || r >= 0x7f || strings.ContainsRune(`()<>@,;:\"/[]?={}`, r) {
			return false
		}
	}
	return s != ""
}

func checkName(what string) func(string) (problem, fix string) {
	return func(s string) (problem, fix string) {
		if !isToken(s) {
			return "is not the name of a " + what, "write letters, digits and any of !#$%&'*+-.^_`|~"
		}
		return "", ""
	}
}

func checkQuery(s string) (problem, fix string) {
	for _, r := range s {
		if !isAlphanumeric(r) && !strings.ContainsRune("-._~", r) {
			return "is not the name of a query parameter", "write letters, digits and any of -._~"
		}
	}
	return "", ""
}

// spoken are headers that HTTP itself, or the login, depends on.
var spoken = map[string]bool{
	"Accept": true, "Accept-Encoding": true, "Authorization": true, "Connection": true,
	"Content-Encoding": true, "Content-Length": true, "Content-Type": true, "Cookie": true,
	"Expect": true, "Forwarded": true, "Host": true, "Idempotency-Key": true, "Keep-Alive": true, "Origin": true,
	"Proxy-Authorization": true, "Proxy-Connection": true, "Range": true, "Referer": true,
	"Te": true, "Trailer": true, "Transfer-Encoding": true, "Upgrade": true, "Via": true,
}

func checkHeader(s string) (problem, fix string) {
	name := http.CanonicalHeaderKey(s)
	switch {
	case !isToken(s):
		return "is not the name of a header", "write letters, digits and hyphens"
	case strings.Contains(s, "_"):
		// Many servers take X_User for X-User, and some drop it.
		return "has an underscore", "use hyphens"
	case spoken[name] || strings.HasPrefix(name, "Sec-") || strings.HasPrefix(name, "X-Forwarded-"):
		return "is a header with a meaning of its own", "choose another, as in X-Portcullis-Userinfo"
	}
	return "", ""
}

// checkSegment is for a part of a path.
func checkSegment(s string) (problem, fix string) {
	for _, r := range s {
		if !isAlphanumeric(r) && r != '-' && r != '_' {
			return "cannot be a part of a path", "write letters, digits, - and _"
		}
	}
	return "", ""
}

// checkPointer is for a member's name or, if it begins with a slash, a JSON
// Pointer (RFC 6901, section 3).
func checkPointer(s string) (problem, fix string) {
	if s[0] == '/' && strings.Contains(strings.NewReplacer("~0", "", "~1", "").Replace(s), "~") {
		return "is not a path", "write ~0 for a ~ in a name, and ~1 for a slash"
	}
	return "", ""
}

// framing are headers that an HTTP client writes itself.
var framing = map[string]bool{
	"Accept": true, "Accept-Encoding": true, "Connection": true, "Content-Length": true, "Expect": true,
	"Host": true, "Idempotency-Key": true, "Te": true, "Trailer": true, "Transfer-Encoding": true, "Upgrade": true,
}

// checkTokenHeader is for the header that carries a token to an HTTP check.
func checkTokenHeader(s string) (problem, fix string) {
	switch {
	case !isToken(s):
		return "is not the name of a header", "write letters, digits and hyphens"
	case framing[http.CanonicalHeaderKey(s)]:
		return "is a header that HTTP needs itself", "choose another, or write bearer"
	}
	return "", ""
}

// checkSecretHeader is for the header that tells an HTTP check who asks.
func checkSecretHeader(s string) (problem, fix string) {
	problem, fix = checkTokenHeader(s)
	return problem, strings.TrimSuffix(fix, ", or write bearer")
}

func checkHost(s string) (problem, fix string) {
	const how = "write a host name, as in app.example.com, or *.example.com, without scheme and port"
	if base, ok := strings.CutPrefix(s, "*."); ok {
		if isIP(base) || !isHostname(base) {
			return "is not a host", how
		}
		return "", ""
	}
	if bare, ok := strings.CutPrefix(s, "["); ok {
		if bare, ok = strings.CutSuffix(bare, "]"); !ok || !strings.Contains(bare, ":") || !isIP(bare) {
			return "is not a host", how
		}
		return "", ""
	}
	if strings.Contains(s, ":") || !isIP(s) && !isHostname(s) {
		return "is not a host", how
	}
	return "", ""
}

// checkDomain is for a name that a certificate is to be for.
func checkDomain(s string) (problem, fix string) {
	if isIP(s) || !isHostname(s) {
		return "is not a host name", "write one, as in app.example.com"
	}
	return "", ""
}

// checkDirectory is for an ACME server (RFC 8555, section 6.1).
func checkDirectory(s string) (problem, fix string) {
	u, problem, fix := parseURL(s)
	if problem == "" && u.Scheme != "https" {
		return "is not https", "write the directory URL of the certificate authority"
	}
	return problem, fix
}

func isIP(s string) bool {
	ip, err := netip.ParseAddr(s)
	return err == nil && ip.Zone() == ""
}

// isHostname reports whether s is letters, digits, hyphens and dots, as in
// RFC 1123, section 2.1. Names in other scripts stand as xn--….
func isHostname(s string) bool {
	if len(s) > 253 {
		return false
	}
	for label := range strings.SplitSeq(s, ".") {
		if label == "" || len(label) > 63 || label[0] == '-' || label[len(label)-1] == '-' {
			return false
		}
		for _, r := range label {
			if !isAlphanumeric(r) && r != '-' && r != '_' {
				return false
			}
		}
	}
	// What ends in a number would be an IP address.
	last := s[strings.LastIndexByte(s, '.')+1:]
	return strings.Trim(last, "0123456789") != ""
}

func isAlphanumeric(r rune) bool {
	return r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9'
}

// reserved is the path of the gateway's own endpoints.
const reserved = "/.portcullis"

func checkPath(s string) (problem, fix string) {
	switch {
	case s[0] != '/':
		return "doesn't begin with a slash", "write /" + clip(s)
	case strings.ContainsAny(s, "*"):
		return "holds a *", "write the beginning of the path; everything below it belongs to the route"
	case strings.ContainsAny(s, "%"):
		return "is escaped", "write it as it reads when decoded"
	case strings.ContainsAny(s, `?#;\`) || strings.Contains(s, " "):
		return "holds a character that paths here don't have (?, #, ;, backslash, space)", "remove it"
	case s != "/" && path.Clean(s) != strings.TrimSuffix(s, "/"), strings.Contains(s, "//"):
		return "has an empty segment, . or ..", "write it without"
	case s == reserved || strings.HasPrefix(s, reserved+"/"):
		return "belongs to the gateway's own endpoints", "choose another"
	}
	return "", ""
}
