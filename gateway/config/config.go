// Package config reads the gateway's configuration: one YAML file, checked
// completely before anything starts.
//
// [Load] reports every mistake at once, each with its line, the key's path,
// what is wrong and what to do about it:
//
//	portcullis.yaml:7:5: routes[0].bakcend: unknown key; did you mean "backend"?
//
// Unknown and duplicate keys, empty values, values of another type and several
// documents are mistakes. (Of a file that isn't YAML only the first mistake is
// known.) Aliases are followed; merge keys (<<) are not. Secrets stand in files
// or in the environment, and are read here.
//
// The key reference, docs/config.md, and the JSON Schema for editors,
// docs/portcullis.schema.json, are generated from the types and comments of
// this package.
package config

import (
	"net/netip"
	"net/url"
	"time"
)

//go:generate go test -run ^TestGenerated$ . -update

// A Config is a whole configuration. [Load] makes one; the zero value is not
// complete. It must not be changed while it is in use.
type Config struct {
	// Listen is where users connect, as HOST:PORT. Without HOST it is every
	// address of the machine.
	Listen string `yaml:"listen" default:":8080" check:"address" restart:"true"`

	// TLS has that listener speak TLS, with HTTP/1.1 and HTTP/2. Without it it
	// speaks HTTP/1.1 in the clear, as behind a load balancer.
	TLS *TLS `yaml:"tls" restart:"true"`

	// ProxyProtocol is whose connections begin with a PROXY protocol header
	// (version 1 or 2), which states the client's address: addresses, or
	// networks as in 10.0.0.0/8. A connection from there without one is closed.
	ProxyProtocol []netip.Prefix `yaml:"proxy_protocol" one:"true" restart:"true"`

	// TrustedProxies is whose X-Forwarded-For, X-Forwarded-Proto and
	// X-Forwarded-Host are believed: addresses, or networks. Everybody else's are
	// removed.
	TrustedProxies []netip.Prefix `yaml:"trusted_proxies" one:"true"`

	// Limits bounds what clients may do, all routes together.
	Limits Limits `yaml:"limits"`

	// AccessLog is how many requests there are for each one that is logged: 1
	// logs all of them, 100 one in a hundred, 0 none. Refusals, and all that
	// happens to sockets, are always logged.
	AccessLog Count `yaml:"access_log" default:"0"`

	// Admin is the listener for the operator: the admin API, metrics, health.
	Admin Admin `yaml:"admin" restart:"true"`

	// ShutdownGrace is how long requests and sockets may take to end when the
	// gateway stops.
	ShutdownGrace time.Duration `yaml:"shutdown_grace" default:"10s" max:"1h"`

	// Grace is how long a socket whose authorization has ended may take to say
	// goodbye before its connection is cut.
	Grace time.Duration `yaml:"grace" default:"1s" min:"10ms" max:"1m"`

	// MaxSession bounds a session whose token states no expiry.
	MaxSession time.Duration `yaml:"max_session" default:"24h" min:"1s" max:"720h" restart:"true"`

	// Leeway is how long after its expiry a token is still good, for clocks
	// that differ.
	Leeway time.Duration `yaml:"leeway" default:"0s" max:"5m" restart:"true"`

	// Tokens is where a token may be found. The places are tried in order, and
	// the first one with a token decides.
	Tokens []Place `yaml:"tokens" default:"bearer" in:"bearer cookie subprotocol query"`

	// Verify is who is asked whether a token is good: one token system, or a
	// list of several.
	Verify []Verify `yaml:"verify" required:"true" one:"true"`

	// RecheckRate is how many calls a second may ask again about live sessions.
	RecheckRate Count `yaml:"recheck_rate" default:"50" min:"1" max:"100000" restart:"true"`

	// Logout receives OpenID Connect Back-Channel Logout at
	// /.portcullis/backchannel-logout: from one OpenID Provider, or from each of
	// a list. Without it there is no such endpoint.
	Logout []Logout `yaml:"logout" one:"true"`

	// Signals receives security events (Shared Signals Framework, CAEP): from one
	// transmitter, or from each of a list.
	Signals []Signals `yaml:"signals" one:"true" restart:"true"`

	// Tickets are short-lived stand-ins for a token in the URL of a socket, from
	// /.portcullis/ticket. Without it there are none.
	Tickets *Tickets `yaml:"tickets" restart:"true"`

	// UserinfoHeader is the header in which the backend gets all claims as one
	// JSON object. Whatever the client sent under that name is removed.
	UserinfoHeader string `yaml:"userinfo_header" default:"X-Portcullis-Userinfo" check:"header"`

	// UserinfoMax bounds the value of that header.
	UserinfoMax Size `yaml:"userinfo_max" default:"8KiB" min:"256" max:"64KiB"`

	// Routes is what goes where. A request gets the route with the most
	// specific host, and among these the one with the longest path; their order
	// means nothing. A request without a route is answered 404.
	Routes []Route `yaml:"routes" required:"true"`
}

// Admin is the operator's listener.
type Admin struct {
	// Listen is its address as HOST:PORT, or off for none. One that isn't
	// loopback needs a key.
	Listen string `yaml:"listen" default:"127.0.0.1:8081" check:"admin"`

	// KeyFile is the file with the key that calls of the admin API must
	// present: 16 bytes or more.
	KeyFile string `yaml:"key_file" check:"file"`

	// KeyEnv is the environment variable with that key, in place of the file.
	KeyEnv string `yaml:"key_env" check:"env"`

	// Key is what one of them held. Zero: there is none.
	Key Secret `yaml:"-"`
}

// Off reports whether there is no such listener.
func (a *Admin) Off() bool { return a.Listen == "off" }

// Tickets are how a page opens a socket without putting its token into a URL.
type Tickets struct {
	// Lifetime is how long a ticket may be redeemed, once.
	Lifetime time.Duration `yaml:"lifetime" default:"30s" min:"1s" max:"5m"`

	// KeysDir is a folder for the keys that tickets are encrypted with, which
	// several gateways can share. It must exist. The keys are made there when
	// needed, and replaced each day. Without it they are made when the gateway
	// starts, and never leave it.
	KeysDir string `yaml:"keys_dir" check:"file"`
}

// Logout is whose logout tokens are believed (OpenID Connect Back-Channel
// Logout 1.0).
type Logout struct {
	// Issuer is the iss of logout tokens, and where the OpenID Provider's
	// configuration is found: https, or http on a loopback host.
	Issuer string `yaml:"issuer" required:"true" check:"issuer"`

	// ClientID is the aud of logout tokens: the name of the application at the
	// OpenID Provider.
	ClientID string `yaml:"client_id" required:"true" check:"text"`

	// BySubject has a logout end all sessions of the user, also where the logout
	// token names one session. It is for providers whose access tokens have no
	// sid.
	BySubject bool `yaml:"by_subject" default:"false"`

	// JWKSURL is where the provider's keys are. Without it the provider's
	// configuration says where.
	JWKSURL *url.URL `yaml:"jwks_url" check:"endpoint"`

	// InsecurePlainHTTP permits http to a host that isn't loopback. Whoever can
	// change what passes that network can end everybody's sessions.
	InsecurePlainHTTP bool `yaml:"insecure_plain_http" default:"false"`
}
