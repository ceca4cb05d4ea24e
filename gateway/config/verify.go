package config

import (
	"net/url"
	"time"
)

// Verify is a token system: who is asked whether a token is good, and what
// happens while nobody answers. One of Introspection, JWT and HTTPCheck is set.
type Verify struct {
	// Name is what logs and portcullis check call it. Without it that is the
	// kind: introspection, jwt or http_check.
	Name string `yaml:"name" check:"text"`

	// For is which tokens are its own, where there are several token systems.
	// Its answer about these is final. A token that is nobody's own is shown to
	// those without for, in the order of the file, until one knows it.
	For For `yaml:"for"`

	// Introspection asks an OAuth 2.0 server by Token Introspection (RFC 7662).
	Introspection *Introspection `yaml:"introspection"`

	// JWT checks signed tokens against the issuer's keys (RFC 7519, RFC 9068),
	// without asking anybody about each of them.
	JWT *JWT `yaml:"jwt"`

	// HTTPCheck asks a URL, for home-made token systems: 2xx with a JSON object
	// about the user is a yes, 401 or 403 a no.
	HTTPCheck *HTTPCheck `yaml:"http_check"`

	// Userinfo looks the user up after a yes, and adds what it finds to the
	// claims.
	Userinfo *Userinfo `yaml:"userinfo"`

	// Recheck is how often the token system is asked again about the token that
	// a live socket, or a long answer, lives on: one call for each token. 0s
	// never asks. Without it, 1m for introspection and http_check, and never for
	// jwt.
	Recheck time.Duration `yaml:"recheck" max:"24h"`

	// Cache is how long answers are remembered, so that the token system isn't
	// asked again with each request.
	Cache Cache `yaml:"cache"`

	// Outage is what happens while the token system gives no answer. Who isn't
	// known is always refused, with 503.
	Outage Outage `yaml:"outage"`
}

// For names tokens by what they look like.
type For struct {
	// Issuers are the iss that JWTs state. Where there are several token
	// systems, those of kind jwt have their own issuer here without being told.
	Issuers []string `yaml:"issuers" check:"text" one:"true"`

	// Prefixes are what tokens begin with, as in legacy_. The longest one that
	// fits decides; they go before issuers.
	Prefixes []string `yaml:"prefixes" check:"text" one:"true"`
}

// IsZero reports whether f names no tokens.
func (f *For) IsZero() bool { return len(f.Issuers) == 0 && len(f.Prefixes) == 0 }

// Introspection is the token system's introspection endpoint, and who we are
// there.
type Introspection struct {
	// URL is the endpoint: https, or http on a loopback host. Without it the
	// issuer's metadata says where it is.
	URL *url.URL `yaml:"url" check:"endpoint"`

	// Issuer is the iss that tokens must have. Tokens whose answer names none
	// get this one.
	Issuer string `yaml:"issuer" check:"text"`

	// ClientID is our name at the token system. It is required unless
	// client_auth is bearer.
	ClientID string `yaml:"client_id" check:"text"`

	// ClientAuth is how we say who we are: with the secret in the Authorization
	// header (basic) or in the form (post), with a signed assertion
	// (private_key_jwt, RFC 7523), or with a token of our own (bearer).
	ClientAuth string `yaml:"client_auth" default:"basic" enum:"basic post private_key_jwt bearer"`

	// ClientSecretFile is the file with our secret there, or with the token for
	// bearer. This or client_secret_env is required, except for
	// private_key_jwt.
	ClientSecretFile string `yaml:"client_secret_file" check:"file"`

	// ClientSecretEnv is the environment variable with our secret, in place of
	// the file.
	ClientSecretEnv string `yaml:"client_secret_env" check:"env"`

	// ClientSecret is what one of them held.
	ClientSecret Secret `yaml:"-"`

	// ClientKeyFile is the file with our private key, for private_key_jwt: in
	// PEM, or a JWK.
	ClientKeyFile string `yaml:"client_key_file" check:"file"`

	// ClientKey is what it held.
	ClientKey Secret `yaml:"-"`

	// ClientKeyID is the kid of our key at the token system, if it needs one.
	ClientKeyID string `yaml:"client_key_id" check:"text"`

	// ClientKeyAlg is what we sign with. Without it it follows from the key:
	// RS256, ES256 or EdDSA.
	ClientKeyAlg string `yaml:"client_key_alg" enum:"RS256 PS256 ES256 EdDSA"`

	// SignedAnswers is whether answers come signed (RFC 9701): if required,
	// unsigned ones are refused. It needs issuer and client_id, which such
	// answers state.
	SignedAnswers string `yaml:"signed_answers" default:"off" enum:"off accept required"`

	// JWKSURL is where the issuer's keys for signed answers are. Without it the
	// issuer's metadata says where.
	JWKSURL *url.URL `yaml:"jwks_url" check:"endpoint"`

	// Timeout bounds each call.
	Timeout time.Duration `yaml:"timeout" default:"5s" min:"10ms" max:"1m"`

	// InsecurePlainHTTP permits http to a host that isn't loopback. Whoever can
	// read that network gets every token, and our secret.
	InsecurePlainHTTP bool `yaml:"insecure_plain_http" default:"false"`
}

