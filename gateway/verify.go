package gateway

import (
	"errors"

	"github.com/portcullis-auth/portcullis"
	"github.com/portcullis-auth/portcullis/gateway/config"
	"github.com/portcullis-auth/portcullis/verify/httpcheck"
	"github.com/portcullis-auth/portcullis/verify/introspect"
)

// newVerifier returns what asks the configured token system.
func newVerifier(c *config.Verify) (portcullis.Verifier, error) {
	switch {
	case c.Introspection != nil:
		i := c.Introspection
		auth := introspect.AuthBasic
		if i.ClientAuth == "post" {
			auth = introspect.AuthPost
		}
		return introspect.New(introspect.Config{
			URL:      i.URL.String(),
			ClientID: i.ClientID, ClientSecret: i.ClientSecret.Reveal(), Auth: auth,
			Issuer: i.Issuer, Timeout: i.Timeout, InsecurePlainHTTP: i.InsecurePlainHTTP,
		})
	case c.HTTPCheck != nil:
		h := c.HTTPCheck
		check := httpcheck.Config{
			URL: h.URL.String(), Method: h.Method, Issuer: h.Issuer,
			Subject: h.Fields.Subject, Expiry: h.Fields.Expiry, SessionID: h.Fields.SessionID, Scopes: h.Fields.Scopes,
			Timeout: h.Timeout, InsecurePlainHTTP: h.InsecurePlainHTTP,
		}
		switch h.TokenIn.In {
		case "header":
			check.Header = h.TokenIn.Name
		case "cookie":
			check.Cookie = h.TokenIn.Name
		}
		return httpcheck.New(check)
	}
	return nil, errors.New("gateway: nobody to ask about tokens: set verify")
}
