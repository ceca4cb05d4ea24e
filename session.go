package portcullis

import (
	"cmp"
	"context"
	"log/slog"
	"net/http"
	"strconv"
	"sync"
	"sync/atomic"
	"time"
)

// A Session is one authorized request or socket, from its admission to its
// end. [Guard.Handler] makes and closes its sessions itself; who calls
// [Guard.Admit] must call [Session.Close]. It is safe for concurrent use.
type Session struct {
	guard    *Guard
	policy   atomic.Pointer[Policy]
	request  atomic.Pointer[http.Request] // nil: forgotten
	number   uint64                       // in this Guard, from 1
	opened   time.Time
	identity atomic.Pointer[Identity]
	response *response // what Handler gives to the handler; nil: the session was made by Admit

	// The registry's mutex guards these.
	deadline time.Time // the wall clock's: no monotonic reading
	issued   int64     // when the token was, in Unix seconds; the first sight of one that doesn't say
	index    int32     // in the registry's heap; -1: not there
	upgrade  bool      // it may become a socket; never changes
	closed   bool      // guarded by mu, as the next one
	answer             // of response

	token string   // what it lives on now, if that is asked about again
	more  *more    // nil: nothing of it is set; never so for an upgrade
	left  *remnant // of the request; set before that is forgotten

	mu     sync.Mutex              // guards what follows
	cancel context.CancelCauseFunc // of who was admitted without a response
	cause  error                   // why it ended
	onEnd  func(error)             // nil: nobody wants to know
}

// more is what sockets have, and requests that last: most are over too soon.
type more struct {
	detach   func() bool // stops following the request's own context; nil: nothing to stop; guarded by Session.mu
	echo     string      // subprotocol to answer with if the handler selects none; never changes
	verified time.Time   // when the token system was last asked about the token
	next     time.Time   // when it is to be asked again
	tried    time.Time   // when that failed last
	hurried  uint64      // the last call of hasten that concerned it
	renewed  int         // how often a fresh token came
	login    *sockets    // those of the same login; nil: it has none, or isn't among them
}

// newSession returns a Session, with a response in front of w unless that is nil.
func newSession(w http.ResponseWriter) *Session {
	if w == nil {
		return new(Session)
	}
	both := new(struct { // one allocation
		Session
		response
	})
	both.response = response{s: &both.Session, w: w}
	both.Session.response = &both.response
	return &both.Session
}

type sessionKey struct{}

// FromContext returns the Identity that a request's context carries: always the
// current one, which a renewal may have replaced since the last call. It
// reports false if the request came through no Guard, and while the Verifier has
// not said yes. After the session's end it still returns the last one.
func FromContext(ctx context.Context) (*Identity, bool) {
	s, ok := ctx.Value(sessionKey{}).(*Session)
	if !ok {
		return nil, false
	}
	id := s.Identity()
	return id, id != nil
}

// Subprotocol returns what a handshake is to be answered with if the handler
// selects no subprotocol: the marker that came with the token, if it came that
// way. [Guard.Handler] sees to that itself.
func (s *Session) Subprotocol() string {
	if !s.upgrade {
		return ""
	}
	return s.more.echo
}

// CloseStatus returns what the peers of a socket are told of its end:
// Policy.CloseStatus of the cause.
func (s *Session) CloseStatus(cause error) (code int, reason string) {
	if own := s.Policy().CloseStatus; own != nil {
		return own(cause)
	}
	return CloseStatus(cause)
}

// Policy returns what the session lives under: what it was admitted by, or what
// [Guard.Reassign] has put it under since.
func (s *Session) Policy() *Policy { return s.policy.Load() }

// Identity returns the current Identity.
func (s *Session) Identity() *Identity { return s.identity.Load() }

// Expires returns when the session will end if nothing else happens.
func (s *Session) Expires() time.Time {
	s.guard.sessions.mu.Lock()
	defer s.guard.sessions.mu.Unlock()
	return s.deadline
}

// Handle names the session in this process, for [Guard.Renew].
func (s *Session) Handle() string { return handle(s.guard.sessions.prefix(), s.number) }

func handle(prefix string, number uint64) string { return prefix + strconv.FormatUint(number, 36) }

// OnEnd has f called once with the cause when authorization ends, before the
// context is cancelled; at once if it has ended already, and not at all if Close
// comes first. f runs while whoever ended the session waits, so it must not
// block; it may call the Session's methods, but not the Guard's.
func (s *Session) OnEnd(f func(cause error)) {
	s.mu.Lock()
	cause := s.cause
	if cause == nil && !s.closed {
		s.onEnd = after(s.onEnd, f)
	}
	s.mu.Unlock()
	if cause != nil {
		f(cause)
	}
}

