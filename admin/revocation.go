package admin

import (
	"bytes"
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

// revoke ends what the body names. By the time it answers, that has happened.
func (c Config) revoke(w http.ResponseWriter, r *http.Request) {
	raw, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
	if tooLarge := new(http.MaxBytesError); errors.As(err, &tooLarge) {
		problem(w, http.StatusRequestEntityTooLarge, "too_large", "a revocation is at most 64 KiB")
		return
	}
	var rev portcullis.Revocation
	if err == nil {
		rev, err = parseRevocation(raw, time.Now())
	}
	if err != nil {
		problem(w, http.StatusBadRequest, "not_a_revocation",
			`send an object of iss, sub, sid, jti, client_id, issued_before and until, as {"sub": "u-17"}: `+err.Error())
		return
	}
	if err := c.Guard.Revoke(r.Context(), rev); err != nil {
		w.Header().Set("Retry-After", "1")
		problem(w, http.StatusServiceUnavailable, "not_durable", "revoked on this node, but not stored: try again")
		return
	}
	answer(w, map[string]any{"revoked": true, "durable": c.Guard.Store != nil})
}

// names are the members that name what ends.
var names = []string{"iss", "sub", "sid", "jti", "client_id"}

// parseRevocation reads a revocation that can be what was meant. It reads like
// a checklist.
func parseRevocation(raw []byte, now time.Time) (rev portcullis.Revocation, err error) {
	members, err := strictjson.Object(raw)
	if err != nil {
		return rev, err
	}
	for name, value := range members { // letter by letter: encoding/json would take Sub for sub
		if !slices.Contains(names, name) && name != "issued_before" && name != "until" {
			return rev, fmt.Errorf("unknown member %q", name)
		}
		if v := string(value); v == `""` || v == "null" { // would be left out, so that more ends than was meant
			return rev, fmt.Errorf("%s is empty", name)
		}
	}
	if err := json.NewDecoder(bytes.NewReader(raw)).Decode(&rev); err != nil {
		return rev, err
	}
	switch {
	case rev.IsZero():
		return rev, errors.New("it names nothing")
	case rev.IssuedBefore.After(now.Add(clockSkew)):
		return rev, errors.New("issued_before is in the future: who may come in is the token system's matter")
	case !rev.Until.IsZero() && !rev.Until.After(now):
		return rev, errors.New("until is over: it would be forgotten at once")
	}
	return rev, nil
}