// JWT is the issuer of signed tokens.
type JWT struct {
	// Issuer is the iss that tokens must have, letter by letter, and where the
	// issuer's metadata is found: https, or http on a loopback host.
	Issuer string `yaml:"issuer" required:"true" check:"text"`

	// Audience is who tokens must be meant for: one of these must be in their
	// aud.
	Audience []string `yaml:"audience" required:"true" check:"text" one:"true"`

	// Types are the typ that tokens may have: at+jwt marks access tokens
	// (RFC 9068). Many token systems write JWT, and some nothing, which is
	// spelled none here. Wherever ID tokens have the same typ, only the
	// audience tells them from access tokens.
	Types []string `yaml:"types" default:"at+jwt" check:"text" one:"true"`

	// Algorithms are those that the issuer signs with.
	Algorithms []string `yaml:"algorithms" enum:"RS256 RS384 RS512 PS256 PS384 PS512 ES256 ES384 ES512 EdDSA" one:"true"`

	// JWKSURL is where the issuer's keys are. Without it the issuer's metadata
	// says where.
	JWKSURL *url.URL `yaml:"jwks_url" check:"endpoint"`

	// KeysFile is a file with the issuer's public keys, in place of a URL: a
	// JWK Set, or PEM.
	KeysFile string `yaml:"keys_file" check:"file"`

	// Keys is what it held.
	Keys []byte `yaml:"-"`

	// Cooldown is the least time between two fetches of the keys for the sake
	// of tokens that are signed with unknown ones.
	Cooldown time.Duration `yaml:"cooldown" default:"1m" min:"1s" max:"1h"`

	// Timeout bounds each fetch of the keys.
	Timeout time.Duration `yaml:"timeout" default:"5s" min:"10ms" max:"1m"`

	// InsecurePlainHTTP permits http to a host that isn't loopback. Whoever can
	// change what passes that network can sign tokens.
	InsecurePlainHTTP bool `yaml:"insecure_plain_http" default:"false"`
}

// HTTPCheck is a URL that knows about tokens.
type HTTPCheck struct {
	// URL is asked with each token: https, or http on a loopback host.
	URL *url.URL `yaml:"url" required:"true" check:"endpoint"`

	// Method is how it is asked. GET takes no token in form or json.
	Method string `yaml:"method" default:"GET" enum:"GET POST"`

	// TokenIn is where it gets the token: in a header, a cookie, or the field
	// of that name in a body that is a form or a JSON object.
	TokenIn Place `yaml:"token_in" default:"bearer" in:"bearer header cookie form json"`

	// SecretHeader is the header with our own secret, which tells the URL that
	// it is us who ask. Without it a secret is sent in Authorization, as bearer
	// token. The URL must not answer a wrong one with 401 or 403, which speak of
	// the user's token.
	SecretHeader string `yaml:"secret_header" check:"secret"`

	// SecretFile is the file with our secret. Without it or secret_env there is none.
	SecretFile string `yaml:"secret_file" check:"file"`

	// SecretEnv is the environment variable with our secret, in place of the
	// file.
	SecretEnv string `yaml:"secret_env" check:"env"`

	// Secret is what one of them held. Zero: there is none.
	Secret Secret `yaml:"-"`

	// Fields are the names of the members of its answer. One that begins with a
	// slash is a path into nested objects, as in /data/user/id (RFC 6901).
	Fields Fields `yaml:"fields"`

	// CacheHeaders has Cache-Control and Expires say how long an answer holds
	// (RFC 9111): it isn't remembered for longer, and where it names no expiry
	// the token expires then.
	CacheHeaders bool `yaml:"cache_headers" default:"false"`

	// Issuer is a name for this token system: the iss of every identity, by
	// which revocations find it.
	Issuer string `yaml:"issuer" check:"text"`

	// Timeout bounds each call.
	Timeout time.Duration `yaml:"timeout" default:"5s" min:"10ms" max:"1m"`

	// InsecurePlainHTTP permits http to a host that isn't loopback. Whoever can
	// read that network gets every token.
	InsecurePlainHTTP bool `yaml:"insecure_plain_http" default:"false"`
}

