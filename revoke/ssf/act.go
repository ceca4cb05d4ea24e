package ssf

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"github.com/portcullis-auth/portcullis"
	"github.com/portcullis-auth/portcullis/internal/jws"
	"github.com/portcullis-auth/portcullis/internal/strictjson"
)

// actTimeout is for Revoke.
const actTimeout = 10 * time.Second

// receive checks a SET and does what it asks for. If it returns nil, the SET is
// to be acknowledged. The error is a refusal for what is not good and never will
// be; another error means that it may be later. key is under what name the SET
// came; "": none.
func (r *Receiver) receive(ctx context.Context, token, key string) error {
	e, err := r.verify(ctx, token)
	if err == nil && key != "" && key != e.id {
		err = invalid(`"jti" is not the name that the SET came under`)
	}
	if err != nil {
		return err
	}
	log := r.config.Log.With("iss", r.config.Issuer, "jti", e.id, "event", e.kind)
	// A SET that comes again is no error: the transmitter may not have heard that
	// it came (RFC 8935, section 2). Two at a time may both pass here: the second
	// repeats what the first does.
	if r.used.has(e.id) {
		log.DebugContext(ctx, "SET received again")
		return nil
	}
	// What the transmitter has ordered is done, also if it hangs up.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), actTimeout)
	defer cancel()
	if err := r.act(ctx, e, log); err != nil {
		return err
	}
	r.used.add(e.id) // only now, so that the transmitter can repeat what failed
	return nil
}

// act does what an event leads to.
func (r *Receiver) act(ctx context.Context, e *event, log *slog.Logger) error {
	switch e.kind {
	case "":
		log.WarnContext(ctx, "SET ignored: no event that we know")
		return nil
	case verification, streamUpdated:
		r.stream(ctx, e, log)
		return nil
	}
	action := r.config.Actions[e.kind]
	if action == Ignore {
		log.InfoContext(ctx, "SET ignored, as configured")
		return nil
	}
	t, err := r.target(e.subject)
	if err != nil {
		return err
	}
	if t.SessionID == "" && t.TokenID == "" { // of these no token is spared, however new
		t.IssuedBefore = e.happened
	}
	log = log.With("sub", t.Subject, "sid", t.SessionID, "tid", t.TokenID, "claims", len(t.claims))
	switch {
	case action == Recheck:
		n := r.config.Recheck(t.matches)
		log.InfoContext(ctx, "asking again about sessions", "sessions", n)
		return nil
	case len(t.claims) == 0:
		err = r.config.Revoke(ctx, t.Revocation)
	case r.config.End == nil:
		return invalid("the subject can only be matched by claims, which is not supported here")
	case !r.held.add(t, time.Now(), r.config.Hold):
		err = fmt.Errorf("%w: too many subjects are remembered already", portcullis.ErrUnavailable)
	default:
		// First remembered, then ended: see Check.
		err = r.end(ctx, t)
	}
	if err == nil {
		log.InfoContext(ctx, "revoked")
	}
	return err
}

// end ends the live sessions of a target that is matched by claims. A user who is
// found by nothing but an e-mail address is revoked by the name that his tokens
// have for him, which is stored, and known to other nodes.
func (r *Receiver) end(ctx context.Context, t *target) error {
	alone := len(t.claims) == 1 && t.claims[0].name == "email" && t.SessionID == ""
	users := make(map[portcullis.Revocation]struct{})
	cause := fmt.Errorf("%w: by a security event", portcullis.ErrRevoked)
	r.config.End(cause, func(id *portcullis.Identity) bool {
		ends := t.ends(id)
		if ends && alone && id.Issuer != "" && id.Subject != "" {
			users[portcullis.Revocation{Issuer: id.Issuer, Subject: id.Subject, IssuedBefore: t.IssuedBefore}] = struct{}{}
		}
		return ends
	})
	for user := range users {
		if err := r.config.Revoke(ctx, user); err != nil {
			return err
		}
	}
	return nil
}

// Check returns an error that wraps [portcullis.ErrRevoked], and has ended the
// live sessions in question, if id is of somebody who was revoked by a subject
// that is matched by claims (see [Config]). It is to be asked about each session
// once it has been admitted, that is, in the handler behind the Guard: whichever
// comes first, the SET or the session, then finds the other. In Policy.Allow it
// would come too early. It costs little while nothing is remembered. A token
// without "iat" counts as issued before the event, so that its user cannot come
// back before Config.Hold is over.
func (r *Receiver) Check(ctx context.Context, id *portcullis.Identity) error {
	t := r.held.find(id, time.Now())
	if t == nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), actTimeout)
	defer cancel()
	if err := r.end(ctx, t); err != nil {
		r.config.Log.ErrorContext(ctx, "revoked, but not stored", "iss", r.config.Issuer, "error", err)
	}
	return fmt.Errorf("%w: by an earlier security event", portcullis.ErrRevoked)
}

// stream handles the events about the stream itself: their subject is the
// stream's id (SSF 1.0, sections 8.1.4.1 and 8.1.5).
func (r *Receiver) stream(ctx context.Context, e *event, log *slog.Logger) {
	subject, _ := strictjson.Object(e.subject)
	id, _ := jws.Text(subject["id"])
	if e.kind == streamUpdated {
		status, _ := jws.Text(e.members["status"])
		log.WarnContext(ctx, "the stream's status has changed", "stream", id, "status", status)
		return
	}
	// A state that nobody waits for is no error: another node may do so, or the
	// one who did has given up.
	state, _ := jws.Text(e.members["state"])
	r.mu.Lock()
	arrived := r.waiting[state]
	r.mu.Unlock()
	if arrived != nil {
		select {
		case arrived <- struct{}{}:
		default:
		}
	}
	log.InfoContext(ctx, "stream verified", "stream", id, "awaited", arrived != nil)
}
