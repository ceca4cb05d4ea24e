package jwt

import (
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/portcullis-auth/portcullis"
	"github.com/portcullis-auth/portcullis/internal/jws"
)

// identity checks the claims (RFC 9068, section 4; RFC 7519, section 4.1).
func (v *Verifier) identity(t *jws.Token, now time.Time) (*portcullis.Identity, error) {
	// J2: issuer and audience, exactly; before the rest, since they say whether
	// the token is any of our business.
	if iss, _ := jws.Text(t.Claims["iss"]); iss != v.config.Issuer {
		return nil, refuse(`"iss" is not the issuer configured`)
	}
	if !t.For(v.config.Audience...) {
		return nil, refuse(`"aud" does not name us`)
	}
	if why := otherKind(t); why != "" {
		return nil, refuse(why)
	}

	// J4: types and ranges.
	id, err := portcullis.ParseClaims(t.Payload)
	if err != nil {
		return nil, refuse(strings.TrimPrefix(err.Error(), "portcullis: "))
	}
	notBefore, err := notBefore(t.Claims)
	if err != nil {
		return nil, err
	}

	// J2: time. Without "iat" a revocation of what was issued before it could
	// not be told to concern this token.
	early, late := now.Add(-v.config.Leeway), now.Add(v.config.Leeway)
	switch {
	case id.ExpiresAt.IsZero():
		return nil, refuse(`"exp" is missing`)
	case id.IssuedAt.IsZero():
		return nil, refuse(`"iat" is missing`)
	case notBefore.After(late):
		return nil, refuse(`"nbf" is in the future`)
	case id.IssuedAt.After(late):
		return nil, refuse(`"iat" is in the future`)
	case !id.ExpiresAt.After(early):
		return nil, fmt.Errorf("%w: \"exp\" is in the past", portcullis.ErrExpired)
	}

	// RFC 9068, section 2.2: "sub" is required. Other tokens may be of a client
	// that acts for itself.
	if id.Subject == "" && (t.Type == accessToken || id.ClientID == "") {
		return nil, refuse(`"sub" is missing`)
	}
	return id, nil
}

// otherKind says by which claim a token shows itself to be something else than
// an access token (RFC 8725, section 3.12); "": by none.
func otherKind(t *jws.Token) string {
	// RFC 8417, section 2.2: what happened, not what is allowed. Logout tokens
	// have it too.
	if _, ok := t.Claims["events"]; ok {
		return `"events" is not for access tokens`
	}
	if t.Type == accessToken {
		return ""
	}
	// OpenID Connect Core 1.0, sections 2 and 3.3.2.11: these are for ID tokens.
	for _, name := range []string{"nonce", "at_hash", "c_hash", "s_hash"} {
		if _, ok := t.Claims[name]; ok {
			return `"` + name + `" is for ID tokens`
		}
	}
	// Keycloak signs all its tokens as "JWT", and names the kind here.
	kind, _ := jws.Text(t.Claims["typ"])
	switch strings.ToLower(kind) {
	case "id", "refresh", "offline", "logout":
		return `the claim "typ" is not that of an access token`
	}
	return ""
}

// notBefore reads "nbf", which an Identity doesn't have. Zero: none.
func notBefore(members map[string]json.RawMessage) (time.Time, error) {
	raw, ok := members["nbf"]
	if !ok {
		return time.Time{}, nil
	}
	var seconds *float64
	const year9999 = 253402300799
	if json.Unmarshal(raw, &seconds) != nil || seconds == nil || *seconds < 0 || *seconds > year9999 {
		return time.Time{}, refuse(`"nbf" is not a time`)
	}
	return time.UnixMilli(int64(*seconds * 1000)), nil
}
