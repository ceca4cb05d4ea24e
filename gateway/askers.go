package gateway

import (
	"net/url"
	"time"

	"github.com/portcullis-auth/portcullis"
	"github.com/portcullis-auth/portcullis/gateway/config"
	"github.com/portcullis-auth/portcullis/verify/httpcheck"
	"github.com/portcullis-auth/portcullis/verify/introspect"
	"github.com/portcullis-auth/portcullis/verify/jwt"
	"github.com/portcullis-auth/portcullis/verify/userinfo"
)

// text returns a URL as text; nil: "".
func text(u *url.URL) string {
	if u == nil {
		return ""
	}
	return u.String()
}

func newIntrospection(c *config.Introspection) (portcullis.Verifier, error) {
	v := introspect.Config{
		URL: text(c.URL), Issuer: c.Issuer, ClientID: c.ClientID, JWKSURL: text(c.JWKSURL),
		SignedResponse: introspect.SignedResponse(c.SignedAnswers),
		Timeout:        c.Timeout, InsecurePlainHTTP: c.InsecurePlainHTTP,
	}
	switch secret := c.ClientSecret.Reveal(); c.ClientAuth {
	case "bearer":
		v.BearerToken = secret
	case "private_key_jwt":
		key, err := introspect.ParseClientKey([]byte(c.ClientKey.Reveal()))
		if err != nil {
			return nil, err
		}
		if c.ClientKeyID != "" {
			key.KeyID = c.ClientKeyID
		}
		if c.ClientKeyAlg != "" {
			key.Algorithm = c.ClientKeyAlg
		}
		v.ClientKey = key
	case "post":
		v.ClientSecret, v.Auth = secret, introspect.AuthPost
	default:
		v.ClientSecret, v.Auth = secret, introspect.AuthBasic
	}
	return introspect.New(v)
}

func newJWT(c *config.JWT, leeway time.Duration) (portcullis.Verifier, error) {
	return jwt.New(jwt.Config{
		Issuer: c.Issuer, JWKSURL: text(c.JWKSURL), Keys: c.Keys,
		Audience: c.Audience, Types: c.Types, Algorithms: c.Algorithms,
		Leeway:   max(leeway, time.Minute), // as far as the Guard, which has the last word about "exp"
		Cooldown: c.Cooldown, Timeout: c.Timeout, InsecurePlainHTTP: c.InsecurePlainHTTP,
	})
}

func newHTTPCheck(c *config.HTTPCheck) (portcullis.Verifier, error) {
	v := httpcheck.Config{
		URL: text(c.URL), Method: c.Method,
		SecretHeader: c.SecretHeader, Secret: c.Secret.Reveal(), Issuer: c.Issuer,
		Valid: c.Fields.Valid, Subject: c.Fields.Subject, Expiry: c.Fields.Expiry, IssuedAt: c.Fields.IssuedAt,
		SessionID: c.Fields.SessionID, TokenID: c.Fields.TokenID, ClientID: c.Fields.ClientID, Scopes: c.Fields.Scopes,
		CacheHeaders: c.CacheHeaders, Timeout: c.Timeout, InsecurePlainHTTP: c.InsecurePlainHTTP,
	}
	switch c.TokenIn.In {
	case "header":
		v.Header = c.TokenIn.Name
	case "cookie":
		v.Cookie = c.TokenIn.Name
	case "form", "json":
		v.BodyField, v.BodyFormat = c.TokenIn.Name, httpcheck.BodyFormat(c.TokenIn.In)
	}
	return httpcheck.New(v)
}

func newUserinfo(c *config.Userinfo, v portcullis.Verifier) (*userinfo.Verifier, error) {
	return userinfo.New(userinfo.Config{
		Verifier: v, URL: c.URL, BearerToken: c.Secret.Reveal(),
		OnFailure: userinfo.FailurePolicy(c.OnFailure), MaxAge: c.MaxAge,
		Timeout: c.Timeout, InsecurePlainHTTP: c.InsecurePlainHTTP,
	})
}
