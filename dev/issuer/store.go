package issuer

import (
	"crypto/rand"
	"errors"
	"sync"
	"time"
)

// loginLifetime bounds the time between /authorize and the exchange of the code.
const loginLifetime = 10 * time.Minute

var (
	errFull      = errors.New("issuer: too many live entries")
	errNoSession = errors.New("issuer: no such session")
	errNoGrant   = errors.New("issuer: unknown, used or expired")
)

// grant is what a user's login allowed a client: the common part of every token of it.
// It is never changed after it has been stored.
type grant struct {
	user     *User
	clientID string
	scopes   []string
	sid      string
	authTime time.Time
}

// accessToken is what there is to know about an access token. Only its id is stored, not the
// string that the client got.
type accessToken struct {
	grant
	id       string // the "jti"
	kind     Kind
	audience []string
	issued   time.Time
	expires  time.Time
	omit     []string // claims that are not told, see TokenOptions
}

// store holds every login, session and token. A token lives as long as its session does:
// ending a session is the removal of one entry, and nothing can be issued for it again.
type store struct {
	now             func() time.Time
	accessLifetime  time.Duration
	refreshLifetime time.Duration
	audience        []string

	mu       sync.Mutex // guards what follows
	logins   expiring[*login]
	codes    expiring[string]       // code → id of the login
	sessions expiring[*User]        // by sid
	access   expiring[*accessToken] // by jti
	refresh  expiring[grant]        // by refresh token
}

// newID returns 130 unguessable bits, in letters and digits.
func newID() string { return rand.Text() }

// newSession starts a session for g. It lasts until the last token issued for it ends.
func (s *store) newSession(g grant) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.startLocked(g, s.accessLifetime)
}

func (s *store) startLocked(g grant, lifetime time.Duration) error {
	now := s.now()
	if !s.sessions.put(now, g.sid, g.user, now.Add(lifetime)) {
		return errFull
	}
	return nil
}

// extendLocked lets the session of sid last until the given time at least.
func (s *store) extendLocked(sid string, until time.Time) error {
	entry, ok := s.sessions.entries[sid]
	if !ok || !s.now().Before(entry.until) {
		return errNoSession
	}
	if until.After(entry.until) {
		entry.until = until
		s.sessions.entries[sid] = entry
	}
	return nil
}

// issue makes an access token within a live session.
func (s *store) issue(t accessToken, lifetime time.Duration) (*accessToken, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.issueLocked(t, lifetime)
}

func (s *store) issueLocked(t accessToken, lifetime time.Duration) (*accessToken, error) {
	t.id = newID()
	t.issued = s.now()
	t.expires = t.issued.Add(lifetime)
	if t.audience == nil {
		t.audience = s.audience
	}
	if err := s.extendLocked(t.sid, t.expires); err != nil {
		return nil, err
	}
	if !s.access.put(t.issued, t.id, &t, t.expires) {
		return nil, errFull
	}
	return &t, nil
}

// issuePairLocked makes an access token with narrowed scopes, and a refresh token for the
// whole grant.
func (s *store) issuePairLocked(g grant, scopes []string) (*accessToken, string, error) {
	narrowed := g
	narrowed.scopes = scopes
	t, err := s.issueLocked(accessToken{grant: narrowed, kind: kindOf(g.clientID)}, s.accessLifetime)
	if err != nil {
		return nil, "", err
	}
	refresh := newID()
	now := s.now()
	until := now.Add(s.refreshLifetime)
	if err := s.extendLocked(g.sid, until); err != nil {
		return nil, "", err
	}
	if !s.refresh.put(now, refresh, g, until) {
		return nil, "", errFull
	}
	return t, refresh, nil
}

// begin starts the session of a finished login and makes its first tokens.
func (s *store) begin(g grant) (*accessToken, string, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.startLocked(g, s.accessLifetime); err != nil {
		return nil, "", err
	}
	return s.issuePairLocked(g, g.scopes)
}

// rotate trades a refresh token for new tokens. It takes the old one out in the same step,
// so that of two concurrent uses one fails.
func (s *store) rotate(old string, scopes []string) (*accessToken, string, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	g, ok := s.refresh.take(s.now(), old)
	if !ok {
		return nil, "", errNoGrant
	}
	return s.issuePairLocked(g, scopes)
}

// refreshGrant looks a refresh token up. That of an ended session is unknown.
func (s *store) refreshGrant(token string) (grant, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	g, ok := s.refresh.get(s.now(), token)
	if !ok {
		return grant{}, false
	}
	_, alive := s.sessions.get(s.now(), g.sid)
	return g, alive
}

// live returns the access token with this id, unless it or its session has ended.
func (s *store) live(id string) (*accessToken, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	t, ok := s.access.get(s.now(), id)
	if !ok {
		return nil, false
	}
	_, alive := s.sessions.get(s.now(), t.sid)
	return t, alive
}

// revokeAccess ends one access token.
func (s *store) revokeAccess(id string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.access.remove(id)
}

// session returns the user of a live session.
func (s *store) session(sid string) (*User, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.sessions.get(s.now(), sid)
}

// endSession ends a session and with it all its tokens.
func (s *store) endSession(sid string) (*User, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.sessions.take(s.now(), sid)
}

// endUser ends all sessions of a user.
func (s *store) endUser(subject string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for sid, entry := range s.sessions.entries {
		if entry.value.Subject == subject {
			s.sessions.remove(sid)
		}
	}
}

func kindOf(clientID string) Kind {
	if clientID == ClientJWT {
		return JWT
	}
	return Opaque
}
