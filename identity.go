package portcullis

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/portcullis-auth/portcullis/internal/strictjson"
)

// An Identity is who a token speaks for, in the token system's words. A field
// that the token system didn't state is its zero value.
//
// An Identity must not be changed once a Verifier has returned it: it is shared
// by everything that happens under its token.
type Identity struct {
	Issuer    string    // "iss"
	Subject   string    // "sub"
	SessionID string    // "sid": the login session (OpenID Connect Back-Channel Logout 1.0)
	TokenID   string    // "jti"
	ClientID  string    // "client_id", or "azp"
	Scopes    []string  // "scope", or the array "scp"
	IssuedAt  time.Time // "iat"; zero: the token counts as issued when this process first saw it
	ExpiresAt time.Time // "exp"; zero: Guard.MaxSession bounds the session

	// VerifiedAt is when the token system was asked, if a Verifier answers from
	// memory. Zero: when the Verifier was called.
	VerifiedAt time.Time

	// ReuseUntil is how long the token system lets its answer be used again.
	// It is for Verifiers that remember answers. Zero: it doesn't say.
	ReuseUntil time.Time

	// VerifiedBy is the Verifier's name, where there are several. "": none.
	VerifiedBy string

	// Claims is the user information: everything that the token system said,
	// as one JSON object. It stays raw: decoded it would be several times as
	// large, and most of it is never asked for. See [Identity.Claim].
	Claims json.RawMessage
}

// HasScope reports whether the token was granted the scope.
func (id *Identity) HasScope(scope string) bool { return slices.Contains(id.Scopes, scope) }

// Claim decodes the claim called name into v, as [json.Unmarshal] does. It
// reports whether there is such a claim and it fits; v is untouched otherwise.
func (id *Identity) Claim(name string, v any) bool {
	var claims map[string]json.RawMessage
	if json.Unmarshal(id.Claims, &claims) != nil {
		return false
	}
	raw, ok := claims[name]
	return ok && json.Unmarshal(raw, v) == nil
}

// ParseClaims makes an Identity of a JSON object with the registered claims of
// RFC 7519, RFC 7662 and RFC 8693 and whatever else is in it; it is for
// Verifiers. The object is read strictly: exact names, no duplicates, valid
// UTF-8, nothing behind it, and a claim that this package reads must be of its
// type, or it is an error. The error says which and holds no value. The
// Identity keeps a reference to claims.
func ParseClaims(claims []byte) (*Identity, error) {
	members, err := strictjson.Object(claims)
	if err != nil {
		return nil, fmt.Errorf("portcullis: claims: %w", err)
	}
	c := claimReader{members: members}
	id := &Identity{
		Issuer:    c.text("iss"),
		Subject:   c.text("sub"),
		SessionID: c.text("sid"),
		TokenID:   c.text("jti"),
		ClientID:  c.text("client_id"),
		Scopes:    strings.Fields(c.text("scope")),
		IssuedAt:  c.time("iat"),
		ExpiresAt: c.time("exp"),
		Claims:    claims,
	}
	if id.ClientID == "" {
		id.ClientID = c.text("azp")
	}
	if len(id.Scopes) == 0 {
		id.Scopes = c.texts("scp")
	}
	if c.err != nil {
		return nil, c.err
	}
	return id, nil
}

// A claimReader reads claims of known types and keeps the first error.
type claimReader struct {
	members map[string]json.RawMessage
	err     error
}

// read decodes the claim into v. A claim that is null counts as absent.
func (c *claimReader) read(name string, v any) bool {
	raw, ok := c.members[name]
	if !ok || string(raw) == "null" {
		return false
	}
	if json.Unmarshal(raw, v) != nil {
		c.fail(name, errors.New("of the wrong type"))
		return false
	}
	return true
}

func (c *claimReader) fail(name string, err error) {
	if c.err == nil {
		c.err = fmt.Errorf("portcullis: claims: %q is %w", name, err)
	}
}

func (c *claimReader) text(name string) (s string) {
	c.read(name, &s)
	return s
}

func (c *claimReader) texts(name string) (list []string) {
	c.read(name, &list)
	return list
}

// time reads a NumericDate (RFC 7519, section 2): seconds, perhaps with a
// fraction, in the years 1970 to 9999.
func (c *claimReader) time(name string) time.Time {
	var seconds float64
	if !c.read(name, &seconds) {
		return time.Time{}
	}
	const year9999 = 253402300799
	if seconds < 0 || seconds > year9999 || math.IsNaN(seconds) {
		c.fail(name, errors.New("out of range"))
		return time.Time{}
	}
	whole, fraction := math.Modf(seconds)
	return time.Unix(int64(whole), int64(fraction*1e9))
}
