package introspect

import (
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"

	"github.com/portcullis-auth/portcullis/internal/askhttp"
)

// An AuthMethod is how we authenticate to the token system: by the names of the
// OAuth registry (RFC 7591, section 2), as far as it has one.
type AuthMethod string

// The ways to authenticate.
const (
	AuthBasic         AuthMethod = "client_secret_basic" // ClientSecret in the Authorization header (RFC 6749, section 2.3.1)
	AuthPost          AuthMethod = "client_secret_post"  // ClientSecret in the form, beside the token
	AuthPrivateKeyJWT AuthMethod = "private_key_jwt"     // an assertion signed by ClientKey (RFC 7523, section 2.2)
	AuthBearer        AuthMethod = "bearer"              // BearerToken in the Authorization header (RFC 6750, section 2.1)
)

// chooseAuth checks the credentials and sets c.Auth. RFC 7662, section 2.1: the
// endpoint must demand some, or anybody could try tokens there.
func (c *Config) chooseAuth() error {
	var fit []AuthMethod
	kinds := 0
	if c.ClientSecret != "" {
		kinds++
		fit = []AuthMethod{AuthBasic, AuthPost}
	}
	if c.ClientKey != nil {
		kinds++
		fit = []AuthMethod{AuthPrivateKeyJWT}
	}
	if c.BearerToken != "" {
		kinds++
		fit = []AuthMethod{AuthBearer}
		if askhttp.CheckToken(c.BearerToken) != nil {
			return errors.New("BearerToken holds what no token can")
		}
	}
	switch {
	case kinds != 1:
		return errors.New("one of ClientSecret, ClientKey and BearerToken is required, and no other")
	case c.ClientID == "" && c.BearerToken == "":
		return errors.New("ClientID is required")
	case c.Auth == "":
		c.Auth = fit[0]
	case !slices.Contains(fit, c.Auth):
		return fmt.Errorf("with these credentials, Auth must be one of %q", fit)
	}
	if c.ClientAssertionAudience == "" {
		// RFC 7523, section 3: what identifies the server, and its issuer does
		// so best; an endpoint's URL may stand for it.
		c.ClientAssertionAudience = c.Issuer
		if c.Issuer == "" {
			c.ClientAssertionAudience = c.URL
		}
	}
	return nil
}

// authenticate adds our credentials to a request.
func (v *Verifier) authenticate(header http.Header, form url.Values) error {
	c := &v.config
	switch c.Auth {
	case AuthBasic:
		// RFC 6749, section 2.3.1: both are form-encoded first, so that an id
		// may hold a colon.
		credentials := url.QueryEscape(c.ClientID) + ":" + url.QueryEscape(c.ClientSecret)
		header.Set("Authorization", "Basic "+base64.StdEncoding.EncodeToString([]byte(credentials)))
	case AuthPost:
		form.Set("client_id", c.ClientID)
		form.Set("client_secret", c.ClientSecret)
	case AuthPrivateKeyJWT:
		assertion, err := v.assertion()
		if err != nil {
			return fmt.Errorf("our assertion cannot be signed: %w", err)
		}
		form.Set("client_id", c.ClientID) // RFC 7521, section 4.2: optional, but some look for it
		form.Set("client_assertion_type", "urn:ietf:params:oauth:client-assertion-type:jwt-bearer")
		form.Set("client_assertion", assertion)
	case AuthBearer:
		header.Set("Authorization", "Bearer "+c.BearerToken)
	}
	return nil
}
