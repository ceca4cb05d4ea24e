package issuer

import (
	"net/http"
	"net/url"
	"strings"
)

// guardOrigin lets pages of the application, which are on another port and so of another
// origin, call next with cookies, and nobody else (CORS and CSRF).
func guardOrigin(appOrigin string, next http.Handler) (http.Handler, error) {
	csrf := http.NewCrossOriginProtection()
	if err := csrf.AddTrustedOrigin(appOrigin); err != nil {
		return nil, err
	}
	next = csrf.Handler(next)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Add("Vary", "Origin")
		trusted := r.Header.Get("Origin") == appOrigin
		if trusted {
			h.Set("Access-Control-Allow-Origin", appOrigin)
			h.Set("Access-Control-Allow-Credentials", "true")
		}
		if r.Method == http.MethodOptions {
			if !trusted {
				http.Error(w, "origin not allowed", http.StatusForbidden)
				return
			}
			h.Set("Access-Control-Allow-Methods", "POST")
			h.Set("Access-Control-Allow-Headers", "Accept, Content-Type")
			w.WriteHeader(http.StatusNoContent)
			return
		}
		next.ServeHTTP(w, r)
	}), nil
}

// returnTo is where the browser goes afterwards: a page of the application, or its start
// page if the request does not say. It reports false for any other place.
func (a *app) returnTo(r *http.Request) (string, bool) {
	raw := r.FormValue("return_to")
	// Browsers take a backslash for a slash, and drop tabs and newlines: what they would
	// make of such a URL is not what url.Parse sees.
	if strings.ContainsFunc(raw, func(c rune) bool { return c == '\\' || c <= ' ' || c == 0x7f }) {
		return "", false
	}
	u, err := url.Parse(raw)
	if err != nil {
		return "", false
	}
	u = a.appURL.ResolveReference(u)
	if u.Scheme != a.appURL.Scheme || !strings.EqualFold(u.Host, a.appURL.Host) || u.User != nil || u.Opaque != "" {
		return "", false
	}
	return u.String(), true
}

// wantsPage tells a browser that navigates from a script that calls.
func wantsPage(r *http.Request) bool {
	switch r.Header.Get("Sec-Fetch-Mode") {
	case "navigate":
		return true
	case "":
		return strings.Contains(r.Header.Get("Accept"), "text/html")
	}
	return false
}
