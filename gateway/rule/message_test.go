package rule_test

import (
	"errors"
	"net/http"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/portcullis-auth/portcullis"
	"github.com/portcullis-auth/portcullis/gateway/rule"
)

// A sender is a rule.Sender.
type sender struct {
	id *portcullis.Identity
	r  *http.Request
}

func (s sender) Identity() *portcullis.Identity { return s.id }
func (s sender) Request() *http.Request         { return s.r }

// chat is a usual message, of about 100 bytes.
const chat = `{"type":"chat","room":"general","id":9007199254740993,"text":"Hello, is there anybody in this room?"}`

func compileMessage(t testing.TB, expr string) *rule.Message {
	t.Helper()
	m, err := rule.CompileMessage(expr)
	if err != nil {
		t.Fatalf("CompileMessage(%s): %v", expr, err)
	}
	return m
}

func TestMessage(t *testing.T) {
	from := sender{alice(), request(t)}
	for _, tt := range []struct {
		expr, message string
		text, want    bool
	}{
		{`true`, ``, true, true},
		{`false`, ``, true, false},
		{`message.type == "text"`, `x`, true, true},
		{`message.type == "text"`, `x`, false, false},
		{`message.type == "binary"`, "\xff", false, true},
		{`message.size == 3 && has(message.size) && has(message.type)`, `日`, true, true},
		{`message.size < 1000`, strings.Repeat("x", 1000), false, false},
		{`message.text.startsWith("/")`, `/join`, true, true},
		{`message.text.matches("^[a-z]+$")`, `join`, true, true},
		{`message.text == ""`, ``, true, true},
		{`has(message.text)`, ``, true, true},
		{`has(message.text)`, ``, false, false},
		{`message.json.type in ["chat", "ping"]`, chat, true, true},
		{`message.json.type in ["kick"]`, chat, true, false},
		{`message.json.id == 9007199254740993`, chat, true, true},
		{`message.json.id == 9007199254740992`, chat, true, false},
		{`type(message.json.id) == int`, chat, true, true},
		{`has(message.json.room) && !has(message.json.to)`, chat, true, true},
		{`message.json.a.b[1].c == 0.5`, `{"a":{"b":[0,{"c":0.5}]}}`, true, true},
		{`message.json["größe"] == "\\ \" / \n 日"`, `{"gr\u00f6\u00dfe" : "\\ \" \/ \n \u65e5" }`, true, true},
		{`message.json[0] == "x" && size(message.json) == 2`, ` [ "x" , null ] `, true, true},
		{`message.json == []`, `[ ]`, true, true},
		{`message.json == {}`, ` { } `, true, true},
		{`message.json == null`, ` null `, true, true},
		{`message.json == "text"`, `"text"`, true, true},
		{`message.json == true && message.json`, `true`, true, true},
		{`message.json == false && !message.json`, `false`, true, true},
		{`message.json == "\ufffd\n"`, `"` + "\ufffd" + `\n"`, true, true},
		{`message.json == 7 && message.json < 7.5`, "\t7\r\n", true, true},
		{`message.json == -1.5e3`, `-1.5e3`, true, true},
		{`type(message.json[0]) == int && type(message.json[1]) == uint && type(message.json[2]) == double`, `[-0,18446744073709551615,18446744073709551616]`, true, true},
		{`type(message.json[0]) == double && type(message.json[1]) == double && message.json[0] == 1`, `[1.0,1e3]`, true, true},
		{`message.json.x == null && type(message.json.x) == null_type`, `{"x":null}`, true, true},
		{`message.json.exists(name, name == "type")`, chat, true, true},
		{`message.json.list.all(x, x.n > 0)`, `{"list":[{"n":1},{"n":2}]}`, true, true},
		{`"type" in message.json`, chat, true, true},
		{`message.type == "binary" || message.json.type == "chat"`, "\x00", false, true},
		{`message.type == "binary" ? message.size < 10 : message.json.type == "chat"`, chat, true, true},
		{`message.json.room == "general" && "chat" in identity.scopes && request.host == "app.example.com"`, chat, true, true},
		{`message.json.user == identity.subject`, `{"user":"alice"}`, true, true},
		{`message.json.user == identity.subject`, `{"user":"bob"}`, true, false},
		{`"admin" in identity.claims.groups || message.json.type != "kick"`, `{"type":"kick"}`, true, true},
		{`request.headers["x-team"] == "blue, green"`, ``, true, true},
		{`(message.size > 0 ? message : message).json.type == "chat"`, chat, true, true},
	} {
		ok, err := compileMessage(t, tt.expr).Judge(from, tt.text, []byte(tt.message))
		if ok != tt.want || err != nil {
			t.Errorf("%s of %.60q: %v, %v; want %v", tt.expr, tt.message, ok, err, tt.want)
		}
	}
}

