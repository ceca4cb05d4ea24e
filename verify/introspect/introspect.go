// Package introspect asks an OAuth 2.0 authorization server about tokens, by
// Token Introspection (RFC 7662). It is for opaque tokens, and for signed ones
// that may be withdrawn before they expire.
//
// Only "active": true lets anybody in. Only "active": false is a no. Everything
// else (no answer, a slow or oversized one, HTML, a redirect, our own
// credentials refused) is [portcullis.ErrUnavailable]: it says nothing about
// the token.
//
// Limits: each Verify is one HTTP call; nothing is cached here. The server's
// "exp" is passed on, not judged: the Guard does that, with its leeway. Signed
// introspection answers (RFC 9701) are not read.
package introspect

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/portcullis-auth/portcullis"
	"github.com/portcullis-auth/portcullis/internal/askhttp"
	"github.com/portcullis-auth/portcullis/internal/strictjson"
)

// An AuthMethod is how we authenticate to the token system, by the names of
// the OAuth registry (RFC 7591, section 2).
type AuthMethod string

// The ways to authenticate.
const (
	AuthBasic AuthMethod = "client_secret_basic" // in the Authorization header (RFC 6749, section 2.3.1)
	AuthPost  AuthMethod = "client_secret_post"  // in the form, beside the token
)

// A Config says whom to ask, and as whom. URL, ClientID and ClientSecret are
// required.
type Config struct {
	// URL is the introspection endpoint: https, or http on a loopback host.
	URL string

	// ClientID and ClientSecret are our own credentials at the token system,
	// as it gave them out; they are encoded as needed.
	ClientID     string
	ClientSecret string

	// Auth is how the credentials are sent. "": AuthBasic.
	Auth AuthMethod

	// Issuer is the "iss" that tokens must have; one of another issuer is
	// invalid. Where the answer has no "iss", which is optional, the Identity
	// gets this one, so that revocations by issuer find it. "": any issuer.
	Issuer string

	// Timeout bounds each call, from dialling to the last byte. 0: 5 s.
	Timeout time.Duration

	// Client lends its Transport and Timeout. nil: our own, with the proxies
	// of the environment. Its Jar and CheckRedirect are not used.
	Client *http.Client

	// InsecurePlainHTTP permits http to hosts that are not loopback. Whoever
	// can read that network gets every token and our credentials.
	InsecurePlainHTTP bool
}

// leeway is how far in the future "nbf" may be. The server has called the
// token active, so this is about its clock and ours.
const leeway = time.Minute

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
		return nil, fmt.Errorf("introspect: %w", err)
	}
	if c.Auth == "" {
		c.Auth = AuthBasic
	}
	switch {
	case c.ClientID == "" || c.ClientSecret == "":
		// RFC 7662, section 2.1: the endpoint must demand some authentication,
		// or anybody could try tokens there.
		return nil, errors.New("introspect: ClientID and ClientSecret are required")
	case c.Auth != AuthBasic && c.Auth != AuthPost:
		return nil, fmt.Errorf("introspect: Auth must be %q or %q", AuthBasic, AuthPost)
	case c.Timeout < 0:
		return nil, errors.New("introspect: Timeout is negative")
	}
	return &Verifier{config: c, asker: askhttp.New(c.Client, c.Timeout)}, nil
}

// Verify asks the token system about the token. The error wraps
// [portcullis.ErrInvalid] for its no, and for what cannot be a token (longer
// than 16 KiB, or not visible ASCII), about which nobody is asked. Every other
// error wraps [portcullis.ErrUnavailable]. Errors hold neither the token nor
// our secret.
func (v *Verifier) Verify(ctx context.Context, token string) (*portcullis.Identity, error) {
	if err := askhttp.CheckToken(token); err != nil { // J5
		return nil, fmt.Errorf("%w: %w", portcullis.ErrInvalid, err)
	}
	req, err := v.request(ctx, token)
	if err != nil {
		return nil, unavailable(errors.New("the request cannot be made"))
	}
	answer, err := v.asker.Ask(req)
	if err != nil {
		return nil, unavailable(err)
	}
	switch answer.Status {
	case http.StatusOK:
	case http.StatusUnauthorized, http.StatusForbidden:
		// RFC 7662, section 2.3: this is about us. About the token the server
		// says nothing, or it would say so to everybody who asks.
		return nil, unavailable(fmt.Errorf("the token system refuses our own credentials (status %d): "+
			"check ClientID, ClientSecret and Auth (%s)", answer.Status, v.config.Auth))
	default:
		return nil, unavailable(answer.Unexpected())
	}
	body, err := answer.JSON()
	if err != nil {
		return nil, unavailable(err)
	}
	return v.identity(body)
}

// request is the call of RFC 7662, section 2.1.
func (v *Verifier) request(ctx context.Context, token string) (*http.Request, error) {
	form := url.Values{"token": {token}, "token_type_hint": {"access_token"}}
	if v.config.Auth == AuthPost {
		form.Set("client_id", v.config.ClientID)
		form.Set("client_secret", v.config.ClientSecret)
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, v.config.URL, strings.NewReader(form.Encode()))
	if err != nil {
		return nil, err
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	if v.config.Auth == AuthBasic {
		// RFC 6749, section 2.3.1: both are form-encoded first, so that an id
		// may hold a colon.
		req.SetBasicAuth(url.QueryEscape(v.config.ClientID), url.QueryEscape(v.config.ClientSecret))
	}
	return req, nil
}

// identity reads an answer by RFC 7662, section 2.2.
func (v *Verifier) identity(body []byte) (*portcullis.Identity, error) {
	members, err := strictjson.Object(body) // J4
	if err != nil {
		return nil, unavailable(fmt.Errorf("the answer is %w", err))
	}
	switch string(members["active"]) { // I1: the boolean, not what might pass for it
	case "true":
	case "false":
		return nil, fmt.Errorf("%w: not active", portcullis.ErrInvalid)
	default:
		return nil, unavailable(errors.New(`the answer's "active" is not a boolean`))
	}
	id, err := portcullis.ParseClaims(body)
	if err != nil {
		return nil, unavailable(err)
	}
	if notBefore, err := notBefore(members); err != nil {
		return nil, unavailable(err)
	} else if notBefore.After(time.Now().Add(leeway)) {
		return nil, fmt.Errorf("%w: not valid yet", portcullis.ErrInvalid)
	}
	switch {
	case v.config.Issuer == "":
	case id.Issuer == "":
		id.Issuer = v.config.Issuer
	case id.Issuer != v.config.Issuer:
		return nil, fmt.Errorf("%w: of another issuer", portcullis.ErrInvalid)
	}
	return id, nil
}

// notBefore reads "nbf", which an Identity doesn't have. Zero: none.
func notBefore(members map[string]json.RawMessage) (time.Time, error) {
	raw, ok := members["nbf"]
	if !ok || string(raw) == "null" {
		return time.Time{}, nil
	}
	// Read as ParseClaims reads "exp", of which it knows the type and range.
	id, err := portcullis.ParseClaims(append(append([]byte(`{"exp":`), raw...), '}'))
	if err != nil {
		return time.Time{}, errors.New(`the answer's "nbf" is not a time`)
	}
	return id.ExpiresAt, nil
}

func unavailable(err error) error {
	return fmt.Errorf("%w: introspection: %w", portcullis.ErrUnavailable, err)
}
