package gateway

import (
	"errors"
	"net/http"
	"net/url"
	"strings"

	"github.com/portcullis-auth/portcullis"
	"github.com/portcullis-auth/portcullis/gateway/config"
	"github.com/portcullis-auth/portcullis/internal/upgrade"
)

// A denier answers those who are refused, as [portcullis.Policy] has it.
type denier = func(w http.ResponseWriter, r *http.Request, err error)

// denial returns what answers those whom the Guard doesn't let through: page
// loads of those who could log in are sent there, all others get the status.
func denial(login config.LoginURL) denier {
	if login == "" {
		return portcullis.DenyStatus
	}
	page, _ := url.Parse(login.For("")) // config has checked it
	return func(w http.ResponseWriter, r *http.Request, err error) {
		isLogin := r.URL.Path == page.Path && (page.Host == "" || strings.EqualFold(r.Host, page.Host)) // it would loop
		if !isPageLoad(r) || !helpsLogin(err) || isLogin {
			portcullis.DenyStatus(w, r, err)
			return
		}
		w.Header().Set("Cache-Control", "no-store")
		http.Redirect(w, r, login.For(pageURL(r)), http.StatusSeeOther)
	}
}

// helpsLogin reports whether another token would help.
func helpsLogin(err error) bool {
	for _, e := range []error{portcullis.ErrNoToken, portcullis.ErrInvalid, portcullis.ErrExpired, portcullis.ErrRevoked} {
		if errors.Is(err, e) {
			return true
		}
	}
	return false
}

// isPageLoad reports whether a browser is going to show the answer as a page.
// Those that say so (Fetch Metadata) are believed.
func isPageLoad(r *http.Request) bool {
	if r.Method != http.MethodGet && r.Method != http.MethodHead || upgrade.Asked(r) {
		return false
	}
	if mode := r.Header.Get("Sec-Fetch-Mode"); mode != "" {
		return mode == "navigate"
	}
	return strings.Contains(r.Header.Get("Accept"), "text/html")
}
