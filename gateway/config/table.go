package config

import "strings"

// A Table finds the route of a request. It may be used concurrently.
//
// A route for the very host goes before one for *.example.com, a longer
// *.a.example.com before a shorter *.example.com, and all of these before one
// for every host. Among the routes of equal hosts the longest path wins. The
// next best host is asked where the best one has no route for the path.
type Table struct {
	exact map[string]*paths // by host
	below map[string]*paths // by example.com of *.example.com
	every *paths
}

// paths are the routes of one host.
type paths struct {
	routes  map[string]*Route
	longest int // path
}

// NewTable returns the Table of the routes of a checked Config. It points into
// the list.
func NewTable(routes []Route) *Table {
	t := &Table{exact: map[string]*paths{}, below: map[string]*paths{}, every: &paths{}}
	for i := range routes {
		r := &routes[i]
		host := normalHost(r.Host)
		switch base, wildcard := strings.CutPrefix(host, "*."); {
		case host == "":
			t.every.add(r)
		case wildcard:
			group(t.below, base).add(r)
		default:
			group(t.exact, host).add(r)
		}
	}
	return t
}

func group(m map[string]*paths, host string) *paths {
	if m[host] == nil {
		m[host] = &paths{}
	}
	return m[host]
}

// Find returns the route for a request's Host, in any spelling and with or
// without port, and its decoded path. It finds none for a path that doesn't
// begin with a slash, and none for /.portcullis/, which is the gateway's own.
func (t *Table) Find(host, path string) (*Route, bool) {
	if path == "" || path[0] != '/' || path == reserved || strings.HasPrefix(path, reserved+"/") {
		return nil, false
	}
	if len(t.exact) > 0 || len(t.below) > 0 {
		var buf [maxHost]byte
		name := appendHost(buf[:0], host)
		if p := t.exact[string(name)]; p != nil { // the conversion doesn't allocate
			if r := p.find(path); r != nil {
				return r, true
			}
		}
		for i, c := range name {
			if c != '.' || i == 0 {
				continue
			}
			if p := t.below[string(name[i+1:])]; p != nil {
				if r := p.find(path); r != nil {
					return r, true
				}
			}
		}
	}
	r := t.every.find(path)
	return r, r != nil
}

func (p *paths) add(r *Route) {
	if p.routes == nil {
		p.routes = make(map[string]*Route)
	}
	p.routes[r.Path] = r
	p.longest = max(p.longest, len(r.Path))
}

// find returns the route with the longest path that path belongs to. It looks
// up each beginning of path that ends at a segment's end, but none that is
// longer than any route's: the work is bounded by the configuration, not by
// what a client sends.
func (p *paths) find(path string) *Route {
	if len(path) <= p.longest {
		if r := p.routes[path]; r != nil {
			return r
		}
	}
	for i := min(len(path)-1, p.longest); i >= 0; i-- {
		if path[i] != '/' {
			continue
		}
		if r := p.routes[path[:i+1]]; r != nil { // /wsapi/
			return r
		}
		if i == 0 {
			break
		}
		if r := p.routes[path[:i]]; r != nil { // /chat
			return r
		}
	}
	return nil
}

// maxHost is how long a host name can be (RFC 1035, section 2.3.4).
const maxHost = 253

// appendHost appends a Host in lower case, without port, brackets and final
// dot; one that is too long to be a host, as "".
func appendHost(b []byte, host string) []byte {
	if strings.HasPrefix(host, "[") {
		if i := strings.IndexByte(host, ']'); i > 0 {
			host = host[1:i]
		}
	} else if i := strings.IndexByte(host, ':'); i >= 0 && i == strings.LastIndexByte(host, ':') {
		host = host[:i]
	}
	host = strings.TrimSuffix(host, ".")
	if len(host) > maxHost {
		return b
	}
	for i := range len(host) {
		c := host[i]
		if c >= 'A' && c <= 'Z' {
			c += 'a' - 'A'
		}
		b = append(b, c)
	}
	return b
}

func normalHost(host string) string { return string(appendHost(nil, host)) }

// HostMatches reports whether a route for routeHost is for a request's Host.
func HostMatches(routeHost, host string) bool {
	name, want := normalHost(host), normalHost(routeHost)
	if base, wildcard := strings.CutPrefix(want, "*"); wildcard {
		return len(name) > len(base) && strings.HasSuffix(name, base)
	}
	return want == "" || name == want
}
