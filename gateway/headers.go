package gateway

import (
	"iter"
	"maps"
	"net"
	"net/http"
	"slices"
	"strings"

	"golang.org/x/net/http/httpguts"

	"github.com/portcullis-auth/portcullis"
)

// headerNames knows which headers are ours alone.
type headerNames struct {
	userinfo    string // in canonical form
	userinfoMax int
	users       *users
}

func newHeaderNames(userinfo string, userinfoMax int) headerNames {
	userinfo = http.CanonicalHeaderKey(userinfo)
	return headerNames{userinfo, userinfoMax, newUsers(userinfo, userinfoMax)}
}

// ours reports whether a backend could take the header called name for one of
// ours.
func (n *headerNames) ours(name string) bool {
	return plainPrefix(name, "x-forwarded") || plainPrefix(name, "x-original-") || plainPrefix(name, "x-portcullis-") ||
		plainEqual(name, "forwarded") || plainEqual(name, "x-real-ip") || plainEqual(name, "x-rewrite-url") ||
		plainEqual(name, n.userinfo)
}

// plainEqual reports whether the least careful server reads the same in two
// headers' names: CGI ignores case, and has one character for whatever isn't a
// letter or a digit.
func plainEqual(a, b string) bool { return len(a) == len(b) && plainPrefix(a, b) }

// plainPrefix is plainEqual for what name begins with.
func plainPrefix(name, prefix string) bool {
	if len(name) < len(prefix) {
		return false
	}
	for i := range len(prefix) {
		if plain(name[i]) != plain(prefix[i]) {
			return false
		}
	}
	return true
}

func plain(c byte) byte {
	switch {
	case c >= 'A' && c <= 'Z':
		return c + 'a' - 'A'
	case isAlphanumeric(c):
		return c
	}
	return '-'
}

func isAlphanumeric(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9'
}

// strip returns r without the headers that the backend won't get from the
// client, so that no rule sees them: those that are ours alone, and what
// Connection lists (RFC 9110, section 7.6.1).
func (n *headerNames) strip(r *http.Request) *http.Request {
	var stripped http.Header
	drop := func(name string) {
		switch name {
		case "Connection", "Upgrade", "Te": // the movers see to these
			return
		}
		if _, ok := r.Header[name]; !ok {
			return
		}
		if stripped == nil {
			stripped = maps.Clone(r.Header)
		}
		delete(stripped, name)
	}
	for name := range r.Header {
		if n.ours(name) {
			drop(name)
		}
	}
	for name := range listed(r.Header["Connection"]) {
		drop(name)
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
	if len(trailer) == 0 {
		return nil
	}
	pass := make(http.Header)
	for name := range trailer {
		switch {
		case plainEqual(name, "authorization"), plainEqual(name, "cookie"), plainEqual(name, "host"),
			n.ours(name), slices.Contains(hopByHop, name), !httpguts.ValidHeaderFieldName(name):
		default:
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
	id, ok := portcullis.FromContext(r.Context())
	if !ok || public {
		return false
	}
	told := n.users.tell(id)
	for _, f := range told.fields {
		h[f.name] = f.values
	}
	return told.tooLarge
}

// scheme returns the scheme that the request came by.
func scheme(r *http.Request) string {
	if r.TLS != nil {
		return "https"
	}
	return "http"
}

// hopByHop are the headers that concern one connection (RFC 9110, section
// 7.6.1).
var hopByHop = []string{
	"Connection", "Proxy-Connection", "Keep-Alive", "Proxy-Authenticate", "Proxy-Authorization",
	"Te", "Trailer", "Transfer-Encoding", "Upgrade",
}

// removeHopByHop removes them, and what Connection lists.
func removeHopByHop(h http.Header) {
	for name := range listed(h["Connection"]) {
		delete(h, name)
	}
	for _, name := range hopByHop {
		delete(h, name)
	}
}

// listed returns the names in the lines of Connection, in canonical form.
func listed(lines []string) iter.Seq[string] {
	return func(yield func(string) bool) {
		for _, line := range lines {
			for name := range strings.SplitSeq(line, ",") {
				if !yield(http.CanonicalHeaderKey(strings.Trim(name, " \t"))) {
					return
				}
			}
		}
	}
}

// pageURL returns the URL of the page that r asks for.
func pageURL(r *http.Request) string { return scheme(r) + "://" + r.Host + r.RequestURI }