// after returns what calls first, if that isn't nil, and then f.
func after(first, f func(error)) func(error) {
	if first == nil {
		return f
	}
	return func(cause error) {
		first(cause)
		f(cause)
	}
}

// Err returns why the session ended, and nil while it is alive.
func (s *Session) Err() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.cause
}

// Close says that the request or socket is over, and cancels its context. It may
// be called twice.
func (s *Session) Close() { s.CloseBecause(nil) }

// CloseBecause is Close for who knows more about the end than the Guard: why it
// came, unless authorization ended, and attributes that the log's record of it
// gets.
func (s *Session) CloseBecause(why error, attrs ...slog.Attr) { _ = s.close(why, attrs) }

// close is CloseBecause, and returns why authorization had ended.
func (s *Session) close(why error, attrs []slog.Attr) error {
	s.mu.Lock()
	closed := s.closed
	s.closed = true
	s.onEnd = nil
	s.leave()
	cause := s.cause
	s.mu.Unlock()
	if closed {
		return cause
	}
	s.stop(cause) // nil: context.Canceled
	s.guard.sessions.done(s)
	if s.upgrade || cause != nil {
		s.guard.logClosed(s, cmp.Or(cause, why), attrs)
	}
	return cause
}

// leave stops following the context of the request that began the session. s.mu
// is held.
func (s *Session) leave() {
	if s.upgrade && s.more.detach != nil {
		s.more.detach()
		s.more.detach = nil
	}
}

// end ends the authorization, once. When it returns, nothing more passes, unless
// somebody else is about to end it: registry.settled waits for that.
func (s *Session) end(cause error) {
	s.guard.sessions.ending.RLock()
	defer s.guard.sessions.ending.RUnlock()
	s.ends(cause)
}

// ends is end with ending locked.
func (s *Session) ends(cause error) {
	s.mu.Lock()
	if s.cause != nil || s.closed {
		s.mu.Unlock()
		return
	}
	s.cause = cause
	onEnd := s.onEnd
	s.onEnd = nil
	s.mu.Unlock()

	s.guard.sessions.remove(s)
	if onEnd != nil {
		onEnd(cause)
	}
	if s.response != nil {
		s.response.end(cause)
	} else {
		s.stop(cause)
	}
}

// A SessionInfo describes a live session.
type SessionInfo struct {
	Handle    string    `json:"handle"`
	Kind      string    `json:"kind"` // "http" or "socket"
	Method    string    `json:"method"`
	Host      string    `json:"host"`
	Path      string    `json:"path"`
	Remote    string    `json:"remote"`
	Opened    time.Time `json:"opened"`
	Expires   time.Time `json:"expires"`             // when it will end if nothing else happens
	Unbounded bool      `json:"unbounded,omitempty"` // the token states no expiry: Guard.MaxSession bounds it
	Renewed   int       `json:"renewed"`             // how often a fresh token has extended it
	Verifier  string    `json:"verifier,omitempty"`  // Identity.VerifiedBy
	Verified  time.Time `json:"verified"`            // when the token system was last asked
	Issuer    string    `json:"iss,omitempty"`
	Subject   string    `json:"sub,omitempty"`
	SessionID string    `json:"sid,omitempty"`
	TokenID   string    `json:"jti,omitempty"`
	ClientID  string    `json:"client_id,omitempty"`
	Scopes    []string  `json:"scopes,omitempty"`
}

// describe says what there is to say of a session, beside what the registry's
// mutex guards. prefix is what its handles begin with.
func (s *Session) describe(i *SessionInfo, prefix string) {
	id, r := s.Identity(), s.Request()
	i.Handle, i.Kind = handle(prefix, s.number), "http"
	if s.upgrade {
		i.Kind = "socket"
	}
	i.Method, i.Host, i.Path, i.Remote = r.Method, r.Host, r.URL.Path, r.RemoteAddr
	i.Opened, i.Unbounded, i.Verifier = s.opened, id.ExpiresAt.IsZero(), id.VerifiedBy
	i.Issuer, i.Subject, i.SessionID = id.Issuer, id.Subject, id.SessionID
	i.TokenID, i.ClientID, i.Scopes = id.TokenID, id.ClientID, id.Scopes
}
