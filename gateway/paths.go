package gateway

import (
	"net/http"
	"net/url"
	"strconv"
	"strings"
)

// oddities are what a route's backend may need to see in a path although others
// read it differently (insecure_paths).
type oddities uint8

const (
	encodedSlash oddities = 1 << iota
	doubleSlash
	semicolon
)

// insecure returns the oddities that a route lets through.
func insecure(words []string) (allowed oddities) {
	for _, word := range words {
		allowed |= map[string]oddities{"encoded_slash": encodedSlash, "double_slash": doubleSlash, "semicolon": semicolon}[word]
	}
	return allowed
}

// find returns the route of a request. One with an odd path goes on only where
// all who read it differently come to the same route, and where that lets it
// through; then its path is the raw one, for the rule and everybody else.
func (g *gate) find(r *http.Request, odd oddities) (rt *route, _ *http.Request, why string) {
	if odd == 0 {
		c, _ := g.table.Find(r.Host, r.URL.Path)
		return g.routes[c], r, "" // of nil there is none
	}
	raw, _, _ := strings.Cut(r.RequestURI, "?")
	c, ok := g.table.Find(r.Host, raw)
	if !ok || odd&^g.routes[c].insecure != 0 {
		return nil, r, "the path or query is ambiguous: " + odd.String()
	}
	if needless(raw) {
		return nil, r, "the path escapes what needn't be"
	}
	for _, path := range readings(raw) {
		if dots(path) {
			return nil, r, "the path holds a dot segment, to some"
		}
		if other, _ := g.table.Find(r.Host, path); other != c {
			return nil, r, "the path belongs to another route, to some"
		}
	}
	r = r.WithContext(r.Context()) // a shallow copy
	u := *r.URL
	u.Path, u.RawPath = raw, ""
	r.URL = &u
	return g.routes[c], r, ""
}

// readings returns how a path may be read: with its escapes or without, with what
// is behind a semicolon or without, with empty segments or without.
func readings(raw string) (all []string) {
	all = append(all, raw)
	if decoded, err := url.PathUnescape(raw); err == nil {
		all = append(all, decoded)
	}
	for _, path := range all[:len(all):len(all)] {
		all = append(all, withoutParameters(path))
	}
	for _, path := range all[:len(all):len(all)] {
		for strings.Contains(path, "//") {
			path = strings.ReplaceAll(path, "//", "/")
		}
		all = append(all, path)
	}
	return all
}

// withoutParameters cuts each segment off at its semicolon (RFC 3986, section
// 3.3).
func withoutParameters(path string) string {
	segments := strings.Split(path, "/")
	for i := range segments {
		segments[i], _, _ = strings.Cut(segments[i], ";")
	}
	return strings.Join(segments, "/")
}

// needless reports whether a path escapes what is the same without (RFC 3986,
// section 2.3): the rule sees it raw, and would see something else than it is to
// the backend.
func needless(raw string) bool {
	for i := 0; i+2 < len(raw); i++ {
		if raw[i] != '%' {
			continue
		}
		c, err := strconv.ParseUint(raw[i+1:i+3], 16, 8)
		if err == nil && (isAlphanumeric(byte(c)) || strings.IndexByte("-._~", byte(c)) >= 0) {
			return true
		}
	}
	return false
}

// dots reports whether a path has a dot segment.
func dots(path string) bool {
	for segment := range strings.SplitSeq(path, "/") {
		if segment == "." || segment == ".." {
			return true
		}
	}
	return false
}

// String says what there is.
func (o oddities) String() string {
	var list []string
	for i, word := range []string{"an encoded slash", "an empty segment", "a semicolon"} {
		if o&(1<<i) != 0 {
			list = append(list, word)
		}
	}
	return strings.Join(list, ", ")
}
