package admin

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"time"

	"github.com/portcullis-auth/portcullis"
	"github.com/portcullis-auth/portcullis/internal/strictjson"
)

// maxBody bounds what is read of a request, in bytes.
const maxBody = 64 << 10

// clockSkew is how much the operator's clock may be ahead of ours.
const clockSkew = time.Minute

// errEnded is why a session that the operator names ends.
var errEnded = fmt.Errorf("%w by the operator", portcullis.ErrRevoked)

// An order is what is to end: what a Revocation names, or one session.
type order struct {
	portcullis.Revocation
	Session string `json:"session"` // a handle
}

// revoke ends what the body names. By the time it answers, that has happened.
func (a *api) revoke(w http.ResponseWriter, r *http.Request) {
	raw, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
	if tooLarge := new(http.MaxBytesError); errors.As(err, &tooLarge) {
		problem(w, http.StatusRequestEntityTooLarge, "too_large", "a revocation is at most 64 KiB")
		return
	}
	var o order
	if err == nil {
		o, err = parseOrder(raw, time.Now())
	}
	switch {
	case err != nil:
		problem(w, http.StatusBadRequest, "not_a_revocation",
			`send an object of iss, sub, sid, jti, client_id, issued_before and until, as {"sub": "u-17"}, or of session alone: `+err.Error())
	case o.Session != "" && !a.Guard.EndSession(o.Session, errEnded):
		noSession(w)
	case o.Session != "":
		answer(w, map[string]any{"revoked": true, "ended": 1, "durable": false})
	case a.Guard.Revoke(r.Context(), o.Revocation) != nil:
		w.Header().Set("Retry-After", "1")
		problem(w, http.StatusServiceUnavailable, "not_durable", "revoked on this node, but not stored: try again")
	default:
		answer(w, map[string]any{"revoked": true, "durable": a.Guard.Store != nil})
	}
}

// orderMembers are the members that an order may have.
var orderMembers = []string{"iss", "sub", "sid", "jti", "client_id", "issued_before", "until", "session"}

// parseOrder reads an order that can be what was meant. It reads like a
// checklist.
func parseOrder(raw []byte, now time.Time) (o order, err error) {
	members, err := strictjson.Object(raw)
	if err != nil {
		return o, err
	}
	for name, value := range members { // letter by letter: encoding/json would take Sub for sub
		if !slices.Contains(orderMembers, name) {
			return o, fmt.Errorf("unknown member %q", name)
		}
		if v := string(value); v == `""` || v == "null" { // would be left out, so that more ends than was meant
			return o, fmt.Errorf("%s is empty", name)
		}
	}
	if err := json.Unmarshal(raw, &o); err != nil {
		return o, err
	}
	switch {
	case o.Session != "" && len(members) > 1:
		return o, errors.New("session stands alone")
	case o.Session == "" && o.IsZero():
		return o, errors.New("it names nothing")
	case o.IssuedBefore.After(now.Add(clockSkew)):
		return o, errors.New("issued_before is in the future: who may come in is the token system's matter")
	case !o.Until.IsZero() && !o.Until.After(now):
		return o, errors.New("until is over: it would be forgotten at once")
	}
	return o, nil
}
