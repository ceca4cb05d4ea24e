// Package httpcheck asks a URL about tokens. It is for home-made token
// systems: the URL gets the token the way the application gets it, and answers
// 200 with a JSON object about the user, or 401.
//
//	GET /me HTTP/1.1                 HTTP/1.1 200 OK
//	Authorization: Bearer …    →     Content-Type: application/json
//
//	                                 {"sub": "u-17", "exp": 1798761600, "name": "Ada"}
//
// A 2xx answer without a user in it lets nobody in. 401 and 403 are a no.
// Everything else (no answer, a slow or oversized one, HTML, a redirect) is
// [portcullis.ErrUnavailable]: it says nothing about the token.
//
// Limits: each Verify is one HTTP call; nothing is cached here. The expiry is
// passed on, not judged: the Guard does that, with its leeway. Fields are read
// from the top level of the object only.
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

// A Config says whom to ask, how to pass the token, and where in the answer to
// look. Only URL is required.
type Config struct {
	// URL is asked: https, or http on a loopback host.
	URL string

	// Method is GET or POST, without a body. "": GET.
	Method string

	// Header is the header that carries the bare token; Cookie is the cookie
	// that does. One of them at most. Both "": Authorization, as bearer token
	// (RFC 6750, section 2.1).
	Header string
	Cookie string

	// Issuer becomes the Identity's: a name for this token system, by which
	// revocations can tell it from others. "": none.
	Issuer string

	// The names of the answer's fields. A field may be absent or null, except
	// the subject: an answer that names nobody lets nobody in.
	Subject   string // "": "sub". A string, or a whole number, taken as written
	Expiry    string // "": "exp". NumericDate (RFC 7519, section 2), or a string by RFC 3339
	SessionID string // "": "sid". As Subject
	Scopes    string // "": "scope". A string with spaces between, or an array of strings

	// Timeout bounds each call, from dialling to the last byte. 0: 5 s.
	Timeout time.Duration

	// Client lends its Transport and Timeout. nil: our own, with the proxies
	// of the environment. Its Jar and CheckRedirect are not used.
	Client *http.Client

	// InsecurePlainHTTP permits http to hosts that are not loopback. Whoever
	// can read that network gets every token.
	InsecurePlainHTTP bool
}

// A Verifier asks about tokens. It is made by [New], safe for concurrent use,
// and needs no closing.
type Verifier struct {
	config Config
	asker  *askhttp.Asker
}

var _ portcullis.Verifier = (*Verifier)(nil)

// New returns a Verifier, or what is wrong with c. It makes no call.
func New(c Config) (*Verifier, error) {
	if _, err := askhttp.CheckURL(c.URL, c.InsecurePlainHTTP); err != nil {
		return nil, fmt.Errorf("httpcheck: %w", err)
	}
	for field, name := range map[*string]string{
		&c.Method: http.MethodGet, &c.Subject: "sub", &c.Expiry: "exp", &c.SessionID: "sid", &c.Scopes: "scope",
	} {
		if *field == "" {
			*field = name
		}
	}
	switch {
	case c.Method != http.MethodGet && c.Method != http.MethodPost:
		return nil, errors.New("httpcheck: Method must be GET or POST")
	case c.Header != "" && c.Cookie != "":
		return nil, errors.New("httpcheck: set Header or Cookie, not both")
	case c.Header != "" && (!isName(c.Header) || notOurs[http.CanonicalHeaderKey(c.Header)]):
		return nil, fmt.Errorf("httpcheck: Header %q cannot carry a token", c.Header)
	case c.Cookie != "" && !isName(c.Cookie):
		return nil, fmt.Errorf("httpcheck: Cookie %q is not a cookie name", c.Cookie)
	case c.Timeout < 0:
		return nil, errors.New("httpcheck: Timeout is negative")
	}
	return &Verifier{config: c, asker: askhttp.New(c.Client, c.Timeout)}, nil
}

// notOurs are headers that net/http writes itself, or that the exchange
// depends on.
var notOurs = map[string]bool{
	"Accept": true, "Accept-Encoding": true, "Connection": true, "Content-Length": true, "Expect": true,
	"Host": true, "Idempotency-Key": true, "Te": true, "Trailer": true, "Transfer-Encoding": true, "Upgrade": true,
}

// isName reports whether s is a token by RFC 9110, section 5.6.2, as the names
// of headers and cookies are.
func isName(s string) bool {
	return (&http.Cookie{Name: s}).Valid() == nil //nolint:gosec // it is never sent
}

// Verify asks the URL about the token. The error wraps [portcullis.ErrInvalid]
// for 401 and 403, and for what cannot be a token (longer than 16 KiB, not
// visible ASCII, or, with Cookie, not fit for a cookie), about which nobody is
// asked. Every other error wraps [portcullis.ErrUnavailable]. Errors don't hold
// the token.
func (v *Verifier) Verify(ctx context.Context, token string) (*portcullis.Identity, error) {
	if err := askhttp.CheckToken(token); err != nil { // J5
		return nil, fmt.Errorf("%w: %w", portcullis.ErrInvalid, err)
	}
	// net/http would drop these characters and ask about another token; sent
	// as they are, they would add cookies of the client's choice.
	if v.config.Cookie != "" && strings.ContainsAny(token, `",;\`) {
		return nil, fmt.Errorf("%w: token with characters that a cookie cannot have", portcullis.ErrInvalid)
	}
	req, err := http.NewRequestWithContext(ctx, v.config.Method, v.config.URL, http.NoBody)
	if err != nil {
		return nil, unavailable(errors.New("the request cannot be made"))
	}
	switch {
	case v.config.Header != "":
		req.Header.Set(v.config.Header, token)
	case v.config.Cookie != "":
		req.Header.Set("Cookie", v.config.Cookie+"="+token)
	default:
		req.Header.Set("Authorization", "Bearer "+token)
	}
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
	if err != nil {
		return nil, unavailable(err)
	}
	return id, nil
}

func unavailable(err error) error {
	return fmt.Errorf("%w: HTTP check: %w", portcullis.ErrUnavailable, err)
}
