// Package rule decides by an expression, written in CEL (https://cel.dev),
// whether a request with a valid token is allowed:
//
//	"chat" in identity.scopes && request.method != "DELETE"
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
type Rule struct {
	source  string
	program cel.Program
	names   map[string]bool // names that source spells out: these may be told in errors
}

// Compile makes a Rule of an expression. An error is of type [Errors].
func Compile(expr string) (*Rule, error) {
	env, err := environment()
	if err != nil {
		return nil, Errors{{Line: 1, Column: 1, Message: "cannot set up CEL: " + err.Error()}}
	}
	ast, names, errs := check(env, expr)
	if errs != nil {
		return nil, errs
	}
	program, err := env.Program(ast, cel.EvalOptions(cel.OptOptimize), cel.CostLimit(costLimit))
	if err != nil {
		return nil, Errors{{Line: 1, Column: 1, Message: err.Error()}}
	}
	return &Rule{source: expr, program: program, names: names}, nil
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

// ReadsHeaders reports whether the Rule looks at request.headers.
func (r *Rule) ReadsHeaders() bool { return r.names["headers"] }

// String returns the expression that the Rule was compiled from.
func (r *Rule) String() string { return r.source }

// MarshalText returns the expression that the Rule was compiled from.
func (r *Rule) MarshalText() ([]byte, error) { return []byte(r.source), nil }

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
