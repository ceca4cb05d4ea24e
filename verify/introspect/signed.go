package introspect

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/portcullis-auth/portcullis"
	"github.com/portcullis-auth/portcullis/internal/jws"
	"github.com/portcullis-auth/portcullis/internal/keyset"
)

// A SignedResponse says whether the token system signs its answers (RFC 9701).
type SignedResponse string

// What is asked for, and accepted. A signed answer is never used unverified.
const (
	SignedOff      SignedResponse = "off"      // only plain JSON
	SignedAccept   SignedResponse = "accept"   // signed where the server can, else plain JSON
	SignedRequired SignedResponse = "required" // only signed
)

// signedType is the media type of a signed answer (RFC 9701, section 5).
const signedType = "application/token-introspection+jwt"

// accept returns the Accept header. "": the usual one.
func (s SignedResponse) accept() string {
	switch s {
	case SignedAccept:
		return signedType + ", application/json"
	case SignedRequired:
		return signedType
	}
	return ""
}

// answerKeys checks what c says about signed answers, and returns the keys to
// verify them with, or nil for SignedOff.
func (c *Config) answerKeys() (*keyset.Set, error) {
	switch c.SignedResponse {
	case "", SignedOff:
		c.SignedResponse = SignedOff
		if c.JWKSURL != "" || c.Algorithms != nil {
			return nil, errors.New("JWKSURL and Algorithms are for signed answers: set SignedResponse")
		}
		return nil, nil
	case SignedAccept, SignedRequired:
	default:
		return nil, fmt.Errorf("SignedResponse must be %q, %q or %q", SignedOff, SignedAccept, SignedRequired)
	}
	if c.Issuer == "" || c.ClientID == "" {
		return nil, errors.New("with SignedResponse, Issuer and ClientID are required")
	}
	if c.Algorithms == nil {
		c.Algorithms = keyset.DefaultAlgorithms
	}
	return keyset.New(keyset.Config{
		Issuer:            c.Issuer,
		URL:               c.JWKSURL,
		Algorithms:        c.Algorithms,
		Timeout:           c.Timeout,
		Client:            c.Client,
		InsecurePlainHTTP: c.InsecurePlainHTTP,
	})
}

// answerTypes is the "typ" of signed answers. It is required, so that no other
// token of the issuer passes for one (RFC 9701, section 8.1).
var answerTypes = []string{jws.MediaType(signedType)}

// open verifies a signed answer to what was asked at that time, and returns the
// introspection response in it (RFC 9701, section 5).
func (v *Verifier) open(ctx context.Context, answer string, asked time.Time) ([]byte, error) {
	// J1 to J5: the form, the header and the signature. Some servers end a body
	// with a line feed.
	t, err := jws.Parse(strings.TrimSpace(answer), v.config.Algorithms, answerTypes)
	if err == nil {
		err = t.Verify(ctx, v.keys)
	}
	if err != nil {
		return nil, fmt.Errorf("the signed answer: %w", err)
	}

	// J4: types as they should be.
	id, err := portcullis.ParseClaims(t.Payload)
	if err != nil {
		return nil, errors.New("a claim of the signed answer is of the wrong type")
	}

	// J2: the issuer and the audience, exactly.
	if id.Issuer != v.config.Issuer {
		return nil, errors.New(`the signed answer's "iss" is not the issuer configured`)
	}
	if !t.For(v.config.ClientID) {
		return nil, errors.New(`the signed answer's "aud" does not name us`)
	}

	// "iat" is when the answer was made: for us, not for somebody who kept it.
	// Without it the time is zero, and too long ago.
	switch now := time.Now(); {
	case id.IssuedAt.Before(asked.Add(-leeway)):
		return nil, errors.New(`the signed answer's "iat" is missing or too long ago`)
	case id.IssuedAt.After(now.Add(leeway)):
		return nil, errors.New(`the signed answer's "iat" is in the future`)
	case t.Claims["exp"] != nil && !id.ExpiresAt.After(now.Add(-leeway)): // null too: it leaves ExpiresAt zero
		return nil, errors.New(`the signed answer's "exp" is in the past`)
	}
	return t.Claims["token_introspection"], nil // I1: if there is none, it isn't an object with "active" either
}
