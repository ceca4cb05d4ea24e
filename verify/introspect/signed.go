package introspect

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/portcullis-auth/portcullis"
	"github.com/portcullis-auth/portcullis/internal/keyset"
	"github.com/portcullis-auth/portcullis/internal/strictjson"
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

// open verifies a signed answer to what was asked at that time, and returns the
// introspection response in it (RFC 9701, section 5).
func (v *Verifier) open(ctx context.Context, answer string, asked time.Time) ([]byte, error) {
	payload, err := v.signed(ctx, answer)
	if err != nil {
		return nil, fmt.Errorf("the signed answer: %w", err)
	}

	// J4: strict JSON at every level, types as they should be.
	claims, err := strictjson.Object(payload)
	if err != nil {
		return nil, fmt.Errorf("the signed answer's claims are %w", err)
	}
	id, err := portcullis.ParseClaims(payload)
	if err != nil {
		return nil, errors.New("a claim of the signed answer is of the wrong type")
	}

	// J2: the issuer and the audience, exactly.
	if id.Issuer != v.config.Issuer {
		return nil, errors.New(`the signed answer's "iss" is not the issuer configured`)
	}
	if !slices.Contains(texts(claims["aud"]), v.config.ClientID) {
		return nil, errors.New(`the signed answer's "aud" does not name us`)
	}

	// "iat" is when the answer was made: for us, not for somebody who kept it.
	// Without it the time is zero, and too long ago.
	switch now := time.Now(); {
	case id.IssuedAt.Before(asked.Add(-leeway)):
		return nil, errors.New(`the signed answer's "iat" is missing or too long ago`)
	case id.IssuedAt.After(now.Add(leeway)):
		return nil, errors.New(`the signed answer's "iat" is in the future`)
	case claims["exp"] != nil && !id.ExpiresAt.After(now.Add(-leeway)): // null too: it leaves ExpiresAt zero
		return nil, errors.New(`the signed answer's "exp" is in the past`)
	}
	return claims["token_introspection"], nil // I1: if there is none, it isn't an object with "active" either
}

// signed returns the payload of a JWS that the issuer signed, for what it is.
func (v *Verifier) signed(ctx context.Context, answer string) ([]byte, error) {
	// J5: RFC 9701 allows encryption inside, which would be five parts.
	encoded, _, _ := strings.Cut(answer, ".")
	if strings.Count(answer, ".") != 2 {
		return nil, errors.New("not a signed JWT; encrypted ones are not read")
	}

	// RFC 7515, section 4: the header, strictly (J4). Of what it says only alg,
	// typ, kid and extensions are looked at; jku, x5u, x5c and jwk are where
	// forgers keep their keys (J3).
	raw, err := base64.RawURLEncoding.Strict().DecodeString(encoded)
	if err != nil {
		return nil, errors.New("the header is not base64url")
	}
	header, err := strictjson.Object(raw)
	if err != nil {
		return nil, fmt.Errorf("the header is %w", err)
	}
	// J2: required, so that no other JWT of the issuer passes for an answer, nor
	// this one for a token (RFC 9701, section 8.1).
	if typ := strings.ToLower(text(header, "typ")); strings.TrimPrefix(typ, "application/") != "token-introspection+jwt" {
		return nil, errors.New(`"typ" is not token-introspection+jwt`)
	}
	if header["crit"] != nil || header["b64"] != nil { // RFC 7515, section 4.1.11: we understand no extension
		return nil, errors.New("the header demands an extension")
	}

	// J1: the algorithm is one of our list, which cannot hold "none" or HMAC.
	alg := text(header, "alg")
	jws, err := jose.ParseSignedCompact(answer, []jose.SignatureAlgorithm{jose.SignatureAlgorithm(alg)})
	if err != nil || !slices.Contains(v.config.Algorithms, alg) {
		return nil, errors.New("not signed with an accepted algorithm")
	}

	// The signature, by a key of the issuer that is for this algorithm.
	kid := text(header, "kid")
	if header["kid"] != nil && kid == "" {
		return nil, errors.New(`"kid" is not a name`)
	}
	keys, err := v.keys.Keys(ctx, kid, alg)
	if err != nil {
		return nil, err
	}
	for _, key := range keys {
		if payload, err := jws.Verify(key); err == nil {
			return payload, nil
		}
	}
	return nil, errors.New("the signature is not by a key of the issuer")
}

// texts returns a claim that is a string or an array of strings (RFC 7519,
// section 4.1.3), or nil.
func texts(raw json.RawMessage) (list []string) {
	var s string
	if json.Unmarshal(raw, &s) == nil {
		return []string{s}
	}
	if json.Unmarshal(raw, &list) != nil {
		return nil
	}
	return list
}
