package rule

import (
	"cmp"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"

	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/common"
	"cel.dev/cel-go/common/ast"
	"cel.dev/cel-go/common/operators"
	"cel.dev/cel-go/common/overloads"
	"cel.dev/cel-go/common/types"
)

// check parses and type-checks an expression. It returns the names that the
// expression spells out.
func check(env *cel.Env, expr string) (*cel.Ast, map[string]bool, Errors) {
	if strings.TrimSpace(expr) == "" {
		return nil, nil, Errors{{Line: 1, Column: 1, Message: "empty expression; write true to allow every valid token"}}
	}
	parsed, issues := env.Parse(expr)
	if issues.Err() != nil {
		return nil, nil, list(issues.Errors(), nil)
	}
	c := checker{info: parsed.NativeRep().SourceInfo(), hints: map[int64]string{}, names: map[string]bool{}}
	ast.PreOrderVisit(parsed.NativeRep().Expr(), ast.NewExprVisitor(c.visit))

	checked, issues := env.Check(parsed)
	if issues.Err() != nil {
		return nil, nil, list(issues.Errors(), c.hints)
	}
	if c.errs != nil {
		return nil, nil, list(c.errs, nil)
	}
	switch got := checked.OutputType(); {
	case got.IsExactType(types.BoolType):
	case got.Kind() == types.DynKind:
		return nil, nil, Errors{{Line: 1, Column: 1, Message: "must be true or false, but can be anything; write ... == true"}}
	default:
		return nil, nil, Errors{{Line: 1, Column: 1, Message: fmt.Sprintf(
			"must be true or false, but is of type %s; compare it with something", cel.FormatCELType(got))}}
	}
	worst, err := env.EstimateCost(checked, estimator{})
	if err != nil {
		return nil, nil, Errors{{Line: 1, Column: 1, Message: err.Error()}}
	}
	if worst.Max > estimateWorst {
		return nil, nil, Errors{{Line: 1, Column: 1, Message: "may take too long; put fewer loops inside each other"}}
	}
	return checked, c.names, nil
}

// A checker finds in a parsed expression what CEL doesn't, or doesn't say well.
type checker struct {
	info  *ast.SourceInfo
	errs  []*cel.Error
	hints map[int64]string // what to add to CEL's message about a node
	names map[string]bool
}

func (c *checker) visit(e ast.Expr) {
	switch e.Kind() {
	case ast.SelectKind:
		c.selects(e)
	case ast.StructKind:
		c.fail(e, "values of type "+e.AsStruct().TypeName()+" cannot be made in a rule")
	case ast.LiteralKind:
		if s, ok := e.AsLiteral().Value().(string); ok {
			c.names[s] = true
		}
	case ast.CallKind:
		c.calls(e)
	}
}

// selects looks at operand.field.
func (c *checker) selects(e ast.Expr) {
	operand, name := e.AsSelect().Operand(), e.AsSelect().FieldName()
	c.names[name] = true
	if isHeaders(operand) {
		c.header(e, name)
	}
	if operand.Kind() != ast.IdentKind {
		return
	}
	variable := operand.AsIdent()
	var known map[string]*types.FieldType
	switch variable {
	case "identity":
		known = fields[identityType.TypeName()]
	case "request":
		known = fields[requestType.TypeName()]
	case "message":
		known = fields[messageType.TypeName()]
	default:
		return
	}
	if _, ok := known[name]; !ok {
		hint := fmt.Sprintf("; %s has %s", variable, strings.Join(slices.Sorted(maps.Keys(known)), ", "))
		if variable == "identity" {
			hint += "; everything else is in identity.claims"
		}
		c.hints[e.ID()] = hint
	}
}

// calls looks at a function call; an index is one too.
func (c *checker) calls(e ast.Expr) {
	call := e.AsCall()
	switch call.FunctionName() {
	case operators.Index:
		if args := call.Args(); len(args) == 2 && isHeaders(args[0]) && args[1].Kind() == ast.LiteralKind {
			if name, ok := args[1].AsLiteral().Value().(string); ok {
				c.header(args[1], name)
			}
		}
	case overloads.Matches:
		// The last argument is the pattern, in matches(text, pattern) too. One
		// that comes with the request would be compiled for each request.
		if args := call.Args(); len(args) > 0 {
			c.pattern(args[len(args)-1])
		}
	}
}

// pattern looks at the second operand of matches().
func (c *checker) pattern(e ast.Expr) {
	if e.Kind() != ast.LiteralKind {
		c.fail(e, "the pattern of matches() must be a string literal")
		return
	}
	if text, ok := e.AsLiteral().Value().(string); ok {
		c.hints[e.ID()] = "; the pattern is too large"
		if _, err := regexp.Compile(text); err != nil {
			c.hints[e.ID()] = "; " + err.Error()
		}
	}
}

// header refuses a name that can't be there.
func (c *checker) header(e ast.Expr, name string) {
	if lower := strings.ToLower(name); lower != name {
		c.fail(e, fmt.Sprintf("headers have names in lower case; write %q", lower))
	}
}

// isHeaders reports whether e is request.headers.
func isHeaders(e ast.Expr) bool {
	if e.Kind() != ast.SelectKind {
		return false
	}
	s := e.AsSelect()
	return s.FieldName() == "headers" && s.Operand().Kind() == ast.IdentKind && s.Operand().AsIdent() == "request"
}

func (c *checker) fail(e ast.Expr, message string) {
	c.errs = append(c.errs, common.NewError(e.ID(), message, c.info.GetStartLocation(e.ID())))
}

// list returns CEL's errors as ours, in the order of the text.
func list(found []*cel.Error, hints map[int64]string) Errors {
	var errs Errors
	for _, f := range found {
		// Some messages have a second line that draws the first.
		message, _, _ := strings.Cut(f.Message, "\n")
		errs = append(errs, &Error{
			Line:    max(f.Location.Line(), 1),
			Column:  max(f.Location.Column()+1, 1),
			Message: message + hints[f.ExprID],
		})
	}
	slices.SortStableFunc(errs, func(a, b *Error) int {
		return cmp.Or(cmp.Compare(a.Line, b.Line), cmp.Compare(a.Column, b.Column))
	})
	return errs
}
