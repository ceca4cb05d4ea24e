// Package rule decides by an expression, written in CEL (https://cel.dev),
// whether a request with a valid token is allowed, or a message of a socket:
//
//	"chat" in identity.scopes && request.method != "DELETE"
//	message.size < 1000 && message.json.type in ["chat", "ping"]
//
// An expression sees two variables. Each field has a type, and a mistake in a
// name or a type is found when the rule is compiled:
//
//	identity.issuer, subject, session_id, token_id, client_id   string
//	identity.scopes                                             list of string
//	identity.issued_at, expires_at                              timestamp
//	identity.claims                                             map of string to any
//	request.method, host, path, query                           string
//	request.headers                                             map of string to string
//
// request.host is in lower case and without port or final dot; path is
// decoded and query is not; headers have names in lower case, and the values
// of a repeated header are joined by ", ". An integer claim is an int (or a
// uint, if it is too large), any other number a double.
//
// # What can't be told is not allowed
//
// A claim that is missing, a value of the wrong type, a time that the token
// doesn't state and a rule that takes too long all end the evaluation with an
// error, and the request isn't allowed. has(identity.claims.groups) asks first.
// As in all of CEL, true || (an error) is true and false && (an error) is
// false, whichever stands first.
//
// # Messages
//
// A [Message] decides about what the client of a socket sends, by the same
// variables and one more:
//
//	message.type   string: "text" or "binary"
//	message.size   int: bytes
//	message.text   string; of a text message
//	message.json   any; of a text message that is JSON
//
// message.json must be JSON about which two parsers cannot disagree (no name
// twice in an object, numbers in range), nested at most 32 deep,
// with at most [MaxValues] values. What is anything else can't be told, so
// whatever asks for message.json doesn't allow it; has(message.json) is no
// question, but has(message.json.room) is. An integer is an int (or a uint, if
// it is too large for that), any other number a double.
//
// # Limits
//
// An expression can do nothing but look at its variables: it has no clock and
// no chance, so the same request and identity always get the same answer. It is
// at most [MaxLength] long, comprehensions nest no deeper than [MaxNesting],
// patterns of matches() are literals, and its cost is estimated when it is
// compiled and bounded when it runs.
package rule

import (
	"errors"
	"fmt"
	"net/http"

	"cel.dev/cel-go/cel"

	"github.com/portcullis-auth/portcullis"
)

// A Rule is a compiled expression. It may be used concurrently.
type Rule struct{ compiled }

// Compile makes a Rule of an expression. An error is of type [Errors].
func Compile(expr string) (*Rule, error) {
	c, _, errs := compile(environment, expr)
	if errs != nil {
		return nil, errs
	}
	return &Rule{c}, nil
}

// Allow returns nil if the Rule is true for the request and the Identity. Any
// other error wraps [portcullis.ErrForbidden]; it says why, and holds nothing
// of the request or the Identity. Allow fits portcullis.Policy.Allow.
func (r *Rule) Allow(req *http.Request, id *portcullis.Identity) error {
	if req == nil || id == nil {
		return fmt.Errorf("%w: rule: nobody to decide about", portcullis.ErrForbidden)
	}
	result, _, err := r.program.Eval(&activation{
		identity: identity{Identity: id},
		request:  request{Request: req},
	})
	if err != nil {
		return fmt.Errorf("%w: rule: %w", portcullis.ErrForbidden, r.explain(err))
	}
	if allowed, ok := result.Value().(bool); !ok || !allowed {
		return errFalse
	}
	return nil
}

var errFalse = fmt.Errorf("%w: rule: false", portcullis.ErrForbidden)

// compiled is what a [Rule] and a [Message] have in common.
type compiled struct {
	source  string
	program cel.Program
	names   map[string]bool // names that source spells out: these may be told in errors
}

// compile also returns the checked expression.
func compile(environment func() (*cel.Env, error), expr string) (compiled, *cel.Ast, Errors) {
	env, err := environment()
	if err != nil {
		return compiled{}, nil, Errors{{Line: 1, Column: 1, Message: "cannot set up CEL: " + err.Error()}}
	}
	ast, names, errs := check(env, expr)
	if errs != nil {
		return compiled{}, nil, errs
	}
	program, err := env.Program(ast, cel.EvalOptions(cel.OptOptimize), cel.CostLimit(costLimit), comparisons)
	if err != nil {
		return compiled{}, nil, Errors{{Line: 1, Column: 1, Message: err.Error()}}
	}
	return compiled{source: expr, program: program, names: names}, ast, nil
}

// ReadsHeaders reports whether the expression looks at request.headers.
func (c *compiled) ReadsHeaders() bool { return c.names["headers"] }

// String returns the expression.
func (c *compiled) String() string { return c.source }

// MarshalText returns the expression.
func (c *compiled) MarshalText() ([]byte, error) { return []byte(c.source), nil }

// An Error is one mistake in an expression.
type Error struct {
	Line    int // in the expression, from 1
	Column  int // in Unicode code points, from 1
	Message string
}

func (e *Error) Error() string {
	return fmt.Sprintf("%d:%d: %s", e.Line, e.Column, e.Message)
}

// Errors is every mistake in an expression, in the order of the text. It is
// never empty.
type Errors []*Error

func (e Errors) Error() string { return errors.Join(e.Unwrap()...).Error() }

// Unwrap returns the single mistakes.
func (e Errors) Unwrap() []error {
	list := make([]error, len(e))
	for i, err := range e {
		list[i] = err
	}
	return list
}
