// Package jwt checks signed access tokens offline: JSON Web Tokens (RFC 7519,
// RFC 8725), by the profile of RFC 9068 unless told otherwise. The issuer's
// public keys come from its metadata, from a JWK Set URL, or are given from the
// start; see [Config].
//
// Everything that costs little is checked before the signature, which costs
// much: a token that is expired, somebody else's or no token at all takes
// microseconds, and no call. Nothing that the token says is used for more than
// a refusal until its signature has been verified.
//
// Limits: a token is good until it expires; only a revocation ends it earlier.
// Encrypted tokens (JWE) are refused. A key that came into being less than
// [Config.Cooldown] ago may not be known yet, and its tokens be refused: issuers
// publish keys before they use them. A "cnf" claim (a token bound to a key or a
// certificate) is not looked at. Where ID tokens have the same "typ" as access
// tokens, those without nonce and hashes are told apart by their audience only.
package jwt

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"time"

	"github.com/portcullis-auth/portcullis"
	"github.com/portcullis-auth/portcullis/internal/askhttp"
	"github.com/portcullis-auth/portcullis/internal/jws"
	"github.com/portcullis-auth/portcullis/internal/keyset"
)

// A Config says whose tokens are good, and for whom. Issuer and Audience are
// required.
type Config struct {
	// Issuer is the "iss" that tokens must have, to the letter. Its keys are
	// found by its metadata (OpenID Connect Discovery 1.0, or else RFC 8414),
	// unless JWKSURL or Keys is set.
	Issuer string

	// JWKSURL is where the issuer's keys are, for issuers without metadata.
	JWKSURL string

	// Keys is the issuer's keys themselves: a JWK Set, or PEM blocks "PUBLIC
	// KEY". No call is made then.
	Keys []byte

	// Audience is who we are: one of these must be in a token's "aud".
	Audience []string

	// Types are the "typ" that tokens may have, in any case, with or without
	// "application/". "" stands for none. nil: "at+jwt", which marks access
	// tokens (RFC 9068). Others, such as "JWT", do not tell access tokens from
	// ID tokens: tokens that show themselves to be those are refused by their
	// claims. The types of logout tokens and their like can't be had.
	Types []string

	// Algorithms are those that the issuer signs with. A key that states no
	// algorithm is good for the first one here that its type fits. nil: RS256,
	// ES256, PS256 and EdDSA, which stands for Ed25519 (RFC 9864) too. Symmetric
	// ones and "none" can't be had.
	Algorithms []string

	// Leeway is how far the issuer's clock may be from ours, for "nbf", "iat"
	// and "exp". A token that expired less than this ago is passed on, with its
	// expiry: the Guard judges it with its own leeway. 0: 1 min.
	Leeway time.Duration

	// Cooldown is the least time between two fetches of the keys that tokens
	// with unknown ones cause. 0: 1 min.
	Cooldown time.Duration

	// MaxAge is when keys in use are fetched again, in the background; earlier
	// if the issuer says so by Cache-Control. 0: 1 h.
	MaxAge time.Duration

	// MaxStale is how long after that they are still used while the issuer
	// can't be reached. 0: 24 h.
	MaxStale time.Duration

	// Timeout bounds each call for keys; a fetch makes up to three. 0: 5 s.
	Timeout time.Duration

	// Client lends its Transport and Timeout to those calls. nil: our own.
	Client *http.Client

	// InsecurePlainHTTP permits http to hosts that are not loopback: whoever
	// can change what passes there can sign tokens.
	InsecurePlainHTTP bool
}

// accessToken is the type of access tokens (RFC 9068, section 2.1).
const accessToken = "at+jwt"

// otherKinds are types of tokens that say much about a user and are not for
// letting anybody in: RFC 8417, OpenID Connect Back-Channel Logout 1.0, RFC 9449,
// RFC 9701; and what some call ID tokens.
var otherKinds = []string{"secevent+jwt", "logout+jwt", "dpop+jwt", "token-introspection+jwt", "id_token"}

