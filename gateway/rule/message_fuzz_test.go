package rule_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"github.com/portcullis-auth/portcullis"
	"github.com/portcullis-auth/portcullis/gateway/rule"
	"github.com/portcullis-auth/portcullis/internal/strictjson"
)

// FuzzMessage: a message that isn't strict JSON passes no rule that depends on
// message.json, one that is passes, and its value is what encoding/json reads.
func FuzzMessage(f *testing.F) {
	for _, seed := range []string{
		chat, ``, ` `, `[]`, `{}`, `null`, ` 1 `, `"x"`, `[1,-0,1.5,1e400,18446744073709551616]`, `{"a":1,"a":2}`,
		`{"a":{"b":[{"c":null}]}}`, `"\ud83d\ude00\ud83d"`, `{"\u0061":true,"a":0}`, `[[[[`, "\xff", `"\ufffd"`, "[\"\ufffd\\\"\"]",
	} {
		f.Add(true, []byte(seed))
	}
	f.Add(false, []byte(`{}`))
	rules := []*rule.Message{
		compileMessage(f, `message.json == 1 || message.json != 1`),
		compileMessage(f, `has(message.json.type) || !has(message.json.type)`),
		compileMessage(f, `message.json.type != "kick"`),
		compileMessage(f, `!(message.json.type in ["kick"]) && message.size > 0`),
		compileMessage(f, `message.json.all(x, true)`),
		compileMessage(f, `type(message.json) != bytes`),
	}
	from := sender{alice(), request(f)}
	f.Fuzz(func(t *testing.T, isText bool, payload []byte) {
		kept := bytes.Clone(payload)
		isJSON := isText && utf8.Valid(payload) && json.Valid(payload)
		for _, m := range rules {
			ok, err := m.Judge(from, isText, payload)
			if ok && (err != nil || !isJSON) || err != nil && !errors.Is(err, portcullis.ErrForbidden) {
				t.Fatalf("%s: %v, %v", m, ok, err)
			}
			if !bytes.Equal(payload, kept) {
				t.Fatalf("%s changes the message", m)
			}
		}
		if !isJSON {
			return
		}
		ok, err := rules[0].Judge(from, isText, payload)
		if _, bad := strictjson.Object(slices.Concat([]byte(`{"":`), payload, []byte(`}`))); ok && bad != nil && !tooDeep(payload) {
			t.Fatalf("passes though %v", bad)
		} else if !ok && bad == nil && len(payload) < rule.MaxValues && !bytes.Contains(payload, []byte(`\`)) &&
			!strings.HasSuffix(err.Error(), "out of range") {
			t.Fatalf("does not pass: %v", err)
		}
		if !ok {
			return
		}
		got, err := rule.Parse(payload)
		want, wantErr := rule.Decode(payload)
		if diff := cmp.Diff(want, got); err != nil || wantErr != nil || diff != "" {
			t.Fatalf("%v, %v: %s", err, wantErr, diff)
		}
	})
}

// tooDeep reports whether a message is at the depth where one object around it is
// too much.
func tooDeep(payload []byte) bool {
	_, err := strictjson.Object(slices.Concat([]byte(`{"":`), payload, []byte(`}`)))
	return err != nil && bytes.Contains([]byte(err.Error()), []byte("nested"))
}