// What can't be told of a message is not allowed, and why holds nothing of it.
func TestMessageNotAllowed(t *testing.T) {
	from := sender{alice(), request(t)}
	const either = `message.json == 1 || message.json != 1`
	for _, tt := range []struct {
		name, expr, message string
		text                bool
		want                string
	}{
		{"not UTF-8", `true`, "secret\xff", true, "the message isn't UTF-8"},
		{"a surrogate as UTF-8", `true`, "\xed\xa0\x80", true, "the message isn't UTF-8"},
		{"text of binary", `message.text != "x"`, "secret", false, "the message isn't text"},
		{"JSON of binary", either, `{"secret":1}`, false, "the message isn't text"},
		{"empty", either, ``, true, "the message isn't JSON"},
		{"only space", either, ` `, true, "the message isn't JSON"},
		{"not JSON", either, `secret`, true, "the message isn't JSON"},
		{"more behind it", either, `{} secret`, true, "the message isn't JSON"},
		{"two values", either, `1 2`, true, "the message isn't JSON"},
		{"a comment", either, `{}//secret`, true, "the message isn't JSON"},
		{"a BOM", either, "\ufeff{}", true, "the message isn't JSON"},
		{"a comma too many", either, `[1,]`, true, "the message isn't JSON"},
		{"not a number", either, `NaN`, true, "the message isn't JSON"},
		{"a control character", either, "\"\x01\"", true, "the message isn't JSON"},
		{"half a pair", either, `"\ud800secret"`, true, "the message isn't JSON"},
		{"half a pair in a name", either, `{"\udc00":1}`, true, "the message isn't JSON"},
		{"a name twice", either, `{"secret":1,"secret":1}`, true, "the message isn't JSON: a name is there twice"},
		{"a name twice, escaped", either, `{"a":1,"\u0061":2}`, true, "the message isn't JSON: a name is there twice"},
		{"a name twice, inside", either, `[{"a":{"b":1,"c":2,"b":3}}]`, true, "the message isn't JSON: a name is there twice"},
		{"a number out of range", either, `[1e400]`, true, "the message's JSON has a number out of range"},
		{"arrays too deep", either, strings.Repeat("[", 33) + strings.Repeat("]", 33), true, "the message's JSON is nested too deep"},
		{"objects too deep", either, strings.Repeat(`{"a":`, 33) + `1` + strings.Repeat("}", 33), true, "the message's JSON is nested too deep"},
		{"too many values", either, `[0` + strings.Repeat(",0", rule.MaxValues-1) + `]`, true, "the message's JSON has too many values"},
		{"has() of what isn't JSON", `has(message.json.x) || !has(message.json.x)`, `secret`, true, "the message isn't JSON"},
		{"a missing member", `message.json.type != "kick"`, `{}`, true, "no such key: type"},
		{"a computed member", `message.json[message.text] != "kick"`, `{}`, true, "no such key"},
		{"a member of an array", `message.json.type != "kick"`, `["secret"]`, true, ""},
		{"a wrong type", `message.json.type > 3`, `{"type":"secret"}`, true, "a value is of the wrong type"},
		{"not a boolean", `message.json.ok && true`, `{"ok":"secret"}`, true, "a value is of the wrong type"},
		{"made into any", `dyn(message).json.x == 1`, `{"x":1}`, true, "cannot be evaluated"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			ok, err := compileMessage(t, tt.expr).Judge(from, tt.text, []byte(tt.message))
			if ok || !errors.Is(err, portcullis.ErrForbidden) {
				t.Fatalf("got %v, %v; want ErrForbidden", ok, err)
			}
			if want := portcullis.ErrForbidden.Error() + ": rule: " + tt.want; !strings.HasPrefix(err.Error(), want) || tt.want != "" && err.Error() != want {
				t.Errorf("got %q, want %q", err, want)
			}
			if strings.Contains(err.Error(), "secret") {
				t.Errorf("error holds a value: %v", err)
			}
		})
	}
	ok, err := compileMessage(t, `true`).Judge(sender{nil, request(t)}, true, nil)
	if ok || !errors.Is(err, portcullis.ErrForbidden) {
		t.Errorf("nobody: got %v, %v; want ErrForbidden", ok, err)
	}
	ok, err = compileMessage(t, `request.path != "/x"`).Judge(sender{alice(), nil}, true, nil)
	if ok || !errors.Is(err, portcullis.ErrForbidden) {
		t.Errorf("no request: got %v, %v; want ErrForbidden", ok, err)
	}
	for _, deep := range []string{strings.Repeat("[", 32) + strings.Repeat("]", 32), `[0` + strings.Repeat(",0", rule.MaxValues-2) + `]`} {
		if ok, err := compileMessage(t, either).Judge(from, true, []byte(deep)); !ok {
			t.Errorf("%.40q…, within the bounds: %v", deep, err)
		}
	}
}

