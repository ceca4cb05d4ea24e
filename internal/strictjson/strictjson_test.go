package strictjson_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/portcullis-auth/portcullis/internal/strictjson"
)

// J4: strict JSON.
func TestJ4Object(t *testing.T) {
	for _, tt := range []struct{ name, in, wantErr string }{
		{"plain", `{"active":true,"sub":"u1","aud":["a"],"x":{"y":[1,{"z":null}]}}`, ""},
		{"white space around", " \n{ } \t", ""},
		{"names that differ in case are different", `{"active":true,"Active":false}`, ""},
		{"duplicate name", `{"active":true,"active":false}`, "duplicate name"},
		{"duplicate name, escaped", `{"active":true,"\u0061ctive":false}`, "duplicate name"},
		{"duplicate name inside", `{"a":[{"b":1,"b":2}]}`, "duplicate name"},
		{"trailing data", `{} x`, "data behind"},
		{"second object", `{}{}`, "data behind"},
		{"array", `[]`, "not a JSON object"},
		{"string", `"secret-value"`, "not a JSON object"},
		{"empty", ``, "not JSON"},
		{"cut", `{"a":1`, "not JSON"},
		{"html", `<html>`, "not JSON"},
		{"bad UTF-8", "{\"a\":\"\xff\"}", "UTF-8"},
		{"deep", `{"a":` + strings.Repeat("[", 40) + strings.Repeat("]", 40) + `}`, "nested deeper"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, err := strictjson.Object([]byte(tt.in))
			if (err == nil) != (tt.wantErr == "") || err != nil && !strings.Contains(err.Error(), tt.wantErr) {
				t.Errorf("err = %v, want %q", err, tt.wantErr)
			}
			if err != nil && strings.Contains(err.Error(), "secret") {
				t.Errorf("the error quotes a value: %v", err)
			}
		})
	}
}

// FuzzObject: what Object accepts is what encoding/json reads, and no value of
// it gets lost.
func FuzzObject(f *testing.F) {
	f.Add([]byte(`{"a":1,"b":{"c":[true,null,"x"]}}`))
	f.Add([]byte(`{"a":1,"a":2}`))
	f.Add([]byte(`{"\ud800":1,"\ud801":2}`))
	f.Fuzz(func(t *testing.T, raw []byte) {
		members, err := strictjson.Object(raw)
		if err != nil {
			return
		}
		var want map[string]any
		if err := json.Unmarshal(raw, &want); err != nil {
			t.Fatalf("accepted what encoding/json refuses: %v", err)
		}
		if len(want) != len(members) {
			t.Errorf("%d members, want %d", len(members), len(want))
		}
	})
}
