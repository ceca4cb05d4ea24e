// Package backchannel receives logouts by OpenID Connect Back-Channel Logout
// 1.0: the issuer posts a signed logout token, and the sessions that it names
// end here.
//
// A 200 is a promise: the token was checked in full, and Revoke, which is
// usually Guard.Revoke, has returned without an error. What cannot be done now
// is answered with 503 and Retry-After, though the specification knows only 400
// (section 2.8): an issuer that repeats its posts should repeat this one.
//
// A [Receiver] is for one issuer. [Join] makes one handler of several.
//
// Limits: encrypted logout tokens are not read. A logout token with a session
// id ends sessions whose tokens state that id; see [Config.BySubject] for
// issuers whose access tokens state none.
package backchannel

import (
	"context"
	"crypto"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"slices"
	"time"

	"github.com/portcullis-auth/portcullis"
	"github.com/portcullis-auth/portcullis/internal/keyset"
)

// Keys finds the public keys of an issuer. Keys returns those called kid that
// are good for the signature algorithm alg, or, with kid "", the only one that
// is. None and no error means that the issuer has no such key; an error, that
// it cannot tell. Keys is called concurrently, with names from tokens that
// nobody has checked, and must return soon after ctx is done.
type Keys interface {
	Keys(ctx context.Context, kid, alg string) ([]crypto.PublicKey, error)
}

var _ Keys = (*keyset.Set)(nil)

// A Config says whose logouts are obeyed, and how. Issuer, Audience and Revoke
// are required.
type Config struct {
	// Issuer is the "iss" of logout tokens, to the letter.
	Issuer string

	// Audience must be in the "aud" of logout tokens: the application's client
	// id at the issuer.
	Audience string

	// Revoke ends what the revocation names; usually it is Guard.Revoke. It has
	// 10 s. If it returns an error, the issuer is told to come back, and Revoke
	// may be called for the same logout again.
	Revoke func(context.Context, portcullis.Revocation) error

	// BySubject ends all sessions of the user, wherever the logout token names
	// one, and not only the session that it names. It is for issuers whose
	// access tokens have no "sid", since a logout by "sid" would end nothing.
	BySubject bool

	// MaxAge is how old the "iat" of a logout token may be. 0: 5 min.
	MaxAge time.Duration

	// Leeway is how far the issuer's clock may be from ours. 0: 1 min.
	Leeway time.Duration

	// Algorithms are the signature algorithms to accept. nil: RS256, ES256,
	// PS256 and EdDSA, which stands for Ed25519 (RFC 9864) too. Symmetric ones
	// and "none" are refused.
	Algorithms []string

	// Keys finds the issuer's keys. nil: from JWKSURL, or, if that is empty,
	// from the issuer's metadata. The fields below are for that.
	Keys    Keys
	JWKSURL string

	// Timeout bounds each call for keys. 0: 5 s.
	Timeout time.Duration

	// Client lends its Transport and Timeout to those calls. nil: our own.
	Client *http.Client

	// InsecurePlainHTTP permits http to hosts that are not loopback: whoever
	// can change what passes there can log anybody out.
	InsecurePlainHTTP bool

	// Log gets one record for each logout and each refusal. nil: no log.
	Log *slog.Logger
}

// A Receiver is the handler for the back-channel logout URI. It is made by
// [New], safe for concurrent use, and needs no closing.
type Receiver struct {
	config Config
	keys   Keys
	used   memory
}

var _ http.Handler = (*Receiver)(nil)

// New returns a Receiver, or what is wrong with c. It makes no call: keys are
// fetched when the first logout token comes.
func New(c Config) (*Receiver, error) {
	switch {
	case c.Issuer == "" || c.Audience == "":
		return nil, errors.New("backchannel: Issuer and Audience are required")
	case c.Revoke == nil:
		return nil, errors.New("backchannel: Revoke is required")
	case c.MaxAge < 0 || c.Leeway < 0 || c.Timeout < 0:
		return nil, errors.New("backchannel: MaxAge, Leeway or Timeout is negative")
	}
	if c.MaxAge == 0 {
		c.MaxAge = 5 * time.Minute
	}
	if c.Leeway == 0 {
		c.Leeway = time.Minute
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	if len(c.Algorithms) == 0 {
		c.Algorithms = keyset.DefaultAlgorithms
	}
	c.Algorithms = slices.Clone(c.Algorithms)
	for _, alg := range c.Algorithms {
		if !keyset.Supported(alg) {
			return nil, fmt.Errorf("backchannel: algorithm %q is not one for public keys", alg)
		}
	}
	r := &Receiver{config: c, keys: c.Keys}
	if r.keys == nil {
		set, err := keyset.New(keyset.Config{
			Issuer:            c.Issuer,
			URL:               c.JWKSURL,
			Algorithms:        c.Algorithms,
			Timeout:           c.Timeout,
			Client:            c.Client,
			InsecurePlainHTTP: c.InsecurePlainHTTP,
		})
		if err != nil {
			return nil, fmt.Errorf("backchannel: %w", err)
		}
		r.keys = set
	}
	return r, nil
}