func TestCompileMessageErrors(t *testing.T) {
	for _, tt := range []struct{ expr, want string }{
		{`message.kind == "text"`, "1:8: undefined field 'kind'; message has json, size, text, type"},
		{`message.json.x == 1 && message.length > 3`, "1:31: undefined field 'length'; message has json, size, text, type"},
		{`messages.size < 3`, "undeclared reference to 'messages'"},
		{`message.size < "3"`, "found no matching overload"},
		{`message.type == 1`, "found no matching overload"},
		{`message.json`, "1:1: must be true or false, but can be anything; write ... == true"},
		{`message["json"] == 1`, "found no matching overload"},
		{`true && has(message.json)`, "1:12: has(message.json) says nothing; ask for a member, as in has(message.json.type)"},
		{`has((true ? message : message).json)`, "has(message.json) says nothing"},
		{`Message{type: "text"}.type == "text"`, "values of type Message cannot be made in a rule"},
		{`identity.groups == "x"`, "everything else is in identity.claims"},
		{`message.text.matches(message.text)`, "the pattern of matches() must be a string literal"},
		{`message.text.matches("([a-z]{1,30}){1,10}")`, "the pattern is too large"},
		{``, "empty expression"},
	} {
		_, err := rule.CompileMessage(tt.expr)
		var errs rule.Errors
		if !errors.As(err, &errs) || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("CompileMessage(%s):\n got %v\nwant %s", tt.expr, err, tt.want)
		}
	}
	if _, err := rule.Compile(`message.size < 3`); err == nil || !strings.Contains(err.Error(), "undeclared reference to 'message'") {
		t.Errorf("a rule about requests knows messages: %v", err)
	}
}

func TestMessageReads(t *testing.T) {
	for _, tt := range []struct {
		expr                string
		text, json, headers bool
	}{
		{`message.type == "text" && message.size < 10`, false, false, false},
		{`message.text == "x"`, true, false, false},
		{`has(message.text)`, true, false, false},
		{`message.json.text == "json"`, false, true, false},
		{`identity.claims.json == identity.claims.text`, false, false, false},
		{`[1].all(x, message.json.n == x)`, false, true, false},
		{`(message.size > 1 ? message : message).json == 1`, false, true, false},
		{`[message].exists(m, m.json == 1 || m.text == "")`, true, true, false},
		{`request.headers["x-team"] == "blue"`, false, false, true},
	} {
		m := compileMessage(t, tt.expr)
		if m.ReadsText() != tt.text || m.ReadsJSON() != tt.json || m.ReadsHeaders() != tt.headers {
			t.Errorf("%s reads text: %v, json: %v, headers: %v", tt.expr, m.ReadsText(), m.ReadsJSON(), m.ReadsHeaders())
		}
		if m.String() != tt.expr {
			t.Errorf("String() = %q, want %q", m, tt.expr)
		}
	}
}

// A hostile message of 64 KiB costs neither much memory nor much time (L1).
func TestL1MessageCost(t *testing.T) {
	const size = 64 << 10
	from := sender{alice(), request(t)}
	m := compileMessage(t, `message.json != 1`)
	fill := func(s string) string { return strings.Repeat(s, size/len(s)) }
	list := func(s string) string { return "[" + s + strings.Repeat(","+s, (size-2)/(len(s)+1)-1) + "]" }
	few := func(s string) string { return "[" + s + strings.Repeat(","+s, rule.MaxValues/2-2) + "]" }
	for _, tt := range []struct{ name, message string }{
		{"open brackets", fill("[")},
		{"open objects", fill(`{"":`)},
		{"deep", strings.Repeat("[", size/2) + strings.Repeat("]", size/2)},
		{"zeros", list("0")},
		{"fractions", list("0.5")},
		{"empty lists", list("[]")},
		{"small objects", list(`{"a":0}`)},
		{"as many objects as may", few(`{"ab":1000}`)},
		{"as many lists as may", few(`[1000]`)},
		{"as many strings as may", few(`"abcdef"`)},
		{"as many fractions as may", few(`0.123456`)},
		{"one string", `"` + fill("x")},
		{"one string, escaped", `["` + fill(`\u00e4`) + `"]`},
		{"one number", "[" + fill("1") + "]"},
		{"one fraction", "[0." + fill("1") + "]"},
		{"an exponent", "[1e" + fill("9") + "]"},
		{"spaces", "[" + fill(" ") + "]"},
		{"brackets in a string", `["` + fill("[") + `"]`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			began := time.Now()
			ok, err := m.Judge(from, true, []byte(tt.message))
			took := time.Since(began)
			runtime.ReadMemStats(&after)
			total := after.TotalAlloc - before.TotalAlloc - uint64(len(tt.message))
			t.Logf("%d KiB in %d allocations, %v: %v, %v", total>>10, after.Mallocs-before.Mallocs, took, ok, err)
			if total > 1<<20 {
				t.Errorf("%d bytes allocated, want at most 1 MiB", total)
			}
		})
	}
}

