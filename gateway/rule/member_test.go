package rule

import (
	"encoding/json"
	"testing"
)

// FuzzMember: member finds what encoding/json finds.
func FuzzMember(f *testing.F) {
	for _, seed := range []string{
		`{}`, ` { } `, `{"a":1}`, `{"a" : 1 , "b" :[ {"a":2}, "]}" ] }`, `{"a":"\\\"","b":{}}`, `{"\u0061":true}`,
		`{"a":1,"a":2}`, `{"a":null}`, `{"b":{"a":1},"a":[]}`, `{"":-1.5e3}`, `{"ä":"ö"}`, `[]`, `{"a":1}x`, "{\"\xff\":1}", "",
	} {
		f.Add(seed, "a")
	}
	f.Fuzz(func(t *testing.T, raw, name string) {
		text, ok := object([]byte(raw))
		if !ok {
			return
		}
		var want map[string]json.RawMessage
		if err := json.Unmarshal([]byte(raw), &want); err != nil {
			t.Fatalf("object accepts %q: %v", raw, err)
		}
		names := []string{name}
		for n := range want {
			names = append(names, n)
		}
		for _, n := range names {
			got, found := member(text, n)
			if w, ok := want[n]; ok != found || string(w) != string(got) {
				t.Fatalf("member(%q, %q) = %q, %v; want %q, %v", raw, n, got, found, w, ok)
			}
		}
	})
}
