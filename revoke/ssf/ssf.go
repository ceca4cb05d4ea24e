// Package ssf receives security events by the OpenID Shared Signals Framework
// 1.0: a transmitter, usually the token system, tells of sessions revoked and
// credentials changed (CAEP 1.0) in Security Event Tokens (SET, RFC 8417), and
// what they name ends here, or is asked about again. SETs come by push (RFC
// 8935: a [Receiver] is the handler) or by poll (RFC 8936: a [Poller]).
//
// An acknowledgement is a promise: the SET was checked in full, and Revoke,
// which is usually Guard.Revoke, has returned without an error. What cannot be
// done now is not acknowledged: a push is answered with 503 and Retry-After, and
// of a poll the transmitter hears nothing, so that it delivers the SET again.
//
// There is no bound on a SET's age, since a revocation delivered late must not
// be lost. An old one does no harm: it spares every token issued after what it
// tells of, and a session or token that it names has ended for good.
//
// Limits:
//   - Subjects are those of [Config]. A SET about another one is refused, so
//     that the transmitter notices.
//   - Tokens don't name an e-mail address or a device as a Revocation can. Such a
//     subject is matched by claims, and remembered by this process only: it
//     isn't stored, other nodes must receive the SET too, and each admission has
//     to ask [Receiver.Check]. Have the transmitter send "iss_sub" where it can.
//   - Encrypted SETs are not read.
package ssf

import (
	"context"
	"crypto"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net/http"
	"slices"
	"sync"
	"time"

	"github.com/portcullis-auth/portcullis"
	"github.com/portcullis-auth/portcullis/internal/keyset"
)

// The events that have a meaning by default (CAEP 1.0, section 3).
//
//nolint:gosec // two of them have "credential" and "token" in their names
const (
	SessionRevoked         = "https://schemas.openid.net/secevent/caep/event-type/session-revoked"
	CredentialChange       = "https://schemas.openid.net/secevent/caep/event-type/credential-change"
	TokenClaimsChange      = "https://schemas.openid.net/secevent/caep/event-type/token-claims-change"
	AssuranceLevelChange   = "https://schemas.openid.net/secevent/caep/event-type/assurance-level-change"
	DeviceComplianceChange = "https://schemas.openid.net/secevent/caep/event-type/device-compliance-change"
)

// The events about the stream itself (SSF 1.0, sections 8.1.4 and 8.1.5).
const (
	verification  = "https://schemas.openid.net/secevent/ssf/event-type/verification"
	streamUpdated = "https://schemas.openid.net/secevent/ssf/event-type/stream-updated"
)

// An Action is what an event leads to.
type Action uint8

// What an event may lead to.
const (
	Ignore  Action = iota // it is acknowledged, and that is all
	Recheck               // the token system is asked again about live sessions
	Revoke                // they end, and their tokens are refused from now on
)

// Keys finds the public keys of a transmitter. Keys returns those called kid
// that are good for the signature algorithm alg, or, with kid "", the only one
// that is. None and no error means that the transmitter has no such key; an
// error, that it cannot tell. Keys is called concurrently, with names from
// tokens that nobody has checked, and must return soon after ctx is done.
type Keys interface {
	Keys(ctx context.Context, kid, alg string) ([]crypto.PublicKey, error)
}

var _ Keys = (*keyset.Set)(nil)

