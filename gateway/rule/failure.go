package rule

import (
	"errors"
	"strings"

	"cel.dev/cel-go/interpreter"
)

// Why an evaluation ended without a result. CEL's own messages quote values
// (timestamp("alice") says so), and these end up in logs.
var (
	errCost    = errors.New("takes too long")
	errMissing = errors.New("no such key")
	errIndex   = errors.New("index out of range")
	errType    = errors.New("a value is of the wrong type")
	errOther   = errors.New("cannot be evaluated")
)

// explain returns what CEL's error may tell. A missing key is named if the
// expression itself names it; a key that was computed may be somebody's data.
func (c *compiled) explain(err error) error {
	var (
		cancelled interpreter.EvalCancelledError
		unknown   *unstatedError
		bad       unreadable
	)
	switch {
	case errors.As(err, &cancelled):
		return errCost
	case errors.As(err, &unknown):
		return unknown
	case errors.As(err, &bad):
		return bad
	}
	text := err.Error()
	if _, key, ok := strings.Cut(text, "no such key: "); ok {
		if c.names[key] {
			return &missingError{key: key}
		}
		return errMissing
	}
	switch {
	case strings.Contains(text, "index out of bounds"):
		return errIndex
	case strings.Contains(text, "no such overload"), strings.Contains(text, "unexpected type"):
		return errType
	}
	return errOther
}

// A missingError says that a key that the expression names isn't there.
type missingError struct{ key string }

func (e *missingError) Error() string { return "no such key: " + e.key }

// Is makes a missingError equal to errMissing.
func (e *missingError) Is(target error) bool { return target == errMissing }

// An unstatedError says that the token doesn't state a time.
type unstatedError struct{ field string }

func (e *unstatedError) Error() string { return "the token doesn't state identity." + e.field }

// An unreadable says why a message has no such value.
type unreadable string

func (e unreadable) Error() string { return string(e) }
