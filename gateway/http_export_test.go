package gateway

import (
	"context"
	"net"
	"net/http"
	"net/http/httputil"
	"time"

	"github.com/portcullis-auth/portcullis"
)

// NewBuffers returns what the gateway's ReverseProxies copy answers through.
func NewBuffers() httputil.BufferPool { return new(buffers) }

// Users are what backends are told of users.
type Users struct{ *users }

// NewUsers returns one that remembers nobody.
func NewUsers(userinfo string, userinfoMax int) Users { return Users{newUsers(userinfo, userinfoMax)} }

// Tell returns the headers for the user, and whether the claims don't fit.
func (u Users) Tell(id *portcullis.Identity) (header map[string][]string, tooLarge bool) {
	t := u.tell(id)
	header = make(map[string][]string)
	for _, f := range t.fields {
		header[f.name] = f.values
	}
	return header, t.tooLarge
}

// TellOnly is Tell for benchmarks.
func (u Users) TellOnly(id *portcullis.Identity) { u.tell(id) }

// Remembered returns how many users are remembered, and how large that is taken
// for, in bytes.
func (u Users) Remembered() (n, size int) { return len(u.told), u.size }

// Strip returns r as rules see it, if the user information goes by that header.
func Strip(r *http.Request, userinfo string) *http.Request {
	n := newHeaderNames(userinfo, 0)
	return n.strip(r)
}

// Paced returns w with each piece of the answer to be taken in time.
func Paced(w http.ResponseWriter, d time.Duration) http.ResponseWriter {
	return pace(d).writer(w, new(http.Request))
}

// DialBackends has g's calls reach backends by dial.
func DialBackends(g *Gateway, dial func(ctx context.Context, network, addr string) (net.Conn, error)) {
	for _, t := range g.current.Load().transports {
		t.DialContext = dial
	}
}

// WithRule has the route of a name ask rule too, before its own, which it must have.
func WithRule(g *Gateway, name string, rule func()) {
	p := &g.current.Load().called(name).policy
	allow := p.Allow
	p.Allow = func(r *http.Request, id *portcullis.Identity) error {
		rule()
		return allow(r, id)
	}
}