// A Config says whose events are obeyed, and how. Issuer, Audience and Revoke
// are required, Recheck if any Action is.
//
// Subjects (SSF 1.0, section 3; RFC 9493) mean: "iss_sub", the user; "jwt_id",
// the one token; "opaque", the user by that "sub", or see OpaqueSession;
// "email", every user with that claim "email", in any case. A "complex" one
// names sessions that match in everything: "user" is one of these, "session" an
// opaque one with the "sid", and others are as Members has them.
type Config struct {
	// Issuer is the "iss" of SETs, to the letter.
	Issuer string

	// Audience must be in the "aud" of SETs: our name at the transmitter.
	Audience string

	// Revoke ends what the revocation names; usually it is Guard.Revoke. It has
	// 10 s. If it returns an error, the SET is not acknowledged, and Revoke may
	// be called for it again.
	Revoke func(context.Context, portcullis.Revocation) error

	// Recheck has the token system asked again about the live sessions that
	// match reports true for, and returns how many; usually it is
	// Guard.RecheckNow.
	Recheck func(match func(*portcullis.Identity) bool) int

	// End ends live sessions; usually it is Guard.End. It is for subjects that
	// are matched by claims. nil: SETs that would revoke by these are refused.
	End func(cause error, match func(*portcullis.Identity) bool) int

	// Actions says what events lead to, by their URIs. It may name any event
	// with a subject, such as those of RISC 1.0. For CAEP's that it doesn't
	// name: SessionRevoked, Revoke; the others, Recheck. The rest are ignored.
	Actions map[string]Action

	// Issuers says what the "iss" of tokens is, where it is not that of the
	// subject or, if the subject has none, the transmitter. "": it is not looked
	// at, for tokens that state none.
	Issuers map[string]string

	// OpaqueSession has a subject that is "opaque", and not part of a complex
	// one, name a session by its "sid".
	OpaqueSession bool

	// Members says with which claim to compare other members of complex
	// subjects: {"tenant": "tid"}. "": the member is not compared, and so
	// doesn't narrow what the subject names. A SET with one that isn't here is
	// refused, for we can't tell whom it means.
	Members map[string]string

	// Hold is how long a subject that is matched by claims is remembered: as
	// long as a token is good. 0: 24 h.
	Hold time.Duration

	// Authorization is the whole Authorization header that pushes must carry
	// ("authorization_header" of the stream). "": it is not looked at, and the
	// SETs' signatures have to do.
	Authorization string

	// Leeway is how far the transmitter's clock may be ahead of ours. 0: 1 min.
	Leeway time.Duration

	// Algorithms are the signature algorithms to accept. nil: RS256, ES256,
	// PS256 and EdDSA, which stands for Ed25519 (RFC 9864) too. Symmetric ones
	// and "none" are refused.
	Algorithms []string

	// Keys finds the transmitter's keys. nil: from JWKSURL, or, if that is
	// empty, from the transmitter's metadata. The fields below are for that.
	Keys    Keys
	JWKSURL string

	// Timeout bounds each call for keys. 0: 5 s.
	Timeout time.Duration

	// Client lends its Transport and Timeout to those calls. nil: our own.
	Client *http.Client

	// InsecurePlainHTTP permits http to hosts that are not loopback: whoever
	// can change what passes there can end anybody's session.
	InsecurePlainHTTP bool

	// Log gets one record for each SET. nil: no log.
	Log *slog.Logger
}

// A Receiver takes SETs of one transmitter. It is the handler for pushed ones,
// and what Pollers give theirs to. It is made by [New], safe for concurrent use,
// and needs no closing.
type Receiver struct {
	config Config
	keys   Keys
	used   memory
	held   held

	mu      sync.Mutex // guards waiting
	waiting map[string]chan<- struct{}
}

// New returns a Receiver, or what is wrong with c. It makes no call: keys are
// fetched when the first SET comes.
func New(c Config) (*Receiver, error) {
	switch {
	case c.Issuer == "" || c.Audience == "":
		return nil, errors.New("ssf: Issuer and Audience are required")
	case c.Revoke == nil:
		return nil, errors.New("ssf: Revoke is required")
	case c.Hold < 0 || c.Leeway < 0 || c.Timeout < 0:
		return nil, errors.New("ssf: Hold, Leeway or Timeout is negative")
	}
	actions := map[string]Action{
		SessionRevoked: Revoke, CredentialChange: Recheck, TokenClaimsChange: Recheck,
		AssuranceLevelChange: Recheck, DeviceComplianceChange: Recheck,
	}
	maps.Copy(actions, c.Actions)
	for event, action := range actions {
		switch {
		case event == verification || event == streamUpdated || action > Revoke:
			return nil, fmt.Errorf("ssf: no such Action for the event %q", event)
		case action == Recheck && c.Recheck == nil:
			return nil, fmt.Errorf("ssf: Recheck is required for the event %q", event)
		}
	}
	for _, known := range []string{"format", "user", "session"} {
		if _, ok := c.Members[known]; ok {
			return nil, fmt.Errorf("ssf: Members must not have %q", known)
		}
	}
	c.Actions, c.Issuers, c.Members = actions, maps.Clone(c.Issuers), maps.Clone(c.Members)
	if c.Hold == 0 {
		c.Hold = 24 * time.Hour
	}
	if c.Leeway == 0 {
		c.Leeway = time.Minute
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	if len(c.Algorithms) == 0 {
		c.Algorithms = keyset.DefaultAlgorithms
	}
	c.Algorithms = slices.Clone(c.Algorithms)
	for _, alg := range c.Algorithms {
		if !keyset.Supported(alg) {
			return nil, fmt.Errorf("ssf: algorithm %q is not one for public keys", alg)
		}
	}
	r := &Receiver{config: c, keys: c.Keys}
	if r.keys == nil {
		var err error
		if r.keys, err = newKeys(&r.config); err != nil {
			return nil, fmt.Errorf("ssf: %w", err)
		}
	}
	return r, nil
}