// A Verifier checks the tokens of one issuer. It is made by [New], safe for
// concurrent use, and needs no closing. For several issuers make several, each
// with its own keys, and choose by the token's issuer.
type Verifier struct {
	config Config
	keys   *keyset.Set
}

var _ portcullis.Verifier = (*Verifier)(nil)

// New returns a Verifier, or what is wrong with c. It makes no call: keys are
// fetched when the first token needs one.
func New(c Config) (*Verifier, error) {
	switch {
	case c.Issuer == "":
		return nil, errors.New("jwt: Issuer is required")
	case len(c.Audience) == 0 || slices.Contains(c.Audience, ""):
		return nil, errors.New("jwt: Audience is required, and none may be empty")
	case c.Leeway < 0:
		return nil, errors.New("jwt: Leeway is negative")
	case c.Keys != nil && c.JWKSURL != "":
		return nil, errors.New("jwt: Keys and JWKSURL exclude each other")
	}
	c.Leeway = cmp.Or(c.Leeway, time.Minute)
	if len(c.Types) == 0 {
		c.Types = []string{accessToken}
	}
	c.Types = slices.Clone(c.Types)
	for i, typ := range c.Types {
		c.Types[i] = jws.MediaType(typ)
		if slices.Contains(otherKinds, c.Types[i]) {
			return nil, fmt.Errorf("jwt: Types has %q, which is no access token", typ)
		}
	}
	if len(c.Algorithms) == 0 {
		c.Algorithms = keyset.DefaultAlgorithms
	}
	c.Algorithms, c.Audience = slices.Clone(c.Algorithms), slices.Clone(c.Audience)
	keys, err := keyset.New(keyset.Config{
		Issuer:            c.Issuer,
		URL:               c.JWKSURL,
		Local:             c.Keys,
		Algorithms:        c.Algorithms,
		Cooldown:          c.Cooldown,
		MaxAge:            c.MaxAge,
		MaxStale:          c.MaxStale,
		Timeout:           c.Timeout,
		Client:            c.Client,
		InsecurePlainHTTP: c.InsecurePlainHTTP,
	})
	if err != nil {
		return nil, fmt.Errorf("jwt: %w", err)
	}
	return &Verifier{config: c, keys: keys}, nil
}

// Verify checks the token by RFC 9068, section 4, and RFC 8725. The error wraps
// [portcullis.ErrInvalid] for a token that isn't good and says why;
// [portcullis.ErrExpired] for one whose time is over by its own word; and
// [portcullis.ErrUnavailable] if the keys can't be had. Errors hold nothing of
// the token.
func (v *Verifier) Verify(ctx context.Context, token string) (*portcullis.Identity, error) {
	// J5: the size, before any work.
	if err := askhttp.CheckToken(token); err != nil {
		return nil, refuse(err.Error())
	}

	// J1, J2, J4, J5: the form, and the header.
	t, err := jws.Parse(token, v.config.Algorithms, v.config.Types)
	if err != nil {
		return nil, refuse(err.Error())
	}

	// J2: the claims. From here on only the signature can be wrong.
	id, err := v.identity(t, time.Now())
	if err != nil {
		return nil, err
	}

	// J3: the signature, by a key of the issuer that is for this algorithm.
	err = t.Verify(ctx, v.keys)
	switch {
	case err == nil:
		return id, nil
	case errors.Is(err, keyset.ErrTooSoon), errors.Is(err, jws.ErrNoKey):
		return nil, refuse(jws.ErrNoKey.Error())
	case errors.Is(err, jws.ErrSignature):
		return nil, refuse(err.Error())
	}
	return nil, fmt.Errorf("%w: %w", portcullis.ErrUnavailable, err)
}

// refuse returns the error for a token that fails a check. The words are ours
// alone, never the token's.
func refuse(why string) error { return fmt.Errorf("%w: %s", portcullis.ErrInvalid, why) }
