package issuer

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"time"
)

// TokenOptions shapes a token made by IssueToken. The zero value asks for what a login of
// the demo application would give, in a new session.
type TokenOptions struct {
	Kind     Kind
	Lifetime time.Duration // 0: Config.AccessLifetime
	Scopes   []string      // nil: all that the user may have; others are dropped
	Audience []string      // nil: Config.Audience
	SID      string        // join this live session of the same user; empty: a new session

	// Omit leaves claims out of the JWT and of the introspection answer, e.g. "exp", "iat",
	// "jti" or "sid", as token systems do that say little. The token expires all the same. A
	// JWT without "jti" is for local verification only: introspection calls it inactive.
	Omit []string
}

// A Token is an access token, with what its receiver can learn about it.
type Token struct {
	Access  string
	Subject string
	SID     string
	JTI     string
	Expires time.Time
}

// IssueToken makes an access token for a user, given by user name or subject, without a
// login. It is as good as any other: introspection, userinfo, revocation and logout know it.
func (i *Issuer) IssueToken(user string, opts TokenOptions) (*Token, error) {
	u := i.users.find(user)
	switch {
	case u == nil:
		return nil, fmt.Errorf("issuer: no such user %q", user)
	case opts.Kind != Opaque && opts.Kind != JWT:
		return nil, fmt.Errorf("issuer: unknown kind of token %d", opts.Kind)
	case opts.Lifetime < 0:
		return nil, errors.New("issuer: the lifetime must not be negative")
	}
	requested := opts.Scopes
	if requested == nil {
		requested = append(slices.Clone(protocolScopes), u.Scopes...)
	}
	g := grant{
		user:     u,
		clientID: opts.Kind.clientID(),
		scopes:   u.grantable(requested),
		sid:      opts.SID,
		authTime: i.store.now(),
	}
	lifetime := cmp.Or(opts.Lifetime, i.store.accessLifetime)
	if g.sid == "" {
		g.sid = newID()
		if err := i.store.newSession(g); err != nil {
			return nil, err
		}
	} else if owner, ok := i.store.session(g.sid); !ok || owner != u {
		return nil, errNoSession
	}
	t, err := i.store.issue(accessToken{
		grant: g, kind: opts.Kind,
		audience: slices.Clone(opts.Audience), omit: slices.Clone(opts.Omit),
	}, lifetime)
	if err != nil {
		return nil, err
	}
	access, err := i.codec.encode(t)
	if err != nil {
		return nil, err
	}
	return &Token{Access: access, Subject: u.Subject, SID: t.sid, JTI: t.id, Expires: t.expires}, nil
}
