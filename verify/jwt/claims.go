package jwt

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/portcullis-auth/portcullis"
	"github.com/portcullis-auth/portcullis/internal/strictjson"
)

// identity reads and checks the claims (RFC 9068, section 4; RFC 7519, section
// 4.1) of a token with that type.
func (v *Verifier) identity(encoded, typ string, now time.Time) (*portcullis.Identity, error) {
	raw, err := decode(encoded)
	if err != nil {
		return nil, refuse("the claims are not base64url")
	}
	members, err := strictjson.Object(raw) // J4
	if err != nil {
		return nil, refuse("the claims are " + err.Error())
	}

	// J2: issuer and audience, exactly; before the rest, since they say whether
	// the token is any of our business.
	if iss, _ := text(members["iss"]); iss != v.config.Issuer {
		return nil, refuse(`"iss" is not the issuer configured`)
	}
	if !slices.ContainsFunc(audience(members["aud"]), func(aud string) bool { return slices.Contains(v.config.Audience, aud) }) {
		return nil, refuse(`"aud" does not name us`)
	}
	if why := otherKind(members, typ); why != "" {
		return nil, refuse(why)
	}

	// J4: types and ranges.
	id, err := portcullis.ParseClaims(raw)
	if err != nil {
		return nil, refuse(strings.TrimPrefix(err.Error(), "portcullis: "))
	}
	notBefore, err := notBefore(members)
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
	if id.Subject == "" && (typ == accessToken || id.ClientID == "") {
		return nil, refuse(`"sub" is missing`)
	}
	return id, nil
}

// otherKind says by which claim a token shows itself to be something else than
// an access token (RFC 8725, section 3.12); "": by none.
func otherKind(members map[string]json.RawMessage, typ string) string {
	// RFC 8417, section 2.2: what happened, not what is allowed. Logout tokens
	// have it too.
	if _, ok := members["events"]; ok {
		return `"events" is not for access tokens`
	}
	if typ == accessToken {
		return ""
	}
	// OpenID Connect Core 1.0, sections 2 and 3.3.2.11: these are for ID tokens.
	for _, name := range []string{"nonce", "at_hash", "c_hash", "s_hash"} {
		if _, ok := members[name]; ok {
			return `"` + name + `" is for ID tokens`
		}
	}
	// Keycloak signs all its tokens as "JWT", and names the kind here.
	kind, _ := text(members["typ"])
	switch strings.ToLower(kind) {
	case "id", "refresh", "offline", "logout":
		return `the claim "typ" is not that of an access token`
	}
	return ""
}

// audience reads "aud": a string or an array of strings (RFC 7519, section
// 4.1.3). nil: neither.
func audience(raw json.RawMessage) []string {
	if aud, ok := text(raw); ok {
		return []string{aud}
	}
	var list []json.RawMessage
	if json.Unmarshal(raw, &list) != nil {
		return nil
	}
	names := make([]string, len(list))
	for i, raw := range list {
		var ok bool
		if names[i], ok = text(raw); !ok {
			return nil
		}
	}
	return names
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
