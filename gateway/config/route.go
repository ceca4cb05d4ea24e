package config

import (
	"crypto/x509"
	"net/url"
	"time"

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

	// AnswerTime is how long the backend may take to begin its answer to a request,
	// sockets apart, once it has all of that. 0s is for ever.
	AnswerTime time.Duration `yaml:"answer_time" default:"1m" max:"24h"`

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

	// CORS is what happens to the preflights of browsers, which carry no token:
	// pass lets them through to the backend without one, if their Origin is one
	// that may open sockets here.
	CORS string `yaml:"cors" default:"off" enum:"off pass"`

	// InsecurePaths are ambiguous paths that the backend needs, and that are let
	// through as they are: an encoded slash (%2F), an empty segment (//), a
	// semicolon. The rule and the backend see the raw path, and must read it in
	// the same way.
	InsecurePaths []string `yaml:"insecure_paths" enum:"encoded_slash double_slash semicolon" one:"true"`

	// Frames is how a socket's frames are treated: strict refuses those that break
	// the protocol's rules (RFC 6455, section 5), transparent only follows where
	// one ends.
	Frames string `yaml:"frames" default:"strict" enum:"strict transparent"`

	// UTF8 has text messages checked too, which are unmasked for that.
	UTF8 bool `yaml:"utf8" default:"false"`

	// Messages is a rule for each message that a client sends.
	Messages *Messages `yaml:"messages"`

	// Ping is how long a socket's client may be silent before it is pinged. One
	// that says nothing for as long again is gone. 0s never pings: only the
	// operating system notices a client that vanishes, after some minutes.
	Ping time.Duration `yaml:"ping" default:"0s" max:"1h"`

	// Idle is how long a socket may live without a message either way, pings
	// apart. 0s is for ever.
	Idle time.Duration `yaml:"idle" default:"0s" max:"720h"`

	// Stall is how long one side of a socket may take for the 64 KiB that wait
	// for it, before it is too slow.
	Stall time.Duration `yaml:"stall" default:"1m" min:"1s" max:"1h"`

	// Limits bounds what clients may do on this route.
	Limits RouteLimits `yaml:"limits"`

	// Line is where the route stands in the file.
	Line int `yaml:"-"`
}

// Messages is a rule for messages. With one, sockets have no extensions: no
// compression. Messages are then 64KiB at most, unless limits.message_size says
// otherwise.
type Messages struct {
	// Allow is a CEL expression over message, identity and request that is true
	// for messages that may pass. message.type is text or binary, message.size its
	// bytes, message.text its text, and message.json what that says as JSON. What
	// it cannot tell is not allowed.
	Allow *rule.Message `yaml:"allow" required:"true"`

	// Otherwise is what happens to others: drop forgets the message, close ends
	// the socket with Close 1008.
	Otherwise string `yaml:"otherwise" default:"close" enum:"close drop"`
}
