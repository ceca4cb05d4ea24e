package portcullis

import (
	"errors"
	"time"
)

// A Revocation names authorizations to end, and to refuse from now on: those
// in which every field that is set here is equal. One that names nothing is an
// error, not everything.
type Revocation struct {
	Issuer    string `json:"iss,omitempty"`
	Subject   string `json:"sub,omitempty"`
	SessionID string `json:"sid,omitempty"`
	TokenID   string `json:"jti,omitempty"`
	ClientID  string `json:"client_id,omitempty"`

	// IssuedBefore spares tokens issued after it, so that the user can log in
	// again. Tokens state their time in whole seconds; those of the same
	// second are not spared. Zero: now, if neither SessionID nor TokenID is
	// set; with one of them no token is spared.
	IssuedBefore time.Time `json:"issued_before,omitzero"`

	// Until is when the Revocation may be forgotten, because every token that
	// it names has expired by then. Zero: after Guard.MaxSession, or the
	// longest lifetime of any token that the Guard has seen, if that is longer.
	Until time.Time `json:"until,omitzero"`
}

// errEmptyRevocation is for a Revocation that would end everybody.
var errEmptyRevocation = errors.New("portcullis: revocation names nothing: set iss, sub, sid, jti or client_id")

// errRevocationOver is for one that would be forgotten at once.
var errRevocationOver = errors.New("portcullis: revocation is over already: until must be in the future")

// IsZero reports whether r names nothing; Guard.Revoke refuses it then.
func (r *Revocation) IsZero() bool {
	return r.Issuer == "" && r.Subject == "" && r.SessionID == "" && r.TokenID == "" && r.ClientID == ""
}

// matches reports whether r ends the authorization that id stands for; issued
// is when its token was issued, or counts as issued, in Unix seconds.
func (r *Revocation) matches(id *Identity, issued int64) bool {
	same := func(want, got string) bool { return want == "" || want == got }
	return same(r.TokenID, id.TokenID) &&
		same(r.SessionID, id.SessionID) &&
		same(r.Subject, id.Subject) &&
		same(r.ClientID, id.ClientID) &&
		same(r.Issuer, id.Issuer) &&
		(r.IssuedBefore.IsZero() || issued <= r.IssuedBefore.Unix())
}

// completed returns r with its zero times replaced by what they stand for.
func (r Revocation) completed(now time.Time, lifetime time.Duration) (Revocation, error) {
	if r.IsZero() {
		return r, errEmptyRevocation
	}
	if r.IssuedBefore.IsZero() && r.SessionID == "" && r.TokenID == "" {
		r.IssuedBefore = now
	}
	if r.Until.IsZero() {
		r.Until = now.Add(lifetime)
	}
	return r, nil
}
