package ssf

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/portcullis-auth/portcullis"
	"github.com/portcullis-auth/portcullis/internal/askhttp"
	"github.com/portcullis-auth/portcullis/internal/jws"
	"github.com/portcullis-auth/portcullis/internal/strictjson"
)

// A refusal says what is wrong with a SET (RFC 8935, section 2.4). The
// transmitter gets to read it: its words are ours alone, never those of the SET.
type refusal struct {
	Code        string `json:"err"`
	Description string `json:"description"`
}

func (r *refusal) Error() string { return r.Description }

func invalid(description string) error { return &refusal{"invalid_request", description} }

// An event is what a verified SET tells of.
type event struct {
	id       string // the SET's "jti"
	kind     string // its URI; "": none that we know
	members  map[string]json.RawMessage
	subject  json.RawMessage // nil: there is none
	happened time.Time
}

// setTypes is the "typ" of SETs. SSF requires it (SSF 1.0, section 4.1.1), so
// that no other token of the issuer passes for one (RFC 8725, section 3.11).
var setTypes = []string{"secevent+jwt"}

// verify checks a SET by RFC 8417 and SSF 1.0, section 4. The error is a refusal
// for what is not one, another error if we cannot tell.
func (r *Receiver) verify(ctx context.Context, token string) (*event, error) {
	// J5: the size, before any work.
	if err := askhttp.CheckToken(token); err != nil {
		return nil, invalid("not a SET: " + err.Error())
	}

	// J1, J4, J5: the form, and the header.
	t, err := jws.Parse(token, r.config.Algorithms, setTypes)
	if err != nil {
		return nil, invalid("not a SET: " + err.Error())
	}

	// J4: types as they should be.
	id, err := portcullis.ParseClaims(t.Payload)
	if err != nil {
		return nil, invalid("a claim is of the wrong type")
	}

	// J2: the issuer and the audience, exactly. No signature can save a SET that
	// is not for us, and who misdirects one is to learn more than "no such key".
	if id.Issuer != r.config.Issuer {
		return nil, &refusal{"invalid_issuer", `"iss" is not the issuer configured`}
	}
	if !t.For(r.config.Audience) {
		return nil, &refusal{"invalid_audience", `"aud" does not name us`}
	}

	// J3: the signature, by a key of the issuer that is for this algorithm.
	err = t.Verify(ctx, r.keys)
	switch {
	case errors.Is(err, jws.ErrNoKey):
		return nil, &refusal{"invalid_key", err.Error()}
	case errors.Is(err, jws.ErrSignature):
		return nil, &refusal{"authentication_failed", err.Error()}
	case err != nil:
		return nil, fmt.Errorf("%w: %w", portcullis.ErrUnavailable, err)
	}

	// No other token (RFC 8417, sections 4.5 to 4.7; SSF 1.0, section 4.1.3).
	for _, name := range []string{"exp", "nonce", "sub"} {
		if _, ok := t.Claims[name]; ok {
			return nil, invalid(`"` + name + `" is not for SETs`)
		}
	}

	// RFC 8417, section 2.2: what every SET has. How old it may be is not bounded:
	// see the package.
	switch {
	case id.TokenID == "":
		return nil, invalid(`"jti" is missing`)
	case id.IssuedAt.IsZero():
		return nil, invalid(`"iat" is missing`)
	case id.IssuedAt.After(time.Now().Add(r.config.Leeway)):
		return nil, invalid(`"iat" is in the future`)
	}
	e := &event{id: id.TokenID, happened: id.IssuedAt, subject: t.Claims["sub_id"]}
	if err := r.event(e, t.Claims["events"]); err != nil {
		return nil, err
	}
	return e, nil
}

// event reads "events" (RFC 8417, section 2.2; SSF 1.0, section 4.2.1).
func (r *Receiver) event(e *event, raw json.RawMessage) error {
	events, err := strictjson.Object(raw)
	if err != nil || len(events) == 0 {
		return invalid(`"events" is not an object with an event`)
	}
	for kind, payload := range events {
		members, err := strictjson.Object(payload)
		if err != nil {
			return invalid("an event is not an object")
		}
		if _, ok := r.config.Actions[kind]; !ok && kind != verification && kind != streamUpdated {
			continue
		}
		if e.kind != "" { // which of them would the subject be for?
			return invalid("more than one event that we know")
		}
		e.kind, e.members = kind, members
	}
	// CAEP 1.0, section 2: when it happened. What isn't a time before the SET's
	// is not worth losing a revocation for: the SET's own ends no less.
	if at, ok := seconds(e.members["event_timestamp"]); ok && at.Before(e.happened) {
		e.happened = at
	}
	if e.subject == nil { // SSF's drafts had it there
		e.subject = e.members["subject"]
	}
	return nil
}

const year9999 = 253402300799

// seconds reads a time after 1970 (RFC 7519, section 2).
func seconds(raw json.RawMessage) (time.Time, bool) {
	var s float64
	if json.Unmarshal(raw, &s) != nil || s <= 0 || s > year9999 {
		return time.Time{}, false
	}
	return time.Unix(int64(s), 0), true // tokens state whole seconds too
}
