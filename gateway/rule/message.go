package rule

import (
	"fmt"
	"net/http"
	"sync"
	"unicode/utf8"

	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/common/ast"

	"github.com/portcullis-auth/portcullis"
)

// A Message is a compiled expression about the messages of a socket. It may be
// used concurrently.
type Message struct {
	compiled
	readsText, readsJSON bool
}

// maxMessagePattern bounds patterns as maxPattern does. Anybody who is inside may
// send long texts again and again.
const maxMessagePattern = 250

// messages returns what expressions about messages are compiled in.
var messages = sync.OnceValues(func() (*cel.Env, error) {
	env, err := environment()
	if err != nil {
		return nil, err
	}
	return env.Extend(
		cel.Variable("message", messageType),
		cel.RegexProgramSizeLimit(maxMessagePattern),
		cel.ASTValidators(cel.ValidateRegexProgramSizeLimit(maxMessagePattern)),
	)
})

// CompileMessage makes a Message of an expression. An error is of type [Errors].
func CompileMessage(expr string) (*Message, error) {
	c, checked, errs := compile(messages, expr)
	if errs != nil {
		return nil, errs
	}
	m := &Message{compiled: c}
	tree := checked.NativeRep()
	ast.PreOrderVisit(tree.Expr(), ast.NewExprVisitor(func(e ast.Expr) {
		if e.Kind() != ast.SelectKind || !tree.GetType(e.AsSelect().Operand().ID()).IsExactType(messageType) {
			return
		}
		switch e.AsSelect().FieldName() {
		case "text":
			m.readsText = true
		case "json":
			m.readsJSON = true
			if e.AsSelect().IsTestOnly() {
				at := tree.SourceInfo().GetStartLocation(e.ID())
				errs = append(errs, &Error{
					Line: max(at.Line(), 1), Column: max(at.Column()+1, 1),
					Message: "has(message.json) says nothing; ask for a member, as in has(message.json.type)",
				})
			}
		}
	}))
	if errs != nil {
		return nil, errs
	}
	return m, nil
}

// ReadsText reports whether the Message looks at message.text.
func (m *Message) ReadsText() bool { return m.readsText }

// ReadsJSON reports whether the Message looks at message.json.
func (m *Message) ReadsJSON() bool { return m.readsJSON }

// A Sender is who sends a message: a [portcullis.Session].
type Sender interface {
	Identity() *portcullis.Identity
	Request() *http.Request // may cost something: only a rule that asks for it has it made
}

var _ Sender = (*portcullis.Session)(nil)

// Judge reports whether the sender may send a message: a whole one, of text or
// binary. It keeps nothing of the payload. What can't be told isn't allowed, and
// that a text is UTF-8 must be told (RFC 6455, section 8.1): an error says why
// not, wraps [portcullis.ErrForbidden], and holds nothing of the message, the
// request or the Identity.
func (m *Message) Judge(by Sender, isText bool, payload []byte) (bool, error) {
	id := by.Identity()
	switch {
	case id == nil:
		return false, fmt.Errorf("%w: rule: nobody to decide about", portcullis.ErrForbidden)
	case isText && !utf8.Valid(payload):
		return false, fmt.Errorf("%w: rule: %w", portcullis.ErrForbidden, errNotUTF8)
	}
	a := delivery{by: by, message: message{isText: isText, payload: payload}}
	a.identity.Identity = id
	result, _, err := m.program.Eval(&a)
	if err != nil {
		return false, fmt.Errorf("%w: rule: %w", portcullis.ErrForbidden, m.explain(err))
	}
	allowed, ok := result.Value().(bool)
	return ok && allowed, nil
}

// A delivery holds the variables of one evaluation about a message.
type delivery struct {
	activation
	by      Sender
	message message
}

// ResolveName returns a variable.
func (d *delivery) ResolveName(name string) (any, bool) {
	switch name {
	case "message":
		return &d.message, true
	case "request":
		if d.request.Request == nil {
			d.request.Request = d.by.Request()
		}
		if d.request.Request == nil {
			return nil, false
		}
	}
	return d.activation.ResolveName(name)
}

// A message is the variable of that name.
type message struct {
	isText  bool
	payload []byte
	read    bool // whether what follows has been made
	value   any
	err     error
}

// Why a message has no such value.
const (
	errNotUTF8    = unreadable("the message isn't UTF-8")
	errNotText    = unreadable("the message isn't text")
	errNotJSON    = unreadable("the message isn't JSON")
	errDuplicate  = unreadable("the message isn't JSON: a name is there twice")
	errTooDeep    = unreadable("the message's JSON is nested too deep")
	errTooMany    = unreadable("the message's JSON has too many values")
	errOutOfRange = unreadable("the message's JSON has a number out of range")
)

func (m *message) kind() string {
	if m.isText {
		return "text"
	}
	return "binary"
}

func (m *message) text() (any, error) {
	if !m.isText {
		return nil, errNotText
	}
	return string(m.payload), nil
}

// json returns the value, which is made when it is first asked for.
func (m *message) json() (any, error) {
	if !m.isText {
		return nil, errNotText
	}
	if !m.read {
		m.read = true
		m.value, m.err = parse(m.payload)
	}
	return m.value, m.err
}