// Fields are names of members of the answer to an HTTP check.
type Fields struct {
	// Valid is whether the token is good, true or false. Without it every 2xx
	// is a yes.
	Valid string `yaml:"valid" check:"field"`

	// Subject is the user: required in an answer, a string or a whole number.
	Subject string `yaml:"subject" default:"sub" check:"field"`

	// Expiry is when the token expires: seconds since 1970, or a time as in
	// RFC 3339.
	Expiry string `yaml:"expiry" default:"exp" check:"field"`

	// IssuedAt is when the token was issued, likewise.
	IssuedAt string `yaml:"issued_at" default:"iat" check:"field"`

	// SessionID is the login session.
	SessionID string `yaml:"session_id" default:"sid" check:"field"`

	// TokenID is a name of the token that isn't the token.
	TokenID string `yaml:"token_id" default:"jti" check:"field"`

	// ClientID is the application that the token was given to.
	ClientID string `yaml:"client_id" default:"client_id" check:"field"`

	// Scopes is what was granted, or the user's roles: words in one string, or
	// a list.
	Scopes string `yaml:"scopes" default:"scope" check:"field"`
}

// Userinfo is where users are looked up.
type Userinfo struct {
	// URL is asked with the token, as OpenID Connect's userinfo endpoint is
	// (OpenID Connect Core 1.0, section 5.3): https, or http on a loopback
	// host. If {sub} stands in its path or query, that is replaced by the
	// subject, and the token isn't sent.
	URL string `yaml:"url" required:"true" check:"user"`

	// SecretFile is the file with a token of our own for a URL with {sub}.
	SecretFile string `yaml:"secret_file" check:"file"`

	// SecretEnv is the environment variable with that token, in place of the
	// file.
	SecretEnv string `yaml:"secret_env" check:"env"`

	// Secret is what one of them held. Zero: there is none.
	Secret Secret `yaml:"-"`

	// OnFailure is what happens if the user cannot be looked up: the request is
	// refused with 503, or goes on without what would have been found.
	OnFailure string `yaml:"on_failure" default:"refuse" enum:"refuse without"`

	// MaxAge is how long what was found is used for all tokens of the user.
	MaxAge time.Duration `yaml:"max_age" default:"1m" min:"1s" max:"1h"`

	// Timeout bounds each call.
	Timeout time.Duration `yaml:"timeout" default:"5s" min:"10ms" max:"1m"`

	// InsecurePlainHTTP permits http to a host that isn't loopback. Whoever can
	// read that network gets every token.
	InsecurePlainHTTP bool `yaml:"insecure_plain_http" default:"false"`
}

// Cache is what is remembered of a token system's answers.
type Cache struct {
	// MaxAge is how long a yes is used without asking again, and never beyond
	// the token's expiry: so long a token may still work that the token system
	// withdrew without telling us. 0s asks with each request.
	MaxAge time.Duration `yaml:"max_age" default:"30s" max:"1h"`

	// NegativeAge is how long a no is remembered.
	NegativeAge time.Duration `yaml:"negative_age" default:"5s" max:"5m"`

	// Size bounds the memory for answers. What hasn't been used for long is
	// forgotten first.
	Size Size `yaml:"size" default:"64MiB" min:"1MiB" max:"64GiB"`

	// Calls is how many calls to the token system may be under way at once.
	// Further ones wait.
	Calls Count `yaml:"calls" default:"64" min:"1" max:"10000"`
}

// Outage is what happens while a token system gives no answer.
type Outage struct {
	// StaleFor is how much longer than cache.max_age a known token is good
	// while we can't ask.
	StaleFor time.Duration `yaml:"stale_for" default:"0s" max:"24h"`

	// EndSessionsAfter is how long nobody may have answered before live sockets
	// and requests of this token system are ended, sockets with Close 1013.
	// Without it they live until their tokens expire.
	EndSessionsAfter time.Duration `yaml:"end_sessions_after" min:"1s" max:"24h"`

	// Failures is how many calls in a row must fail, and then a trial with a
	// token made up at random too, before the token system counts as down. It
	// isn't called then, but for such a trial now and then.
	Failures Count `yaml:"failures" default:"5" min:"1" max:"1000"`

	// Cooldown is the time between these trials.
	Cooldown time.Duration `yaml:"cooldown" default:"1s" min:"100ms" max:"5m"`
}
