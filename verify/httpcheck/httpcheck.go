// Package httpcheck asks a URL about tokens. It is for home-made token
// systems: the URL gets the token the way the application gets it, and answers
// 200 with a JSON object about the user, or 401.
//
//	GET /me HTTP/1.1                 HTTP/1.1 200 OK
//	Authorization: Bearer …    →     Content-Type: application/json
//
//	                                 {"sub": "u-17", "exp": 1798761600, "name": "Ada"}
//
// A 2xx answer without a user in it lets nobody in. 401 and 403 are a no, and
// so is a false in the field that [Config].Valid names. Everything else (no
// answer, a slow or oversized one, an empty one, HTML, a redirect) is
// [portcullis.ErrUnavailable]: it says nothing about the token.
//
// Limits: each Verify is one HTTP call; nothing is cached here. The expiry is
// passed on, not judged: the Guard does that, with its leeway.
package httpcheck

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/portcullis-auth/portcullis"
	"github.com/portcullis-auth/portcullis/internal/askhttp"
)

// A BodyFormat is how the token stands in the body of the request.
type BodyFormat string

// The formats.
const (
	BodyForm BodyFormat = "form" // application/x-www-form-urlencoded, one field
	BodyJSON BodyFormat = "json" // application/json, an object with one member
)

// A Config says whom to ask, how to pass the token, and where in the answer to
// look. Only URL is required.
type Config struct {
	// URL is asked: https, or http on a loopback host.
	URL string

	// Method is GET or POST. "": GET, or POST with BodyField, which needs it.
	Method string

	// Header is the header that carries the bare token; Cookie is the cookie
	// that does; BodyField is the field of the request's body. One of them at
	// most. All "": Authorization, as bearer token (RFC 6750, section 2.1).
	Header    string
	Cookie    string
	BodyField string

	// BodyFormat is for BodyField. "": BodyForm.
	BodyFormat BodyFormat

	// Secret is our own credential, by which the URL can tell that it is us who
	// ask. It is sent in SecretHeader, as it stands; with SecretHeader "", in
	// Authorization, as bearer token. The URL must not answer a wrong one with
	// 401 or 403: these speak of the token. "": none.
	SecretHeader string
	Secret       string

	// Issuer becomes the Identity's: a name for this token system, by which
	// revocations can tell it from others. "": none.
	Issuer string

	// Valid is the field that must be true, for an answer that says no with
	// status 200. False is the token system's no; anything else is no answer.
	// "": there is no such field.
	Valid string

	// The names of the answer's fields. A name that begins with "/" is a JSON
	// pointer (RFC 6901), such as "/data/user/id"; any other is a member of the
	// object itself. A field may be absent or null, except the subject: an
	// answer that names nobody lets nobody in.
	Subject   string // "": "sub". A string, or a whole number, taken as written
	Expiry    string // "": "exp". NumericDate (RFC 7519, section 2), or a string by RFC 3339
	IssuedAt  string // "": "iat". As Expiry
	SessionID string // "": "sid". As Subject
	TokenID   string // "": "jti". As Subject
	ClientID  string // "": "client_id". As Subject
	Scopes    string // "": "scope". A string with spaces between, or an array of strings

	// CacheHeaders lets the answer's Cache-Control, or Expires, say how long it
	// holds (RFC 9111). That becomes the Identity's ReuseUntil and, where the
	// body has no expiry, its ExpiresAt. What may not be stored, or is already
	// stale, or whose headers are nonsense, is not used again.
	CacheHeaders bool

	// Timeout bounds each call, from dialling to the last byte. 0: 5 s.
	Timeout time.Duration

	// Client lends its Transport and Timeout. nil: our own, with the proxies
	// of the environment. Its Jar and CheckRedirect are not used.
	Client *http.Client

	// InsecurePlainHTTP permits http to hosts that are not loopback. Whoever
	// can read that network gets every token, and Secret.
	InsecurePlainHTTP bool
}

// A Verifier asks about tokens. It is made by [New], safe for concurrent use,
// and needs no closing.
type Verifier struct {
	config   Config
	pointers map[string]pointer // by the fields' names in config
	asker    *askhttp.Asker
}

var _ portcullis.Verifier = (*Verifier)(nil)

// New returns a Verifier, or what is wrong with c. It makes no call.
func New(c Config) (*Verifier, error) {
	if _, err := askhttp.CheckURL(c.URL, c.InsecurePlainHTTP); err != nil {
		return nil, fmt.Errorf("httpcheck: %w", err)
	}
	if err := c.completeRequest(); err != nil {
		return nil, err
	}
	pointers, err := c.completeFields()
	if err != nil {
		return nil, err
	}
	if c.Timeout < 0 {
		return nil, errors.New("httpcheck: Timeout is negative")
	}
	return &Verifier{config: c, pointers: pointers, asker: askhttp.New(c.Client, c.Timeout)}, nil
}

// Verify asks the URL about the token. The error wraps [portcullis.ErrInvalid]
// for 401 and 403, for a false in the field Valid, and for what cannot be a
// token (longer than 16 KiB, not visible ASCII, or, with Cookie, not fit for a
// cookie), about which nobody is asked. Every other error wraps
// [portcullis.ErrUnavailable]. Errors hold neither the token nor Secret.
func (v *Verifier) Verify(ctx context.Context, token string) (*portcullis.Identity, error) {
	if err := askhttp.CheckToken(token); err != nil { // J5
		return nil, fmt.Errorf("%w: %w", portcullis.ErrInvalid, err)
	}
	// net/http would drop these characters and ask about another token; sent
	// as they are, they would add cookies of the client's choice.
	if v.config.Cookie != "" && strings.ContainsAny(token, `",;\`) {
		return nil, fmt.Errorf("%w: token with characters that a cookie cannot have", portcullis.ErrInvalid)
	}
	req, err := v.request(ctx, token)
	if err != nil {
		return nil, unavailable(errors.New("the request cannot be made"))
	}
	asked := time.Now()
	answer, err := v.asker.Ask(req)
	switch {
	case err != nil:
		return nil, unavailable(err)
	case answer.Status == http.StatusUnauthorized, answer.Status == http.StatusForbidden:
		return nil, fmt.Errorf("%w: the token system answers %d", portcullis.ErrInvalid, answer.Status)
	case answer.Status < 200 || answer.Status > 299:
		return nil, unavailable(answer.Unexpected())
	}
	body, err := answer.JSON()
	if err != nil {
		return nil, unavailable(err)
	}
	id, err := v.identity(body)
	switch {
	case errors.Is(err, portcullis.ErrInvalid):
		return nil, err
	case err != nil:
		return nil, unavailable(err)
	}
	if v.config.CacheHeaders {
		hold(id, answer, asked)
	}
	return id, nil
}

func unavailable(err error) error {
	return fmt.Errorf("%w: HTTP check: %w", portcullis.ErrUnavailable, err)
}
