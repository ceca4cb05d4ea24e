package portcullis

import (
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
)

// An originError is ErrForbidden for a page of another origin, which is told
// nothing else.
type originError string

func (e originError) Error() string { return ErrForbidden.Error() + ": " + string(e) }
func (originError) Unwrap() error   { return ErrForbidden }

// checkOrigin refuses handshakes that pages of other origins make. Without an
// Origin it was no browser that made it, which is fine, unless the token came
// in a cookie: nobody but browsers needs that, so something hides the Origin.
func (p *Policy) checkOrigin(r *http.Request, found found) error {
	origins := r.Header["Origin"]
	switch len(origins) {
	case 0:
		inCookie := func(line string) bool { return strings.Contains(line, found.token) }
		if found.token != "" && (found.byCookie || slices.ContainsFunc(r.Header["Cookie"], inCookie)) {
			return originError("a WebSocket by cookie needs an Origin header; clients that aren't browsers send a bearer token")
		}
		return nil
	case 1:
	default:
		return originError("several Origin headers")
	}
	got, err := canonicalOrigin(origins[0])
	if err != nil {
		return originError(fmt.Sprintf("Origin %q: %v", origins[0], err))
	}
	scheme := "http"
	if r.TLS != nil {
		scheme = "https"
	}
	if own, err := canonicalOrigin(scheme + "://" + r.Host); err == nil && got == own {
		return nil
	}
	for _, o := range p.Origins {
		if listed, err := canonicalOrigin(o); err == nil && got == listed {
			return nil
		}
	}
	return originError(fmt.Sprintf("Origin %q is not among the origins; add it if its pages may open this socket", got))
}

// canonicalOrigin returns a web origin (RFC 6454, section 6.2) in lower case
// and without the scheme's default port.
func canonicalOrigin(s string) (string, error) {
	u, err := url.Parse(s)
	if err != nil {
		return "", fmt.Errorf("not a URL")
	}
	scheme, host := strings.ToLower(u.Scheme), strings.ToLower(u.Host)
	if scheme == "" || host == "" || u.User != nil || u.Path != "" || u.RawQuery != "" || u.Fragment != "" || u.ForceQuery {
		return "", fmt.Errorf("not of the form scheme://host[:port]")
	}
	switch scheme {
	case "http":
		host = strings.TrimSuffix(host, ":80")
	case "https":
		host = strings.TrimSuffix(host, ":443")
	}
	return scheme + "://" + host, nil
}
