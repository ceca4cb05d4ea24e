package config

import (
	"crypto/x509"
	"net/url"

	"github.com/portcullis-auth/portcullis/gateway/rule"
)

// A Route is what happens to the requests for a host and a path.
type Route struct {
	// Host is a name, or *.example.com for every name below it (a.example.com
	// and a.b.example.com, not example.com), without port. Without it the route
	// is for every host.
	Host string `yaml:"host" check:"host"`

	// Path is where the route begins. With a final slash, as in /wsapi/, it is
	// for everything below it and for /wsapi/ itself, but not for /wsapi.
	// Without, as in /chat, it is for /chat and for everything below /chat/,
	// but not for /chatty. It is compared with the decoded path of the request,
	// letter by letter. /.portcullis/ is the gateway's own.
	Path string `yaml:"path" required:"true" check:"path"`

	// Backend is where the requests go: http or https, host and port. The path
	// stays as it is.
	Backend *url.URL `yaml:"backend" required:"true" check:"backend"`

	// BackendCAFile is a PEM file with the certificates that an https backend's
	// certificate must come from, in place of the system's.
	BackendCAFile string `yaml:"backend_ca_file" check:"file"`

	// BackendCA is what the file held. nil: the system's.
	BackendCA *x509.CertPool `yaml:"-"`

	// Public lets everybody through, without a token and without an identity.
	Public bool `yaml:"public" default:"false"`

	// Tokens is where a token may be found on this route, in place of the
	// general list.
	Tokens []Place `yaml:"tokens" in:"bearer cookie subprotocol query"`

	// Allow is the rule: a CEL expression over identity and request that is
	// true for those who may pass. What it cannot tell, as of a claim that is
	// missing, is not allowed. Without it every valid token may pass.
	Allow *rule.Rule `yaml:"allow"`

	// Origins are the web origins whose pages may open sockets here, apart from
	// the route's own: scheme://host or scheme://host:port, as browsers send
	// them. It holds on public routes too.
	Origins []string `yaml:"origins" check:"origin"`

	// Login is where page loads without a valid token are redirected: an http
	// or https URL, or a path of the same host. {url} in its query stands for
	// the page's own URL, escaped. Without it they are answered 401.
	Login LoginURL `yaml:"login" check:"login"`

	// CloseCodes are what sockets are closed with: 3000 and 3003 (iana), 4401 and
	// 4403 (4xxx), or 1008 for both (policy). The reason words are always the
	// same, and so are 1012 and 1013.
	CloseCodes string `yaml:"close_codes" default:"iana" enum:"iana 4xxx policy"`

	// AcceptThenClose accepts sockets that are refused and closes them at once,
	// with the code and reason that say why: script cannot see the status of a
	// handshake. The backend hears nothing of it.
	AcceptThenClose bool `yaml:"accept_then_close" default:"false"`

	// Line is where the route stands in the file.
	Line int `yaml:"-"`
}