// A rule that loops over a message is cut off, however much is in one element (L1).
func TestL1MessageLoops(t *testing.T) {
	zeros := func(n int) string { return "[0" + strings.Repeat(",0", n-1) + "]" }
	message := []byte(`{"a":` + zeros(1000) + `,"b":[` + zeros(2900) + `],"c":{"x":` + zeros(100) + `},"d":` + zeros(20) + `}`)
	id := alice()
	id.Scopes = strings.Split(strings.Repeat("a", 1000), "")
	from := sender{id, request(t)}
	for _, expr := range []string{
		`message.json.a.all(x, message.json.b[0].all(y, x == y))`,
		`message.json.a.all(x, message.json.b == message.json.b)`,
		`message.json.a.all(x, !(message.json.b != message.json.b))`,
		`message.json.a.all(x, message.json.b in [message.json.b])`,
		`message.json.a.all(x, message.json.c == message.json.c)`,
		`message.json.a.all(x, {1: message.json.c} == {1: message.json.c})`,
		`message.json.a.all(x, identity.scopes == identity.scopes)`,
		`message.json.a.all(x, [message.json.b] == [message.json.b])`,
		`message.json.a.all(x, message.json.a.all(y, message.json.b == message.json.b))`,
		`message.json.a.map(x, message.text + message.text).size() > 0`,
	} {
		m := compileMessage(t, expr)
		began := time.Now()
		_, err := m.Judge(from, true, message)
		t.Logf("%s: %v", expr, time.Since(began))
		if err == nil || !strings.HasSuffix(err.Error(), "takes too long") {
			t.Errorf("%s: got %v, want takes too long", expr, err)
		}
	}
	for _, expr := range []string{
		`message.json.d.all(x, message.json.b == message.json.b)`,
		`message.json.a.all(x, x in message.json.d)`,
		`message.json.a.all(x, x != message.json.b && x == 0)`,
	} {
		if ok, err := compileMessage(t, expr).Judge(from, true, message); !ok {
			t.Errorf("%s: %v", expr, err)
		}
	}
}

func TestMessageConcurrent(t *testing.T) {
	m := compileMessage(t, `message.json.type == "chat" && "admin" in identity.claims.groups && request.method == "POST"`)
	from := sender{alice(), request(t)}
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for range 200 {
				if ok, err := m.Judge(from, true, []byte(chat)); !ok {
					t.Error(err)
					return
				}
			}
		})
	}
	wg.Wait()
}

func BenchmarkJudge(b *testing.B) {
	from := sender{alice(), request(b)}
	for _, bench := range []struct{ name, expr, message string }{
		{"size", `message.size < 1000`, chat},
		{"json", `message.json.type in ["chat", "ping"]`, chat},
		{"json and identity", `message.json.type == "chat" && "chat" in identity.scopes`, chat},
		{"text", `!message.text.contains("<script")`, chat},
		{"json, 4 KiB", `message.json.type == "chat"`, `{"type":"chat","text":"` + strings.Repeat("x", 4<<10) + `"}`},
	} {
		b.Run(bench.name, func(b *testing.B) {
			m, payload := compileMessage(b, bench.expr), []byte(bench.message)
			b.ReportAllocs()
			for b.Loop() {
				if ok, err := m.Judge(from, true, payload); !ok {
					b.Fatal(err)
				}
			}
		})
	}
}

func ExampleCompileMessage() {
	m, err := rule.CompileMessage(`message.size < 1000 && message.json.type in ["chat", "ping"]`)
	if err != nil {
		panic(err)
	}
	var s *portcullis.Session // from Guard.Admit
	_ = func(isText bool, payload []byte) bool {
		ok, err := m.Judge(s, isText, payload)
		return ok && err == nil
	}
}
