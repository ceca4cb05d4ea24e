package rule

import (
	"net"
	"net/http"
	"strings"

	"cel.dev/cel-go/interpreter"

	"github.com/portcullis-auth/portcullis"
)

// An activation holds the variables of one evaluation.
type activation struct {
	identity identity
	request  request
}

var _ interpreter.Activation = (*activation)(nil)

// ResolveName returns a variable.
func (a *activation) ResolveName(name string) (any, bool) {
	switch name {
	case "identity":
		return &a.identity, true
	case "request":
		return &a.request, true
	}
	return nil, false
}

// Parent returns nil: there are no other variables.
func (a *activation) Parent() interpreter.Activation { return nil }

// An identity is the variable of that name.
type identity struct {
	*portcullis.Identity
	decoded *claims // nil until a rule asks
}

func (i *identity) claims() *claims {
	if i.decoded == nil {
		i.decoded = newClaims(i.Claims)
	}
	return i.decoded
}

// A request is the variable of that name.
type request struct{ *http.Request }

// host returns the host as a rule can compare it: what spells the same host
// otherwise must not slip past it.
func (r *request) host() string {
	host := r.Host
	if h, _, err := net.SplitHostPort(host); err == nil {
		host = h
	}
	host = strings.TrimSuffix(strings.TrimPrefix(host, "["), "]")
	return strings.ToLower(strings.TrimSuffix(host, "."))
}

func (r *request) headers() *headers { return newHeaders(r.Header) }
