package relay

import (
	"crypto/rand"
	"errors"
	"fmt"

	"github.com/portcullis-auth/portcullis/internal/wsframe"
)

// Why the relay itself ends a socket: see [Result]. Compare with [errors.Is];
// they come wrapped. In brackets what the client is told, and then the backend,
// if that is something else.
var (
	// ErrClientFrames says that the client broke a rule about frames (1002
	// protocol_error, 1007 invalid_text, 1009 too_big).
	ErrClientFrames = errors.New("client's frames break a rule")

	// ErrBackendFrames says that the backend broke one (1011 backend_error; the
	// backend: as above).
	ErrBackendFrames = errors.New("backend's frames break a rule")

	// ErrLimit says that the Meter has had enough (1008 limit).
	ErrLimit = errors.New("client sends too much")

	// ErrForbidden says that the Judge ended it (1008 forbidden).
	ErrForbidden = errors.New("message not allowed")

	// ErrIdle says that no message passed for too long (1008 idle).
	ErrIdle = errors.New("no message for too long")

	// ErrPingTimeout says that the client didn't answer (cut; the backend: 1001
	// ping_timeout).
	ErrPingTimeout = errors.New("client doesn't answer pings")

	// ErrSlowClient says that the client takes too little (cut; the backend: 1008
	// slow).
	ErrSlowClient = errors.New("client takes too little")

	// ErrSlowBackend says that the backend takes too little (1013 unavailable; the
	// backend: cut).
	ErrSlowBackend = errors.New("backend takes too little")

	// ErrRules says that the Judge's rules can't be kept: an extension changes the
	// messages, or they have no bound, or aren't looked at (1011 internal_error).
	ErrRules = errors.New("rules about messages that can't be kept")
)

// A notice is what a side is told. The zero value: nothing, it is cut.
type notice struct {
	code   int
	reason string
}

// An ending is why a socket ends before its sides end it.
type ending struct {
	cause           error
	client, backend notice
}

// alike is an ending of which both sides are told the same.
func alike(cause error, code int, reason string) *ending {
	return &ending{cause, notice{code, reason}, notice{code, reason}}
}

// refuse is the ending for what Check has found.
func refuse(from side, err error) *ending {
	var v *wsframe.Violation
	if !errors.As(err, &v) {
		return alike(fmt.Errorf("%w: %w", ErrLimit, err), 1008, "limit")
	}
	reason := "protocol_error"
	switch v.Code {
	case 1007:
		reason = "invalid_text"
	case 1009:
		reason = "too_big"
	}
	if from == ofClient {
		return alike(fmt.Errorf("%w: %w", ErrClientFrames, v), v.Code, reason)
	}
	return &ending{fmt.Errorf("%w: %w", ErrBackendFrames, v), notice{1011, "backend_error"}, notice{v.Code, reason}}
}

// frame returns the Close frame; nil: there is none.
func (n notice) frame(mask *[4]byte) []byte {
	if n.code == 0 {
		return nil
	}
	return wsframe.AppendClose(nil, n.code, n.reason, mask)
}

// A goodbye is an ending with the Close frames of the two sides.
type goodbye struct {
	*ending
	toClient, toBackend []byte
}

func (e *ending) goodbye() *goodbye {
	var mask [4]byte
	_, _ = rand.Read(mask[:])
	return &goodbye{e, e.client.frame(nil), e.backend.frame(&mask)}
}
