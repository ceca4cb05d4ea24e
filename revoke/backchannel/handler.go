package backchannel

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"mime"
	"net/http"
	"net/url"
	"time"

	"github.com/portcullis-auth/portcullis"
)

const (
	maxBody       = 64 << 10         // bytes of a request
	bodyTimeout   = 10 * time.Second // for a request to arrive
	revokeTimeout = 10 * time.Second // for Revoke
	retryAfter    = "10"             // seconds, with 503
)

// A badToken says what is wrong with a request. The sender gets to read it:
// its words are ours alone, never those of the token.
type badToken string

func (b badToken) Error() string { return string(b) }

// ServeHTTP answers a logout request (section 2.5) as section 2.8 has it.
func (r *Receiver) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	serve(w, req, r.config.Log, func(string) (*Receiver, error) { return r, nil })
}

// serve has the Receiver that pick names for the logout token carry it out. log
// is for requests without one.
func serve(w http.ResponseWriter, req *http.Request, log *slog.Logger, pick func(token string) (*Receiver, error)) {
	w.Header().Set("Cache-Control", "no-store")
	if req.Method != http.MethodPost {
		w.Header().Set("Allow", http.MethodPost)
		refuse(w, http.StatusMethodNotAllowed, "logout tokens come by POST")
		return
	}
	token, err := tokenOf(w, req)
	var r *Receiver
	if err == nil {
		r, err = pick(token)
	}
	var logout *logout
	if err == nil {
		log = r.config.Log.With("iss", r.config.Issuer)
		logout, err = r.accept(req.Context(), token)
	}
	var bad badToken
	switch {
	case errors.As(err, &bad):
		log.WarnContext(req.Context(), "logout token refused", "reason", string(bad))
		refuse(w, http.StatusBadRequest, string(bad))
	case err != nil:
		log.ErrorContext(req.Context(), "logout not carried out", "error", err)
		w.Header().Set("Retry-After", retryAfter)
		refuse(w, http.StatusServiceUnavailable, "the logout cannot be carried out now, try again")
	default:
		log.InfoContext(req.Context(), "logout", "sub", logout.subject, "sid", logout.sessionID, "jti", logout.id)
		w.WriteHeader(http.StatusOK)
	}
}

// accept carries out the logout that the token asks for.
func (r *Receiver) accept(ctx context.Context, token string) (*logout, error) {
	l, err := r.verify(ctx, token)
	if err != nil {
		return nil, err
	}
	// Two requests with one token may both pass here: the second repeats what
	// the first does.
	if r.used.has(l.id, time.Now()) {
		return nil, badToken("this logout token has been used")
	}
	// What the issuer has ordered is done, also if it hangs up.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), revokeTimeout)
	defer cancel()
	for _, revocation := range r.revocations(l, time.Now()) {
		if err := r.config.Revoke(ctx, revocation); err != nil {
			return nil, err
		}
	}
	// Only now, so that the issuer can repeat what failed.
	r.used.add(l.id, time.Now(), l.issuedAt.Add(r.config.MaxAge+r.config.Leeway))
	return l, nil
}

// revocations says what a logout ends. All that is set in a Revocation must
// match.
func (r *Receiver) revocations(l *logout, now time.Time) []portcullis.Revocation {
	var list []portcullis.Revocation
	if l.sessionID != "" {
		// Without the subject, even if there is one: the session id is unique
		// with its issuer (section 2.1), so the subject could not widen the
		// match, but miss tokens that state it in another form (pairwise
		// identifiers). No token of the session is spared, however new.
		list = append(list, portcullis.Revocation{Issuer: l.issuer, SessionID: l.sessionID})
	}
	if l.sessionID == "" || r.config.BySubject && l.subject != "" {
		// All sessions of the user, those of after the logout not (section
		// 2.7). The later of the two clocks decides: by the issuer's alone, a
		// token without "iat" that we saw first between logout and delivery
		// would be spared, by ours alone, one of an issuer whose clock is
		// ahead. The price: who logged in again while the issuer was still
		// trying to deliver must do it once more.
		before := now
		if l.issuedAt.After(before) {
			before = l.issuedAt
		}
		list = append(list, portcullis.Revocation{Issuer: l.issuer, Subject: l.subject, IssuedBefore: before})
	}
	return list
}

// tokenOf takes the logout token out of the form in req's body. The URL's query
// is no place for it (section 2.5).
func tokenOf(w http.ResponseWriter, req *http.Request) (string, error) {
	media, _, err := mime.ParseMediaType(req.Header.Get("Content-Type"))
	if err != nil || media != "application/x-www-form-urlencoded" {
		return "", badToken("the Content-Type is not application/x-www-form-urlencoded")
	}
	// L1, whatever the server's own limits are; where it can't be set, those
	// have to do. net/http lifts it when the body has been read.
	_ = http.NewResponseController(w).SetReadDeadline(time.Now().Add(bodyTimeout))
	body, err := io.ReadAll(http.MaxBytesReader(w, req.Body, maxBody))
	if err != nil {
		return "", badToken("the request's body is too large, or did not come whole")
	}
	form, err := url.ParseQuery(string(body))
	if err != nil || len(form["logout_token"]) != 1 {
		return "", badToken("the form must have one logout_token")
	}
	return form.Get("logout_token"), nil
}

// refuse writes an error as section 2.8 has it.
func refuse(w http.ResponseWriter, status int, description string) {
	code := "invalid_request"
	if status == http.StatusServiceUnavailable {
		code = "temporarily_unavailable"
	}
	body, _ := json.Marshal(map[string]string{"error": code, "error_description": description})
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_, _ = w.Write(append(body, '\n'))
}
