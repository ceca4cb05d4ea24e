// Package introspect asks an OAuth 2.0 authorization server about tokens, by
// Token Introspection (RFC 7662). It is for opaque tokens, and for signed ones
// that may be withdrawn before they expire.
//
// Only "active": true lets anybody in. Only "active": false is a no. Everything
// else (no answer, a slow or oversized one, HTML, a redirect, a signature that
// doesn't fit, our own credentials refused) is [portcullis.ErrUnavailable]: it
// says nothing about the token.
//
// Limits: each Verify is one HTTP call; nothing is cached here but where the
// endpoint is and the keys of signed answers. The server's "exp" is passed on,
// not judged: the Guard does that, with its leeway. A signed answer (RFC 9701)
// proves who made it, not about which token: nothing in it names the question.
// Encrypted ones are not read.
package introspect

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/portcullis-auth/portcullis"
	"github.com/portcullis-auth/portcullis/internal/askhttp"
	"github.com/portcullis-auth/portcullis/internal/discovery"
	"github.com/portcullis-auth/portcullis/internal/jws"
	"github.com/portcullis-auth/portcullis/internal/keyset"
	"github.com/portcullis-auth/portcullis/internal/strictjson"
)

// A Config says whom to ask, and as whom. URL or Issuer is required, and one of
// ClientSecret, ClientKey and BearerToken; with the first two, ClientID.
type Config struct {
	// URL is the introspection endpoint: https, or http on a loopback host. "":
	// the "introspection_endpoint" of Issuer's metadata (OpenID Connect
	// Discovery 1.0, section 4, or else RFC 8414, section 3), which is fetched
	// at the first Verify, and again every hour.
	URL string

	// ClientID is our name at the token system, as it gave it out.
	ClientID string

	// ClientSecret is what it gave out with the name. It is encoded as needed.
	ClientSecret string

	// ClientKey signs a fresh assertion for each call, instead of a secret
	// being sent. An RSA key takes about a millisecond for that, the others
	// a twentieth.
	ClientKey *ClientKey

	// ClientAssertionAudience is the "aud" of those assertions (RFC 7523,
	// section 3). "": Issuer, or URL where that is empty.
	ClientAssertionAudience string

	// BearerToken is an access token of our own, good for asking (RFC 7662,
	// section 2.1). It is not renewed.
	BearerToken string

	// Auth is how the credentials are sent. "": the first way below for which
	// they are made.
	Auth AuthMethod

	// Issuer is the "iss" that tokens must have; one of another issuer is
	// invalid. Where the answer has no "iss", which is optional, the Identity
	// gets this one, so that revocations by issuer find it. "": any issuer.
	Issuer string

	// SignedResponse says whether answers are to be signed (RFC 9701). If they
	// may be, Issuer and ClientID are required: they must be the answer's "iss"
	// and in its "aud". "": SignedOff.
	SignedResponse SignedResponse

	// JWKSURL is where the keys of signed answers are. "": the "jwks_uri" of
	// Issuer's metadata.
	JWKSURL string

	// Algorithms are those that answers may be signed with. nil: RS256, ES256,
	// PS256 and EdDSA, which stands for Ed25519 (RFC 9864) too. Symmetric ones
	// and "none" are refused.
	Algorithms []string

	// Timeout bounds each call, from dialling to the last byte. Finding the
	// endpoint takes one or two more, the keys up to three. 0: 5 s.
	Timeout time.Duration

	// Client lends its Transport and Timeout. nil: our own, with the proxies
	// of the environment. Its Jar and CheckRedirect are not used.
	Client *http.Client

	// InsecurePlainHTTP permits http to hosts that are not loopback. Whoever
	// can read that network gets every token and our credentials; whoever can
	// change it lets in whom he likes.
	InsecurePlainHTTP bool
}

// A Verifier asks about tokens. It is made by [New], safe for concurrent use,
// and needs no closing: its only goroutines are fetches of metadata and keys,
// which end within their timeouts.
type Verifier struct {
	config   Config
	asker    *askhttp.Asker
	endpoint endpoint    // where URL is empty
	signer   jose.Signer // of our assertions; nil: no ClientKey
	keys     *keyset.Set // of signed answers; nil: SignedOff
}

var _ portcullis.Verifier = (*Verifier)(nil)

// New returns a Verifier, or what is wrong with c. It makes no call.
func New(c Config) (*Verifier, error) {
	v, err := newVerifier(c)
	if err != nil {
		return nil, fmt.Errorf("introspect: %w", err)
	}
	return v, nil
}

