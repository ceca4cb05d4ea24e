package introspect

import (
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/portcullis-auth/portcullis"
	"github.com/portcullis-auth/portcullis/internal/strictjson"
)

// leeway is how far the server's clock may be from ours. Where it has called the
// token active, that is all that an "nbf" in the future can be about.
const leeway = time.Minute

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
