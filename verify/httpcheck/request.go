package httpcheck

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
)

// completeRequest sets what c leaves out of how to ask, and returns what is
// wrong with it.
func (c *Config) completeRequest() error {
	if c.Method == "" {
		c.Method = http.MethodGet
		if c.BodyField != "" {
			c.Method = http.MethodPost
		}
	}
	if c.BodyFormat == "" {
		c.BodyFormat = BodyForm
	}
	var carriers int
	for _, name := range []string{c.Header, c.Cookie, c.BodyField} {
		if name != "" {
			carriers++
		}
	}
	switch {
	case c.Method != http.MethodGet && c.Method != http.MethodPost:
		return errors.New("httpcheck: Method must be GET or POST")
	case carriers > 1:
		return errors.New("httpcheck: set one of Header, Cookie and BodyField, not several")
	case c.Header != "" && !canCarry(c.Header):
		return fmt.Errorf("httpcheck: Header %q cannot carry a token", c.Header)
	case c.Cookie != "" && !isName(c.Cookie):
		return fmt.Errorf("httpcheck: Cookie %q is not a cookie name", c.Cookie)
	case c.BodyField != "" && c.Method != http.MethodPost:
		return errors.New("httpcheck: BodyField needs Method POST")
	case c.BodyFormat != BodyForm && c.BodyFormat != BodyJSON:
		return fmt.Errorf("httpcheck: BodyFormat must be %q or %q", BodyForm, BodyJSON)
	case c.Secret == "" && c.SecretHeader != "":
		return errors.New("httpcheck: SecretHeader without Secret")
	case c.Secret == "":
		return nil
	}
	if c.SecretHeader == "" {
		c.SecretHeader, c.Secret = "Authorization", "Bearer "+c.Secret
	}
	switch {
	case !canCarry(c.SecretHeader):
		return fmt.Errorf("httpcheck: SecretHeader %q cannot carry a secret", c.SecretHeader)
	case http.CanonicalHeaderKey(c.SecretHeader) == c.tokenHeader():
		return errors.New("httpcheck: Secret and the token would be in one header")
	case strings.TrimSpace(c.Secret) != c.Secret || strings.ContainsFunc(c.Secret, isControl):
		// A file's last newline, most likely.
		return errors.New("httpcheck: Secret begins or ends with white space, or has control characters")
	}
	return nil
}

// tokenHeader is the header that the token goes into. "": it goes into the body.
func (c *Config) tokenHeader() string {
	switch {
	case c.Header != "":
		return http.CanonicalHeaderKey(c.Header)
	case c.Cookie != "":
		return "Cookie"
	case c.BodyField != "":
		return ""
	}
	return "Authorization"
}

// canCarry reports whether a header may carry something of ours.
func canCarry(header string) bool {
	return isName(header) && !taken[http.CanonicalHeaderKey(header)]
}

// taken are headers that net/http writes itself, or that the exchange depends
// on.
var taken = map[string]bool{
	"Accept": true, "Accept-Encoding": true, "Connection": true, "Content-Length": true, "Content-Type": true,
	"Expect": true, "Host": true, "Idempotency-Key": true, "Te": true, "Trailer": true, "Transfer-Encoding": true,
	"Upgrade": true,
}

// isName reports whether s is a token by RFC 9110, section 5.6.2, as the names
// of headers and cookies are.
func isName(s string) bool {
	return (&http.Cookie{Name: s}).Valid() == nil //nolint:gosec // it is never sent
}

func isControl(r rune) bool { return r < ' ' || r == 0x7f }

// request is the call about a token that is fit for the place it goes to.
func (v *Verifier) request(ctx context.Context, token string) (*http.Request, error) {
	c := &v.config
	var body, media string
	switch {
	case c.BodyField == "":
	case c.BodyFormat == BodyJSON:
		object, err := json.Marshal(map[string]string{c.BodyField: token})
		if err != nil {
			return nil, err
		}
		body, media = string(object), "application/json"
	default:
		body, media = url.Values{c.BodyField: {token}}.Encode(), "application/x-www-form-urlencoded"
	}
	req, err := http.NewRequestWithContext(ctx, c.Method, c.URL, strings.NewReader(body))
	if err != nil {
		return nil, err
	}
	switch {
	case c.BodyField != "":
		req.Header.Set("Content-Type", media)
	case c.Header != "":
		req.Header.Set(c.Header, token)
	case c.Cookie != "":
		req.Header.Set("Cookie", c.Cookie+"="+token)
	default:
		req.Header.Set("Authorization", "Bearer "+token)
	}
	if c.Secret != "" {
		req.Header.Set(c.SecretHeader, c.Secret)
	}
	return req, nil
}
