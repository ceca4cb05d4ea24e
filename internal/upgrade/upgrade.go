// Package upgrade recognizes requests that ask to leave HTTP on their
// connection (RFC 9110, section 7.8).
package upgrade

import (
	"net/http"
	"strings"
)

// Asked reports whether r is such a request.
func Asked(r *http.Request) bool {
	return r.ProtoMajor == 1 && len(r.Header["Upgrade"]) > 0 && HasToken(r.Header["Connection"], "upgrade")
}

// ToWebSocket reports whether the protocols that r offers include WebSocket.
func ToWebSocket(r *http.Request) bool { return HasToken(r.Header["Upgrade"], "websocket") }

// HasToken reports whether a header that is a list of tokens (RFC 9110, section
// 5.6.1) holds the token, in any case. Token is in lower case.
func HasToken(lines []string, token string) bool {
	for _, line := range lines {
		for t := range strings.SplitSeq(line, ",") {
			if equalFold(strings.Trim(t, " \t"), token) {
				return true
			}
		}
	}
	return false
}

// equalFold compares without case, but only ASCII has one here: to
// strings.EqualFold "webſocket" is the same word.
func equalFold(s, lower string) bool {
	if len(s) != len(lower) {
		return false
	}
	for i := range len(s) {
		c := s[i]
		if c >= 'A' && c <= 'Z' {
			c += 'a' - 'A'
		}
		if c != lower[i] {
			return false
		}
	}
	return true
}