func newVerifier(c Config) (*Verifier, error) {
	if c.Timeout < 0 {
		return nil, errors.New("the Timeout is negative")
	}
	if err := c.chooseAuth(); err != nil {
		return nil, err
	}
	v := &Verifier{asker: askhttp.New(c.Client, c.Timeout)}
	var err error
	if c.URL == "" && c.Issuer != "" {
		v.endpoint.issuer, err = discovery.New(c.Issuer, c.InsecurePlainHTTP, v.asker)
	} else {
		_, err = askhttp.CheckURL(c.URL, c.InsecurePlainHTTP)
	}
	if err != nil {
		return nil, err
	}
	if c.ClientKey != nil {
		if v.signer, err = c.ClientKey.signer(); err != nil {
			return nil, err
		}
	}
	if v.keys, err = c.answerKeys(); err != nil {
		return nil, err
	}
	v.config = c
	return v, nil
}

// Verify asks the token system about the token. The error wraps
// [portcullis.ErrInvalid] for its no, and for what cannot be a token (longer
// than 16 KiB, or not visible ASCII), about which nobody is asked. Every other
// error wraps [portcullis.ErrUnavailable]. Errors hold neither the token nor
// our credentials.
func (v *Verifier) Verify(ctx context.Context, token string) (*portcullis.Identity, error) {
	if err := askhttp.CheckToken(token); err != nil { // J5
		return nil, fmt.Errorf("%w: %w", portcullis.ErrInvalid, err)
	}
	body, err := v.ask(ctx, token)
	switch {
	case errors.Is(err, portcullis.ErrInvalid):
		return nil, err
	case err != nil:
		return nil, unavailable(err)
	}
	return v.identity(body)
}

// ask returns the token system's answer, verified where it is signed, but not
// parsed.
func (v *Verifier) ask(ctx context.Context, token string) ([]byte, error) {
	req, err := v.request(ctx, token)
	if err != nil {
		return nil, err
	}
	asked := time.Now()
	answer, err := v.asker.Ask(req)
	if err != nil {
		return nil, err
	}
	switch answer.Status {
	case http.StatusOK:
	case http.StatusUnauthorized, http.StatusForbidden:
		// RFC 7662, section 2.3: this is about us. About the token the server
		// says nothing, or it would say so to everybody who asks.
		return nil, fmt.Errorf("the token system refuses our own credentials, sent as %s (status %d)", v.config.Auth, answer.Status)
	case http.StatusBadRequest:
		// RFC 7009, section 2.2.1, and what servers borrow from it: the token is
		// of a kind that this endpoint never calls active.
		if body, err := answer.JSON(); err == nil && errorCode(body) == "unsupported_token_type" {
			return nil, fmt.Errorf("%w: of a type that the token system doesn't introspect", portcullis.ErrInvalid)
		}
		return nil, answer.Unexpected()
	default:
		return nil, answer.Unexpected()
	}
	if v.config.SignedResponse == SignedOff {
		return answer.JSON()
	}
	media, body, err := answer.Body()
	switch {
	case err != nil:
		return nil, err
	case media == signedType:
		return v.open(ctx, string(body), asked)
	case v.config.SignedResponse == SignedRequired:
		return nil, errors.New("the answer is not signed: its Content-Type is not " + signedType)
	}
	return answer.JSON()
}

// request is the call of RFC 7662, section 2.1.
func (v *Verifier) request(ctx context.Context, token string) (*http.Request, error) {
	endpoint := v.config.URL
	if endpoint == "" {
		var err error
		if endpoint, err = v.endpoint.url(ctx); err != nil {
			return nil, err
		}
	}
	form := url.Values{"token": {token}, "token_type_hint": {"access_token"}}
	header := http.Header{"Content-Type": {"application/x-www-form-urlencoded"}}
	if accept := v.config.SignedResponse.accept(); accept != "" {
		header.Set("Accept", accept)
	}
	if err := v.authenticate(header, form); err != nil {
		return nil, err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, endpoint, strings.NewReader(form.Encode()))
	if err != nil {
		return nil, errors.New("the request cannot be made")
	}
	req.Header = header
	return req, nil
}

func unavailable(err error) error {
	return fmt.Errorf("%w: introspection: %w", portcullis.ErrUnavailable, err)
}

// errorCode returns the "error" of an error answer (RFC 6749, section 5.2), or
// "".
func errorCode(body []byte) string {
	members, err := strictjson.Object(body)
	if err != nil {
		return ""
	}
	code, _ := jws.Text(members["error"])
	return code
}
