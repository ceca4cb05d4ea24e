package config

import "net/url"

// Signals is a transmitter of security events (OpenID Shared Signals Framework
// 1.0), which are obeyed.
type Signals struct {
	// Name is its place among several: events are pushed to
	// /.portcullis/ssf/push/NAME. Without it, to /.portcullis/ssf/push.
	Name string `yaml:"name" check:"segment"`

	// Issuer is the iss of its events, and where its configuration is found:
	// https, or http on a loopback host.
	Issuer string `yaml:"issuer" required:"true" check:"issuer"`

	// Audience is the aud of its events: our name there.
	Audience string `yaml:"audience" required:"true" check:"text"`

	// JWKSURL is where its keys are. Without it its configuration says where.
	JWKSURL *url.URL `yaml:"jwks_url" check:"endpoint"`

	// PushSecretFile is the file with the Authorization header that pushes must
	// carry, whole, as in Bearer x. Without it or push_secret_env the events'
	// signatures have to do.
	PushSecretFile string `yaml:"push_secret_file" check:"file"`

	// PushSecretEnv is the environment variable with that header, in place of
	// the file.
	PushSecretEnv string `yaml:"push_secret_env" check:"env"`

	// PushSecret is what one of them held. Zero: there is none.
	PushSecret Secret `yaml:"-"`

	// PollURL is where events are fetched from, for gateways that it cannot
	// reach. Without it they are pushed.
	PollURL *url.URL `yaml:"poll_url" check:"endpoint"`

	// PollTokenFile is the file with the access token for poll_url.
	PollTokenFile string `yaml:"poll_token_file" check:"file"`

	// PollTokenEnv is the environment variable with that token, in place of the
	// file.
	PollTokenEnv string `yaml:"poll_token_env" check:"env"`

	// PollToken is what one of them held. Zero: there is none.
	PollToken Secret `yaml:"-"`

	// TokenIssuer is the iss of the tokens of its users, if that isn't what
	// subjects state, or its own.
	TokenIssuer string `yaml:"token_issuer" check:"text"`

	// OpaqueSession is whether a subject of format opaque is a login session
	// (sid), not a user.
	OpaqueSession bool `yaml:"opaque_session" default:"false"`

	// Events is what each kind of event leads to: the sessions end (revoke), the
	// token system is asked about them again (recheck), or nothing (ignore).
	Events Events `yaml:"events"`

	// InsecurePlainHTTP permits http to a host that isn't loopback. Whoever can
	// change what passes that network can end everybody's sessions.
	InsecurePlainHTTP bool `yaml:"insecure_plain_http" default:"false"`
}

// Events are the events of CAEP 1.0.
type Events struct {
	// SessionRevoked is a session or all of a user's sessions taken away.
	SessionRevoked string `yaml:"session_revoked" default:"revoke" enum:"revoke recheck ignore"`

	// CredentialChange is a password or key that was changed, added or removed.
	CredentialChange string `yaml:"credential_change" default:"recheck" enum:"revoke recheck ignore"`

	// TokenClaimsChange is other claims than the tokens have.
	TokenClaimsChange string `yaml:"token_claims_change" default:"recheck" enum:"revoke recheck ignore"`

	// AssuranceLevelChange is a login that counts for more or less than before.
	AssuranceLevelChange string `yaml:"assurance_level_change" default:"recheck" enum:"revoke recheck ignore"`

	// DeviceComplianceChange is a device that does or doesn't obey the rules any
	// more.
	DeviceComplianceChange string `yaml:"device_compliance_change" default:"recheck" enum:"revoke recheck ignore"`
}
