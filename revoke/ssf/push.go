package ssf

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/json"
	"errors"
	"io"
	"mime"
	"net/http"
	"time"
)

const (
	maxBody     = 64 << 10         // bytes of a request
	bodyTimeout = 10 * time.Second // for a request to arrive
	retryAfter  = "10"             // seconds, with 503
)

var _ http.Handler = (*Receiver)(nil)

// ServeHTTP takes a SET that is pushed, and answers as RFC 8935, section 2, has
// it: 202, or 400 and why. 401 says that the Authorization is not the one
// configured, 503 that the SET should come again.
func (r *Receiver) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	w.Header().Set("Cache-Control", "no-store")
	if req.Method != http.MethodPost {
		w.Header().Set("Allow", http.MethodPost)
		refuse(w, http.StatusMethodNotAllowed, &refusal{"invalid_request", "SETs come by POST"})
		return
	}
	if !r.authorized(req) {
		r.config.Log.WarnContext(req.Context(), "push refused: it is not authorized", "iss", r.config.Issuer)
		w.Header().Set("WWW-Authenticate", "Bearer")
		refuse(w, http.StatusUnauthorized, &refusal{"authentication_failed", "the Authorization header is not the one agreed upon"})
		return
	}
	set, err := setOf(w, req)
	if err == nil {
		err = r.receive(req.Context(), set, "")
	}
	if err == nil {
		w.WriteHeader(http.StatusAccepted)
		return
	}
	if bad := r.failed(req.Context(), err); bad != nil {
		refuse(w, http.StatusBadRequest, bad)
		return
	}
	w.Header().Set("Retry-After", retryAfter)
	w.WriteHeader(http.StatusServiceUnavailable)
}

// failed logs why a SET was not carried out, and returns the refusal if it was
// one.
func (r *Receiver) failed(ctx context.Context, err error) *refusal {
	var bad *refusal
	if errors.As(err, &bad) {
		r.config.Log.WarnContext(ctx, "SET refused", "iss", r.config.Issuer, "err", bad.Code, "reason", bad.Description)
	} else {
		r.config.Log.ErrorContext(ctx, "SET not carried out", "iss", r.config.Issuer, "error", err)
	}
	return bad
}

// authorized compares in a time that tells nothing of what is right.
func (r *Receiver) authorized(req *http.Request) bool {
	if r.config.Authorization == "" {
		return true
	}
	got := req.Header.Values("Authorization")
	if len(got) != 1 {
		return false
	}
	a, b := sha256.Sum256([]byte(got[0])), sha256.Sum256([]byte(r.config.Authorization))
	return subtle.ConstantTimeCompare(a[:], b[:]) == 1
}

// setOf takes the SET that is req's body (RFC 8935, section 2.1).
func setOf(w http.ResponseWriter, req *http.Request) (string, error) {
	media, _, err := mime.ParseMediaType(req.Header.Get("Content-Type"))
	if err != nil || media != "application/secevent+jwt" {
		return "", invalid("the Content-Type is not application/secevent+jwt")
	}
	// L1, whatever the server's own limits are; where it can't be set, those
	// have to do. net/http lifts it when the body has been read.
	_ = http.NewResponseController(w).SetReadDeadline(time.Now().Add(bodyTimeout))
	body, err := io.ReadAll(http.MaxBytesReader(w, req.Body, maxBody))
	if err != nil {
		return "", invalid("the request's body is too large, or did not come whole")
	}
	return string(body), nil
}

// refuse writes an error as RFC 8935, section 2.3, has it.
func refuse(w http.ResponseWriter, status int, why *refusal) {
	body, _ := json.Marshal(why) // two strings
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Content-Language", "en")
	w.WriteHeader(status)
	_, _ = w.Write(append(body, '\n'))
}
