package issuer

import (
	"slices"
	"time"

	"github.com/zitadel/oidc/v3/pkg/oidc"
	"github.com/zitadel/oidc/v3/pkg/op"
)

// Kind is the form of an access token.
type Kind int

// The forms of access tokens.
const (
	Opaque Kind = iota // says nothing by itself: ask the introspection endpoint
	JWT                // RFC 9068, typ "at+jwt", RS256
)

// The two registered public clients. They differ in the kind of access token they get.
const (
	ClientOpaque = "demo-app"
	ClientJWT    = "demo-app-jwt"
)

func (k Kind) clientID() string {
	if k == JWT {
		return ClientJWT
	}
	return ClientOpaque
}

// client is a registered client, as op wants to see it.
type client struct {
	id           string
	kind         Kind
	confidential bool // the gateway: it may introspect and revoke, but gets no tokens
	redirectURIs []string
	afterLogout  []string // post_logout_redirect_uris
	scopes       []string // besides the OIDC ones
	loginURL     string
}

var _ op.Client = (*client)(nil)

func (c *client) GetID() string                        { return c.id }
func (c *client) RedirectURIs() []string               { return c.redirectURIs }
func (c *client) PostLogoutRedirectURIs() []string     { return c.afterLogout }
func (c *client) ApplicationType() op.ApplicationType  { return op.ApplicationTypeWeb }
func (c *client) LoginURL(id string) string            { return c.loginURL + "?id=" + id }
func (c *client) IDTokenLifetime() time.Duration       { return time.Hour }
func (c *client) DevMode() bool                        { return false }
func (c *client) IsScopeAllowed(scope string) bool     { return slices.Contains(c.scopes, scope) }
func (c *client) IDTokenUserinfoClaimsAssertion() bool { return true }
func (c *client) ClockSkew() time.Duration             { return 0 }

func (c *client) AuthMethod() oidc.AuthMethod {
	if c.confidential {
		return oidc.AuthMethodBasic
	}
	return oidc.AuthMethodNone
}

func (c *client) ResponseTypes() []oidc.ResponseType {
	if c.confidential {
		return nil
	}
	return []oidc.ResponseType{oidc.ResponseTypeCode}
}

func (c *client) GrantTypes() []oidc.GrantType {
	if c.confidential {
		return nil
	}
	return []oidc.GrantType{oidc.GrantTypeCode, oidc.GrantTypeRefreshToken}
}

// AccessTokenType is the same for both kinds: for op every access token is a string that
// our [tokenCodec] makes of a token id. See there for why.
func (c *client) AccessTokenType() op.AccessTokenType { return op.AccessTokenTypeBearer }

func (c *client) RestrictAdditionalIdTokenScopes() func([]string) []string     { return same } //nolint:revive // op chose the name
func (c *client) RestrictAdditionalAccessTokenScopes() func([]string) []string { return same }

func same(scopes []string) []string { return scopes }
