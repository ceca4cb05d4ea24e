package rule_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/portcullis-auth/portcullis/gateway/rule"
)

func TestCompileErrors(t *testing.T) {
	const identityHas = "identity has claims, client_id, expires_at, issued_at, issuer, scopes, session_id, subject, token_id; everything else is in identity.claims"
	for _, test := range []struct{ expr, want string }{
		{``, "1:1: empty expression; write true to allow every valid token"},
		{" \n", "1:1: empty expression; write true to allow every valid token"},
		{`"chat" in identity.scope`, "1:19: undefined field 'scope'; " + identityHas},
		{`identity.groups == "x"`, "1:9: undefined field 'groups'; " + identityHas},
		{`request.url == "x"`, "1:8: undefined field 'url'; request has headers, host, method, path, query"},
		{"true &&\n  identity.scope == 1", "2:11: undefined field 'scope'; " + identityHas},
		{`"日本" == "x" && identity.x == 1`, "1:24: undefined field 'x'; " + identityHas},
		{`user.name == "x"`, "undeclared reference to 'user'"},
		{`identity.subject`, "1:1: must be true or false, but is of type string; compare it with something"},
		{`identity.claims`, "is of type map(string, dyn)"},
		{`1 + 1`, "is of type int"},
		{`identity.claims.level + 1`, "must be true or false"},
		{`identity.subject == 1`, "1:18: found no matching overload for '_==_' applied to '(string, int)'"},
		{`"chat" in identity.subject`, "found no matching overload"},
		{`identity.scopes == "chat"`, "found no matching overload"},
		{`identity.subject = "x"`, "1:18: Syntax error"},
		{`(true`, "Syntax error"},
		{`request.headers["X-Team"] == "x"`, `1:17: headers have names in lower case; write "x-team"`},
		{`request.headers.Team == "x"`, `headers have names in lower case; write "team"`},
		{`has(request.headers.Team)`, `headers have names in lower case; write "team"`},
		{`request.path.matches(request.query)`, "the pattern of matches() must be a string literal"},
		{`matches(request.path, identity.subject)`, "the pattern of matches() must be a string literal"},
		{`request.path.matches("(")`, "invalid matches argument; error parsing regexp: missing closing )"},
		{`request.path.matches("(\\\\w{1,30}){1,30}")`, "the pattern is too large"},
		{`identity.issued_at < timestamp("yesterday")`, "invalid timestamp argument"},
		{`identity.expires_at - identity.issued_at < duration("1 hour")`, "invalid duration argument"},
		{`Identity{subject: "x"}.subject == "x"`, "values of type Identity cannot be made in a rule"},
		{`now() < identity.expires_at`, "undeclared reference to 'now'"},
		{`random() < 0.5`, "undeclared reference to 'random'"},
		{`identity.scopes.all(a, identity.scopes.all(b, identity.scopes.all(c, a == b && b == c)))`, "comprehension exceeds nesting limit"},
		{`identity.claims.a.all(x, identity.claims.b.all(y, (string(x) + string(y)).contains(string(y) + request.path)))`, "1:1: may take too long"},
		{strings.Repeat("(", 200) + "true" + strings.Repeat(")", 200), "1:1: "},
		{strings.Repeat("[", 4000), "1:"},
		{`identity.claims.verified`, "1:1: must be true or false, but can be anything; write ... == true"},
		{"true" + strings.Repeat(" && true", 2000), "1:1: "},
		{"\xff", "1:"},
		{"\x00", "1:1: "},
	} {
		_, err := rule.Compile(test.expr)
		var errs rule.Errors
		if !errors.As(err, &errs) || len(errs) == 0 {
			t.Errorf("Compile(%.80q): got %v, want Errors", test.expr, err)
			continue
		}
		if !strings.Contains(err.Error(), test.want) {
			t.Errorf("Compile(%.80q):\n got %.300s\nwant %s", test.expr, err, test.want)
		}
	}
}

func TestCompileReportsAll(t *testing.T) {
	_, err := rule.Compile("identity.a == 1 &&\nidentity.b == 2 &&\nrequest.c == 3")
	var errs rule.Errors
	if !errors.As(err, &errs) || len(errs) != 3 {
		t.Fatalf("got %v, want three errors", err)
	}
	for i, e := range errs {
		if e.Line != i+1 {
			t.Errorf("error %d is on line %d: %v", i, e.Line, e)
		}
	}
	var single *rule.Error
	if !errors.As(err, &single) || single != errs[0] {
		t.Errorf("errors.As: got %v, want the first error", single)
	}
}

// FuzzCompile: whatever compiles answers yes or ErrForbidden, and names nothing
// of the identity.
func FuzzCompile(f *testing.F) {
	for _, seed := range []string{
		`"chat" in identity.scopes`, `has(identity.claims.groups)`, `identity.claims.org.id == "acme"`,
		`request.headers["x-team"].matches("b.*")`, `identity.scopes.exists_one(s, s == "chat")`,
		`identity.claims.groups.map(g, g + "x").size() > 1`, `[1, 2].all(i, i > identity.claims.level)`,
		`identity.issued_at.getHours("Europe/Berlin") > 6`, `{"a": identity.claims}["a"].level == 3`,
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, expr string) {
		r, err := rule.Compile(expr)
		if err != nil {
			var errs rule.Errors
			if !errors.As(err, &errs) || len(errs) == 0 || errs[0].Line < 1 || errs[0].Column < 1 {
				t.Fatalf("error without a place: %v", err)
			}
			return
		}
		id := alice()
		id.Subject = "secret-subject"
		if err := r.Allow(request(t), id); err != nil && strings.Contains(err.Error(), "secret-subject") && !strings.Contains(expr, "secret-subject") {
			t.Fatalf("error holds a value: %v", err)
		}
	})
}
