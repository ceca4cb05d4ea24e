package portcullis

import (
	"errors"
	"net/http"
)

func (p *Policy) deny(w http.ResponseWriter, r *http.Request, err error) {
	if p.Deny != nil {
		p.Deny(w, r, err)
		return
	}
	DenyStatus(w, r, err)
}

// DenyStatus answers a refused request with 401 and WWW-Authenticate (RFC 6750,
// section 3), 403, 429, or, when we cannot tell, 503, and one line of text. The
// last two come with Retry-After; for 429 the one that is there already.
func DenyStatus(w http.ResponseWriter, _ *http.Request, err error) {
	h := w.Header()
	h.Set("Cache-Control", "no-store")
	status, text := http.StatusUnauthorized, "token not valid"
	switch {
	case errors.Is(err, ErrUnavailable), errors.Is(err, ErrShutdown): // whatever else err says
		status, text = http.StatusServiceUnavailable, "cannot check the token now"
		h.Set("Retry-After", "5")
	case errors.Is(err, ErrLimit):
		status, text = http.StatusTooManyRequests, "too many requests"
		if h.Get("Retry-After") == "" {
			h.Set("Retry-After", "1")
		}
	case errors.Is(err, ErrForbidden):
		status, text = http.StatusForbidden, "not allowed"
	case errors.Is(err, ErrNoToken):
		text = "no token"
		h.Set("WWW-Authenticate", "Bearer")
	case errors.Is(err, ErrExpired):
		text = "token expired"
	case errors.Is(err, ErrRevoked):
		text = "session revoked"
	case errors.Is(err, ErrInvalid):
	default:
		status, text = http.StatusServiceUnavailable, "cannot check the token now"
		h.Set("Retry-After", "5")
	}
	if status == http.StatusUnauthorized && h.Get("WWW-Authenticate") == "" {
		h.Set("WWW-Authenticate", `Bearer error="invalid_token", error_description="`+text+`"`)
	}
	http.Error(w, text, status)
}
