package portcullis

import "errors"

// Why somebody is refused, or why a session ended. Compare with [errors.Is]:
// they come wrapped. None of them ever holds a token.
var (
	// ErrNoToken says that no TokenSource found a token: 401.
	ErrNoToken = errors.New("portcullis: no token")

	// ErrInvalid says that the token system said no: 401. A Verifier returns
	// it for a definite no, and for nothing else.
	ErrInvalid = errors.New("portcullis: token not valid")

	// ErrExpired says that the token's time is over, or the session's
	// (Guard.MaxSession): 401, or Close 3000.
	ErrExpired = errors.New("portcullis: token expired")

	// ErrRevoked says that a Revocation names the session: 401, or Close 3003.
	ErrRevoked = errors.New("portcullis: session revoked")

	// ErrForbidden says that the token is good but not for this: the rule, the
	// Origin, or a renewal by somebody else: 403, or Close 3003.
	ErrForbidden = errors.New("portcullis: not allowed")

	// ErrUnavailable says that we cannot tell whether the token is good: 503,
	// or Close 1013. Every error of a Verifier that isn't one of the above
	// counts as this one.
	ErrUnavailable = errors.New("portcullis: cannot tell whether the token is valid")

	// ErrLimit says that somebody uses more than he may: 429, or Close 1008. The
	// Guard has no limits; rules and those in front of it do.
	ErrLimit = errors.New("portcullis: limit exceeded")

	// ErrNoSession says that there is no such live session (any more) to renew.
	ErrNoSession = errors.New("portcullis: no such session")

	// ErrShutdown says that the Guard is shutting down: 503, or Close 1012.
	ErrShutdown = errors.New("portcullis: shutting down")
)

// CloseStatus returns the WebSocket close code (RFC 6455, section 7.4) and the
// reason word for the end of a session. 3000 with "token_expired" means renew
// and come back; 3003 means log in again; 1012 and 1013 mean come back later; 1008
// with "limit" means come back less often.
// An error that isn't one of this package's is told as "session_revoked".
func CloseStatus(cause error) (code int, reason string) { return closeStatus(cause, 3000, 3003) }

// CloseStatus4xxx is CloseStatus with codes for private use: 4401 for 3000, and
// 4403 for 3003.
func CloseStatus4xxx(cause error) (code int, reason string) { return closeStatus(cause, 4401, 4403) }

// CloseStatusPolicy is CloseStatus with 1008, policy violation, for 3000 and
// 3003: the reason word alone tells them apart.
func CloseStatusPolicy(cause error) (code int, reason string) { return closeStatus(cause, 1008, 1008) }

func closeStatus(cause error, expired, over int) (code int, reason string) {
	switch {
	case errors.Is(cause, ErrUnavailable): // whatever else it says
		return 1013, "unavailable"
	case errors.Is(cause, ErrShutdown):
		return 1012, "shutdown"
	case errors.Is(cause, ErrExpired):
		return expired, "token_expired"
	case errors.Is(cause, ErrLimit):
		return 1008, "limit"
	case errors.Is(cause, ErrForbidden):
		return over, "forbidden"
	default:
		return over, "session_revoked"
	}
}
