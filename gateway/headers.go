package gateway

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"unicode/utf16"
	"unicode/utf8"

	"github.com/portcullis-auth/portcullis"
	"github.com/portcullis-auth/portcullis/internal/upgrade"
)

// headerNames knows which headers are ours alone.
type headerNames struct {
	userinfo    string // in canonical form
	userinfoMax int
}

func newHeaderNames(userinfo string, userinfoMax int) headerNames {
	return headerNames{userinfo: http.CanonicalHeaderKey(userinfo), userinfoMax: userinfoMax}
}

// ours reports whether a backend could take the header called name for one of
// ours.
func (n *headerNames) ours(name string) bool {
	name = plainName(name)
	switch {
	case strings.HasPrefix(name, "x-forwarded"),
		strings.HasPrefix(name, "x-original-"),
		strings.HasPrefix(name, "x-portcullis-"),
		name == "forwarded", name == "x-real-ip", name == "x-rewrite-url",
		name == plainName(n.userinfo):
		return true
	}
	return false
}

// plainName returns a header's name as the least careful server reads it: CGI
// ignores case, and has one character for whatever isn't a letter or a digit.
func plainName(name string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r >= 'A' && r <= 'Z':
			return r + 'a' - 'A'
		case r < utf8.RuneSelf && isAlphanumeric(byte(r)):
			return r
		}
		return '-'
	}, name)
}

func isAlphanumeric(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9'
}

// strip returns r without the headers that the backend won't get from the
// client, so that no rule sees them: those that are ours alone, and what
// Connection lists (RFC 9110, section 7.6.1).
func (n *headerNames) strip(r *http.Request) *http.Request {
	connection := r.Header["Connection"]
	var stripped http.Header
	for name := range r.Header {
		switch name {
		case "Connection", "Upgrade", "Te": // the movers see to these
			continue
		}
		if n.ours(name) || upgrade.HasToken(connection, strings.ToLower(name)) {
			if stripped == nil {
				stripped = maps.Clone(r.Header)
			}
			delete(stripped, name)
		}
	}
	if stripped == nil {
		return r
	}
	r = r.WithContext(r.Context()) // a shallow copy
	r.Header = stripped
	return r
}

// announced returns which of the announced trailers may pass, for the values to
// come: some backends make headers of them. Those that are ours may not, nor
// those that no trailer may be (RFC 9110, section 6.5.1).
func (n *headerNames) announced(trailer http.Header) http.Header {
	pass := make(http.Header)
	for name := range trailer {
		switch plainName(name) {
		case "authorization", "cookie", "host":
			continue
		}
		if !n.ours(name) && !slices.Contains(hopByHop, name) {
			pass[name] = nil
		}
	}
	return pass
}

// prepare puts our headers into a request to the backend, whose own are gone
// already. r is the request that was admitted.
func (n *headerNames) prepare(h http.Header, r *http.Request, public bool) (tooLarge bool) {
	if host, _, err := net.SplitHostPort(r.RemoteAddr); err == nil {
		h.Set("X-Forwarded-For", host)
	}
	h.Set("X-Forwarded-Host", r.Host)
	h.Set("X-Forwarded-Proto", scheme(r))
	if id, ok := portcullis.FromContext(r.Context()); ok && !public {
		return n.vouch(h, id)
	}
	return false
}

// scheme returns the scheme that the request came by.
func scheme(r *http.Request) string {
	if r.TLS != nil {
		return "https"
	}
	return "http"
}

// vouch sets the headers that say who the user is. What the token system
// didn't say is absent. It reports whether the claims don't fit.
func (n *headerNames) vouch(h http.Header, id *portcullis.Identity) (tooLarge bool) {
	var claims map[string]json.RawMessage
	_ = json.Unmarshal(id.Claims, &claims) // Verifiers check it; without claims there is little to say
	text := func(name string) (s string) {
		_ = json.Unmarshal(claims[name], &s)
		return s
	}
	set := func(name, value string) {
		if value != "" {
			h.Set(name, value)
		}
	}
	set("X-Forwarded-User", encode(id.Subject))
	set("X-Forwarded-Preferred-Username", encode(text("preferred_username")))
	switch verified, said := claims["email_verified"]; {
	case !said, string(verified) == "true", string(verified) == `"true"`: // some say it as text
		set("X-Forwarded-Email", encode(text("email")))
	}
	var groups []string
	if json.Unmarshal(claims["groups"], &groups) != nil {
		groups = nil // not half of them
	}
	for i, g := range groups {
		groups[i] = strings.ReplaceAll(encode(g), ",", "%2C")
	}
	set("X-Forwarded-Groups", strings.Join(groups, ","))
	userinfo := asciiJSON(id.Claims)
	if len(userinfo) > n.userinfoMax {
		return true
	}
	set(n.userinfo, userinfo)
	return false
}

// encode makes text safe for a header: bytes that aren't visible ASCII, and
// the percent sign, are percent-encoded (RFC 3986, section 2.1).
func encode(s string) string {
	var b strings.Builder
	for i := range len(s) {
		if c := s[i]; c <= ' ' || c >= 0x7F || c == '%' {
			fmt.Fprintf(&b, "%%%02X", c)
		} else {
			b.WriteByte(c)
		}
	}
	return b.String()
}

// asciiJSON returns the JSON without white space and with everything that isn't
// ASCII escaped (RFC 8259, section 7); "" if it isn't JSON.
func asciiJSON(raw []byte) string {
	var compact bytes.Buffer
	if len(raw) == 0 || json.Compact(&compact, raw) != nil {
		return ""
	}
	var b strings.Builder
	for rest := compact.Bytes(); len(rest) > 0; {
		r, size := utf8.DecodeRune(rest)
		rest = rest[size:]
		switch {
		case r < 0x7F:
			b.WriteRune(r)
		case r > 0xFFFF:
			high, low := utf16.EncodeRune(r)
			fmt.Fprintf(&b, `\u%04x\u%04x`, high, low)
		default:
			fmt.Fprintf(&b, `\u%04x`, r)
		}
	}
	return b.String()
}

// hopByHop are the headers that concern one connection (RFC 9110, section
// 7.6.1).
var hopByHop = []string{
	"Connection", "Proxy-Connection", "Keep-Alive", "Proxy-Authenticate", "Proxy-Authorization",
	"Te", "Trailer", "Transfer-Encoding", "Upgrade",
}

// removeHopByHop removes them, and what Connection lists.
func removeHopByHop(h http.Header) {
	listed := h["Connection"]
	for name := range h {
		if upgrade.HasToken(listed, strings.ToLower(name)) {
			delete(h, name)
		}
	}
	for _, name := range hopByHop {
		delete(h, name)
	}
}

// pageURL returns the URL of the page that r asks for.
func pageURL(r *http.Request) string {
	u := url.URL{Scheme: scheme(r), Host: r.Host, Path: r.URL.Path, RawPath: r.URL.RawPath, RawQuery: r.URL.RawQuery}
	return u.String()
}
