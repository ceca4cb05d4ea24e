package backchannel

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"slices"
	"strings"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/portcullis-auth/portcullis"
	"github.com/portcullis-auth/portcullis/internal/askhttp"
	"github.com/portcullis-auth/portcullis/internal/strictjson"
)

// logoutEvent is the member of "events" that makes a token a logout token.
const logoutEvent = "http://schemas.openid.net/event/backchannel-logout"

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

	// RFC 7515, section 4: the header, strictly (J4). Of what it says only alg,
	// typ, kid and crit are looked at; jku, x5u, x5c and jwk are where forgers
	// keep their keys (J3).
	encoded, _, _ := strings.Cut(token, ".")
	raw, err := base64.RawURLEncoding.Strict().DecodeString(encoded)
	if err != nil {
		return nil, badToken("not a signed token")
	}
	header, err := strictjson.Object(raw)
	if err != nil {
		return nil, badToken("the token's header is not strict JSON")
	}
	// Section 2.4 recommends the type. Where it is sent it must be this one, or
	// the token is of another kind (RFC 8725, section 3.11).
	if _, ok := header["typ"]; ok {
		typ := strings.ToLower(text(header, "typ"))
		if strings.TrimPrefix(typ, "application/") != "logout+jwt" {
			return nil, badToken(`the token's "typ" is not logout+jwt`)
		}
	}
	if _, ok := header["crit"]; ok { // RFC 7515, section 4.1.11: we understand no extension
		return nil, badToken(`the token's header has "crit"`)
	}

	// J1: the algorithm is one of our list, which cannot hold "none" or HMAC.
	alg := text(header, "alg")
	signed, err := jose.ParseSignedCompact(token, r.algorithms)
	if err != nil || !slices.Contains(r.algorithms, jose.SignatureAlgorithm(alg)) {
		return nil, badToken("not a token signed with an accepted algorithm")
	}

	// The signature, by a key of the issuer that is for this algorithm.
	kid := text(header, "kid")
	if _, ok := header["kid"]; ok && kid == "" {
		return nil, badToken(`the token's "kid" is not a name`)
	}
	keys, err := r.keys.Keys(ctx, kid, alg)
	if err != nil {
		return nil, err
	}
	var payload []byte
	for _, key := range keys {
		if payload, err = signed.Verify(key); err == nil {
			break
		}
	}
	if len(keys) == 0 || err != nil {
		return nil, badToken("the signature is not by a key of the issuer")
	}
	return r.check(payload, time.Now())
}

// check checks the claims of a token that the issuer signed.
func (r *Receiver) check(payload []byte, now time.Time) (*logout, error) {
	// J4: strict JSON, types as they should be.
	claims, err := strictjson.Object(payload)
	if err != nil {
		return nil, badToken("the claims are not strict JSON")
	}
	id, err := portcullis.ParseClaims(payload)
	if err != nil {
		return nil, badToken("a claim is of the wrong type")
	}

	// J2: the issuer and the audience, exactly.
	if id.Issuer != r.config.Issuer {
		return nil, badToken(`"iss" is not the issuer configured`)
	}
	if !slices.Contains(texts(claims["aud"]), r.config.Audience) {
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
	if _, ok := claims["exp"]; ok && !id.ExpiresAt.After(early) { // null too: it leaves ExpiresAt zero
		return nil, badToken(`"exp" is in the past`)
	}

	// "events" makes it a logout token; "nonce" would make it an ID token.
	events, err := strictjson.Object(claims["events"])
	if err != nil {
		return nil, badToken(`"events" is not an object`)
	}
	if _, err := strictjson.Object(events[logoutEvent]); err != nil {
		return nil, badToken(`"events" has no logout event`)
	}
	if _, ok := claims["nonce"]; ok {
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

// text returns a member that is a string, or "".
func text(members map[string]json.RawMessage, name string) (s string) {
	_ = json.Unmarshal(members[name], &s) // "" if it fails
	return s
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
