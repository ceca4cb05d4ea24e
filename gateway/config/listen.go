package config

import "time"

// TLS is how the public listener speaks TLS: with certificates from files, or
// with those that it gets by itself.
type TLS struct {
	// Certificates are certificate files, which are read again when they change.
	// Of several the client's server name chooses.
	Certificates []Certificate `yaml:"certificates" one:"true"`

	// ACME gets certificates from a certificate authority (RFC 8555), and renews
	// them. Its challenges come to this listener, which must be reachable at port
	// 443 of each domain.
	ACME *ACME `yaml:"acme"`

	// MinVersion is the oldest version that is spoken.
	MinVersion string `yaml:"min_version" default:"1.2" enum:"1.2 1.3"`
}

// Certificate is a certificate and its key.
type Certificate struct {
	// CertFile is a PEM file with the certificate, followed by those between it
	// and the root.
	CertFile string `yaml:"cert_file" required:"true" check:"file"`

	// KeyFile is a PEM file with its private key.
	KeyFile string `yaml:"key_file" required:"true" check:"file"`
}

// ACME is where certificates come from.
type ACME struct {
	// Domains are the host names to get certificates for.
	Domains []string `yaml:"domains" required:"true" check:"domain" one:"true"`

	// Email is where the authority writes to when something is wrong.
	Email string `yaml:"email" check:"text"`

	// Directory is the authority's directory URL. To name it is to agree to its
	// terms of service.
	Directory string `yaml:"directory" required:"true" check:"directory"`

	// Storage is a folder for the account's key and the certificates. It is made
	// if it isn't there, for its owner only.
	Storage string `yaml:"storage" required:"true" check:"file"`

	// CAFile is a PEM file with the certificates that the authority's own must
	// come from, in place of the system's.
	CAFile string `yaml:"ca_file" check:"file"`
}

// Limits bounds what clients may do, on the whole gateway. What is over gets 429
// or, in a socket, Close 1008; connections that are over are closed. 0 is no
// bound. A bound for a second lets twice as many through at once, after a pause.
type Limits struct {
	// Connections is how many clients' connections may be open at once; in the
	// clear sockets apart, which sockets bounds.
	Connections Count `yaml:"connections" default:"0" restart:"true"`

	// ConnectionsPerAddress is how many of them may come from one address. For
	// all limits the address is the one that trusted proxies state, and all of an
	// IPv6 /64 is one address.
	ConnectionsPerAddress Count `yaml:"connections_per_address" default:"0" restart:"true"`

	// HeaderTime is how long a request's header may take to come, and a TLS
	// handshake.
	HeaderTime time.Duration `yaml:"header_time" default:"5s" min:"100ms" max:"5m" restart:"true"`

	// HeaderSize bounds a request's header. Larger ones are answered 431.
	HeaderSize Size `yaml:"header_size" default:"64KiB" min:"4KiB" max:"1MiB" restart:"true"`

	// BodyTime is how long a request's body may pause, and how long a client may
	// take nothing of its answer, before the request is aborted.
	BodyTime time.Duration `yaml:"body_time" default:"1m" min:"1s" max:"24h" restart:"true"`

	Rates `yaml:"-"`
}

// RouteLimits is the same for one route, and what bounds each of its sockets.
type RouteLimits struct {
	Rates `yaml:"-"`

	// MessagesPerSecond is how many messages a client may send in one socket.
	MessagesPerSecond Count `yaml:"messages_per_second" default:"0"`

	// MessagesPerUser is how many a second a user may send in all sockets.
	MessagesPerUser Count `yaml:"messages_per_user" default:"0"`

	// BytesPerSecond is how many bytes a client may send in one socket.
	BytesPerSecond Size `yaml:"bytes_per_second" default:"0"`

	// BytesPerUser is how many a second a user may send in all sockets.
	BytesPerUser Size `yaml:"bytes_per_user" default:"0"`

	// MessageSize bounds a message that a client sends, all fragments together.
	// What is larger ends the socket with Close 1009.
	MessageSize Size `yaml:"message_size" default:"0"`

	// Fragments bounds into how many frames a client may split a message.
	Fragments Count `yaml:"fragments" default:"0"`

	// BodySize bounds the body of a request. Larger ones are answered 413.
	BodySize Size `yaml:"body_size" default:"0"`
}

// Rates are the limits that there are for a route and for the whole gateway.
// Those of a user hold for the same issuer and subject by the same token system's
// word; without a subject, for the same client.
type Rates struct {
	// Sockets is how many sockets there may be at once.
	Sockets Count `yaml:"sockets" default:"0"`

	// SocketsPerUser is how many of them a user may have.
	SocketsPerUser Count `yaml:"sockets_per_user" default:"0"`

	// SocketsPerAddress is how many of them one address may have.
	SocketsPerAddress Count `yaml:"sockets_per_address" default:"0"`

	// HandshakesPerSecond is how many sockets may be asked for, whether they are
	// opened or refused.
	HandshakesPerSecond Count `yaml:"handshakes_per_second" default:"0"`

	// HandshakesPerUser is how many a second a user may open.
	HandshakesPerUser Count `yaml:"handshakes_per_user" default:"0"`

	// HandshakesPerAddress is how many a second one address may ask for.
	HandshakesPerAddress Count `yaml:"handshakes_per_address" default:"0"`

	// RequestsPerSecond is how many requests there may be, handshakes apart.
	RequestsPerSecond Count `yaml:"requests_per_second" default:"0"`

	// RequestsPerUser is how many a second a user may make.
	RequestsPerUser Count `yaml:"requests_per_user" default:"0"`

	// RequestsPerAddress is how many a second one address may make.
	RequestsPerAddress Count `yaml:"requests_per_address" default:"0"`
}
