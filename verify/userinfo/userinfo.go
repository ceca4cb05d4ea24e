// Package userinfo looks up who a token's user is: it wraps a
// [portcullis.Verifier] and adds to each Identity what a second place knows
// about the user, such as the userinfo endpoint of OpenID Connect (OpenID
// Connect Core 1.0, section 5.3), or a service of your own.
//
//	verifier, err := userinfo.New(userinfo.Config{
//		Verifier: tokens,
//		URL:      "https://id.example.com/userinfo",
//	})
//
// What is found becomes part of the Identity's Claims. What a token is and may
// do (its subject, expiry, scopes and so on) stays what the wrapped Verifier
// said: userinfo cannot change it. The token is still checked with each Verify;
// only what is known about users is remembered, for a short time, and all
// tokens of a user share it.
//
// Limits: whoever remembers the Identity, as verify/cached does, remembers the
// user information with it. Answers that are signed or encrypted
// (application/jwt) are not read. What an authorization request asked for by
// the "claims" parameter (section 5.5) belongs to one token; this package takes
// it for what all tokens of the same user, client and scopes have. The endpoint
// is not discovered.
package userinfo

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/maypok86/otter/v2"

	"github.com/portcullis-auth/portcullis"
	"github.com/portcullis-auth/portcullis/internal/askhttp"
	"github.com/portcullis-auth/portcullis/internal/flight"
)

// A FailurePolicy is what happens to a good token if its user cannot be looked
// up.
type FailurePolicy string

// The policies. A definite no is no failure, and refuses under either.
const (
	Refuse  FailurePolicy = "refuse"  // portcullis.ErrUnavailable
	Without FailurePolicy = "without" // the Identity as it is; its ReuseUntil is 5 s ahead at most
)

// A Config says whose users to look up, and where. Verifier and URL are
// required.
type Config struct {
	// Verifier checks the token. It is not closed here.
	Verifier portcullis.Verifier

	// URL is asked by GET: https, or http on a loopback host. It gets the token
	// as bearer token. If "{sub}" stands in its path or query, that is replaced
	// by the subject, and the token is not sent.
	URL string

	// BearerToken is our own credential toward a URL with "{sub}". "": none.
	BearerToken string

	// OnFailure is what happens if there is no answer, or nonsense. "": Refuse.
	OnFailure FailurePolicy

	// MaxAge is how long an answer is used. 0: 1 min.
	MaxAge time.Duration

	// MaxBytes bounds the memory for answers. 0: 16 MiB.
	MaxBytes int64

	// Timeout bounds each call, from dialling to the last byte. 0: 5 s.
	Timeout time.Duration

	// Client lends its Transport and Timeout. nil: our own, with the proxies
	// of the environment. Its Jar and CheckRedirect are not used.
	Client *http.Client

	// InsecurePlainHTTP permits http to hosts that are not loopback. Whoever
	// can read that network gets every token, or BearerToken.
	InsecurePlainHTTP bool
}

// retry is how long an Identity that had to do without may be used again.
const retry = 5 * time.Second

// A Verifier checks tokens and looks users up. It is made by [New], safe for
// concurrent use, and must be closed.
type Verifier struct {
	config    Config
	asker     *askhttp.Asker
	sendToken bool // else URL has the subject
	known     *otter.Cache[key, info]
	calls     flight.Group[question, info]
}

var _ portcullis.Verifier = (*Verifier)(nil)

// New returns a Verifier that knows no users yet, or what is wrong with c. It
// makes no call.
func New(c Config) (*Verifier, error) {
	if c.Verifier == nil {
		return nil, errors.New("userinfo: Verifier is required")
	}
	// Braces cannot be part of a host: it is always the one that c names.
	if _, err := askhttp.CheckURL(c.URL, c.InsecurePlainHTTP); err != nil {
		return nil, fmt.Errorf("userinfo: %w", err)
	}
	sendToken := !strings.Contains(c.URL, placeholder)
	if c.OnFailure == "" {
		c.OnFailure = Refuse
	}
	if c.MaxAge == 0 {
		c.MaxAge = time.Minute
	}
	if c.MaxBytes == 0 {
		c.MaxBytes = 16 << 20
	}
	switch {
	case c.BearerToken != "" && sendToken:
		return nil, errors.New("userinfo: BearerToken is for a URL with {sub}; this one gets the user's token")
	case c.BearerToken != "" && askhttp.CheckToken(c.BearerToken) != nil: // a file's last newline, most likely
		return nil, errors.New("userinfo: BearerToken is too long or has characters outside visible ASCII")
	case c.OnFailure != Refuse && c.OnFailure != Without:
		return nil, fmt.Errorf("userinfo: OnFailure must be %q or %q", Refuse, Without)
	case c.MaxAge < 0:
		return nil, errors.New("userinfo: MaxAge is negative")
	case c.MaxBytes < 0:
		return nil, errors.New("userinfo: MaxBytes is negative")
	case c.Timeout < 0:
		return nil, errors.New("userinfo: Timeout is negative")
	}
	return &Verifier{
		config:    c,
		asker:     askhttp.New(c.Client, c.Timeout),
		sendToken: sendToken,
		known:     newMemory(c.MaxAge, c.MaxBytes),
	}, nil
}

// Verify returns the wrapped Verifier's Identity with what is known about the
// user added to its Claims, or the wrapped Verifier's error as it is.
//
// Where the token is sent, a 401 or 403 is the token system's no:
// [portcullis.ErrInvalid]. Where the subject is, a 404 says that there is no
// such user (any more): [portcullis.ErrForbidden]. Every other failure is
// treated as OnFailure says, and under Refuse wraps [portcullis.ErrUnavailable].
// Errors hold neither the token, nor BearerToken, nor the subject.
//
// Callers with tokens of the same user, client and scopes share one call.
func (v *Verifier) Verify(ctx context.Context, token string) (*portcullis.Identity, error) {
	id, err := v.config.Verifier.Verify(ctx, token)
	switch {
	case err != nil:
		return nil, err
	case id == nil:
		return nil, unavailable(errors.New("the Verifier gave no Identity"))
	}
	own := *id // the Verifier may still use its own
	own.Claims, err = v.claims(ctx, token, id)
	switch {
	case err == nil:
		return &own, nil
	case isNo(err):
		return nil, err
	case v.config.OnFailure == Refuse, ctx.Err() != nil: // the caller's failure isn't the endpoint's
		return nil, unavailable(err)
	}
	own.Claims = id.Claims
	if soon := time.Now().Add(retry); own.ReuseUntil.IsZero() || own.ReuseUntil.After(soon) {
		own.ReuseUntil = soon
	}
	return &own, nil
}

// claims returns the claims of id and what is known about its user, as one. An
// error that is no definite no doesn't say that it is portcullis.ErrUnavailable.
func (v *Verifier) claims(ctx context.Context, token string, id *portcullis.Identity) ([]byte, error) {
	if id.Subject == "" { // all who have none would share one answer
		return nil, errors.New("the token names no user")
	}
	found, err := v.lookUp(ctx, token, id)
	if err != nil {
		return nil, err
	}
	return merge(id.Claims, found)
}

// Close forgets all users and stops what runs in the background. Verify must
// not be called any more. The error is always nil.
func (v *Verifier) Close() error {
	v.known.StopAllGoroutines()
	v.known.InvalidateAll()
	return nil
}

func isNo(err error) bool {
	return errors.Is(err, portcullis.ErrInvalid) || errors.Is(err, portcullis.ErrForbidden)
}

func unavailable(err error) error {
	return fmt.Errorf("%w: userinfo: %w", portcullis.ErrUnavailable, err)
}
