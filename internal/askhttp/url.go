package askhttp

import (
	"errors"
	"net"
	"net/url"
	"strings"
)

// CheckURL parses an absolute URL that tokens and credentials may be sent to:
// https; http only to a loopback host, or to any where plain is set. The error
// doesn't quote it.
func CheckURL(raw string, plain bool) (*url.URL, error) {
	if raw == "" {
		return nil, errors.New("URL is missing")
	}
	u, err := url.Parse(raw)
	switch {
	case err != nil:
		return nil, errors.New("URL cannot be parsed")
	case u.Scheme != "https" && u.Scheme != "http" || u.Hostname() == "":
		return nil, errors.New("URL must be of the form https://host/path")
	case u.User != nil:
		return nil, errors.New("URL must not hold credentials")
	case strings.Contains(raw, "#"):
		return nil, errors.New("URL must not have a fragment")
	case u.Scheme == "http" && !plain && !loopback(u.Hostname()):
		return nil, errors.New("URL must be https, since its host is not loopback; " +
			"InsecurePlainHTTP permits http in networks that nobody else can read")
	}
	return u, nil
}

// loopback reports whether host can only be this machine. The name localhost
// always is (RFC 6761, section 6.3).
func loopback(host string) bool {
	if strings.EqualFold(host, "localhost") {
		return true
	}
	ip := net.ParseIP(host)
	return ip != nil && ip.IsLoopback()
}
