package config

import (
	"net/url"
	"strings"
)

// A LoginURL is where a page load without a valid token is sent. "" is nowhere.
type LoginURL string

const pageMark = "{url}"

// For returns the URL for a page whose own URL is page: {url} stands for it,
// escaped. The page's URL must be without its token.
func (l LoginURL) For(page string) string {
	return strings.ReplaceAll(string(l), pageMark, url.QueryEscape(page))
}

func checkLogin(s string) (problem, fix string) {
	const how = "write an http or https URL, or a path, as in https://login.example.com/?return={url}"
	before, query, _ := strings.Cut(s, "?")
	switch {
	case strings.ContainsAny(before, "{}"):
		return "has {url} before its query", "put it behind a ?, as in /login?return={url}"
	case strings.ContainsAny(strings.ReplaceAll(query, pageMark, ""), "{}"):
		return "has braces around something else than url", "write {url}"
	case strings.ContainsAny(s, "\\# "):
		return "holds a backslash, a space or a #", how
	}
	u, err := url.Parse(strings.ReplaceAll(s, pageMark, "page"))
	switch {
	case err != nil:
		return "is not a URL", how
	case u.User != nil:
		return "holds a user name or password", "remove it"
	case u.Scheme == "" && u.Host == "" && strings.HasPrefix(s, "/") && !strings.HasPrefix(s, "//"):
		return "", ""
	case u.Scheme != "http" && u.Scheme != "https" || u.Hostname() == "" || u.Opaque != "":
		return "is not the URL of a page", how
	}
	return "", ""
}
