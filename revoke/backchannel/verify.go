package backchannel

import (
	"context"
	"errors"
	"time"

	"github.com/portcullis-auth/portcullis"
	"github.com/portcullis-auth/portcullis/internal/askhttp"
	"github.com/portcullis-auth/portcullis/internal/jws"
	"github.com/portcullis-auth/portcullis/internal/strictjson"
)

// logoutEvent is the member of "events" that makes a token a logout token.
const logoutEvent = "http://schemas.openid.net/event/backchannel-logout"

// logoutTypes are the "typ" of logout tokens. Section 2.4 recommends one. Where
// it is sent it must be this one, or the token is of another kind (RFC 8725,
// section 3.11).
var logoutTypes = []string{"", "logout+jwt"}

// A logout is what a verified logout token says.
type logout struct {
	issuer    string
	subject   string // or sessionID, or both
	sessionID string
	id        string // "jti"
	issuedAt  time.Time
}

// verify checks a logout token by section 2.6. The error is a badToken for what
// is not one, another error if we cannot tell.
func (r *Receiver) verify(ctx context.Context, token string) (*logout, error) {
	// J5: the size, before any work.
	if err := askhttp.CheckToken(token); err != nil {
		return nil, badToken("logout_token: " + err.Error())
	}

	// J1, J4, J5: the form, and the header.
	t, err := jws.Parse(token, r.config.Algorithms, logoutTypes)
	if err != nil {
		return nil, badToken("logout_token: " + err.Error())
	}

	// J3: the signature, by a key of the issuer that is for this algorithm.
	err = t.Verify(ctx, r.keys)
	switch {
	case errors.Is(err, jws.ErrNoKey), errors.Is(err, jws.ErrSignature):
		return nil, badToken("logout_token: " + err.Error())
	case err != nil:
		return nil, err
	}
	return r.check(t, time.Now())
}

// check checks the claims of a token that the issuer signed.
func (r *Receiver) check(t *jws.Token, now time.Time) (*logout, error) {
	// J4: types as they should be.
	id, err := portcullis.ParseClaims(t.Payload)
	if err != nil {
		return nil, badToken("a claim is of the wrong type")
	}

	// J2: the issuer and the audience, exactly.
	if id.Issuer != r.config.Issuer {
		return nil, badToken(`"iss" is not the issuer configured`)
	}
	if !t.For(r.config.Audience) {
		return nil, badToken(`"aud" does not name us`)
	}

	// "iat" is required. Its age is bounded by us, since "exp" is missing in
	// tokens by the drafts, and since it bounds what used has to remember.
	early, late := now.Add(-r.config.Leeway), now.Add(r.config.Leeway)
	switch {
	case id.IssuedAt.IsZero():
		return nil, badToken(`"iat" is missing`)
	case id.IssuedAt.After(late):
		return nil, badToken(`"iat" is in the future`)
	case id.IssuedAt.Before(early.Add(-r.config.MaxAge)):
		return nil, badToken(`"iat" is too long ago`)
	}
	if _, ok := t.Claims["exp"]; ok && !id.ExpiresAt.After(early) { // null too: it leaves ExpiresAt zero
		return nil, badToken(`"exp" is in the past`)
	}

	// "events" makes it a logout token; "nonce" would make it an ID token.
	events, err := strictjson.Object(t.Claims["events"])
	if err != nil {
		return nil, badToken(`"events" is not an object`)
	}
	if _, err := strictjson.Object(events[logoutEvent]); err != nil {
		return nil, badToken(`"events" has no logout event`)
	}
	if _, ok := t.Claims["nonce"]; ok {
		return nil, badToken(`"nonce" is not for logout tokens`)
	}

	// Whom, and which time.
	if id.Subject == "" && id.SessionID == "" {
		return nil, badToken(`neither "sub" nor "sid" is there`)
	}
	if id.TokenID == "" {
		return nil, badToken(`"jti" is missing`)
	}
	return &logout{
		issuer:    id.Issuer,
		subject:   id.Subject,
		sessionID: id.SessionID,
		id:        id.TokenID,
		issuedAt:  id.IssuedAt,
	}, nil
}
