package config

import (
	"net/url"
	"strconv"
	"strings"
)

// urlChecks are what the tag check names, for URLs. Nothing says what a URL is:
// it may hold a password.
var urlChecks = map[string]func(*url.URL) (problem, fix string){
	"backend":  checkBackend,
	"endpoint": func(*url.URL) (problem, fix string) { return "", "" },
}

// parseURL reads an http or https URL without user, password and fragment.
func parseURL(s string) (u *url.URL, problem, fix string) {
	const how = "write it as https://host/path"
	u, err := url.Parse(s)
	switch {
	case err != nil:
		return nil, "is not a URL", how
	case u.Scheme == "ws" || u.Scheme == "wss":
		return nil, "is a URL with " + u.Scheme, "write http" + u.Scheme[2:] + ": sockets begin as HTTP"
	case u.Scheme != "http" && u.Scheme != "https":
		return nil, "is not a URL with http or https", how
	case u.Opaque != "" || u.Hostname() == "":
		return nil, "has no host", how
	case u.User != nil:
		return nil, "holds a user name or password", "remove it"
	case strings.Contains(s, "#"):
		return nil, "has a fragment (#)", "remove it"
	case !isIP(u.Hostname()) && !isHostname(u.Hostname()):
		return nil, "has no valid host", how
	case !validPort(u):
		return nil, "has no valid port", "write a number from 1 to 65535, or leave the colon away"
	}
	return u, "", ""
}

func validPort(u *url.URL) bool {
	if u.Port() == "" {
		return !strings.HasSuffix(u.Host, ":")
	}
	n, err := strconv.ParseUint(u.Port(), 10, 16)
	return err == nil && n > 0 && strconv.FormatUint(n, 10) == u.Port()
}

func checkBackend(u *url.URL) (problem, fix string) {
	switch {
	case u.Path == "/" && u.RawQuery == "" && !u.ForceQuery:
		return "has a path", "remove the final slash"
	case u.Path != "":
		return "has a path", "remove it: the path of the request stays as it is"
	case u.RawQuery != "" || u.ForceQuery:
		return "has a query", "remove it"
	}
	return "", ""
}

// checkIssuer is for an issuer that has an OpenID Provider's configuration below
// it (OpenID Connect Discovery 1.0, section 3). It stays text: the iss of a
// token must be the same letter by letter.
func checkIssuer(s string) (problem, fix string) {
	_, problem, fix = parseURL(s)
	if problem == "" && strings.Contains(s, "?") {
		return "has a query", "remove it"
	}
	return problem, fix
}

// subject stands in a user's URL for the subject.
const subject = "{sub}"

// checkUserURL is for a URL that may hold {sub} in its path and query.
func checkUserURL(s string) (problem, fix string) {
	bare := strings.ReplaceAll(s, subject, "sub")
	u, problem, fix := parseURL(bare)
	switch {
	case problem != "":
		return problem, fix
	case strings.ContainsAny(bare, "{}"):
		return "holds braces that aren't {sub}", "write {sub} where the subject belongs"
	case strings.Count(s, subject) > 1:
		return "holds {sub} twice", "remove one of them"
	case strings.Contains(s[:len(u.Scheme)+len("://")+len(u.Host)], "{"):
		return "holds {sub} in its host", "move it into the path or the query"
	}
	return "", ""
}

// checkOrigin wants an origin as browsers send it (RFC 6454, section 6.2), since
// it will be compared letter by letter (W3). Some apps have schemes of their
// own.
func checkOrigin(s string) (problem, fix string) {
	const how = "write it as browsers send it, as in https://app.example.com"
	switch {
	case s == "null":
		return "null is every sandboxed page's origin", "list the real one"
	case strings.Contains(s, "*"):
		return "holds a *", "list each origin"
	}
	u, err := url.Parse(s)
	switch {
	case err != nil || u.Scheme == "" || u.Opaque != "" || u.Hostname() == "":
		return "is not an origin", how
	case u.Path == "/" && strings.HasSuffix(s, "/"):
		return "ends with a slash", "remove it"
	case u.Path != "" || u.User != nil || strings.ContainsAny(s, "?#"):
		return "is more than an origin", "write the scheme, the host and perhaps the port, nothing else"
	case strings.ToLower(s) != s:
		return "has capital letters", "write it in lower case"
	case !isIP(u.Hostname()) && !isHostname(u.Hostname()) || !validPort(u):
		return "is not an origin", how
	case u.Scheme == "https" && u.Port() == "443", u.Scheme == "http" && u.Port() == "80":
		return "names the scheme's own port", "remove it: browsers do not send it"
	case u.Scheme == "ws" || u.Scheme == "wss":
		return "is a URL with " + u.Scheme, "write http" + u.Scheme[2:] + ": it is the page's origin, not the socket's"
	}
	return "", ""
}
