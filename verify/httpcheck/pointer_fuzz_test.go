package httpcheck_test

import (
	"bytes"
	"encoding/json"
	"reflect"
	"strconv"
	"strings"
	"testing"

	"github.com/portcullis-auth/portcullis/internal/strictjson"
	"github.com/portcullis-auth/portcullis/verify/httpcheck"
)

// J4: a pointer finds what a plain walk through the decoded answer finds, and
// nothing else.
func FuzzJ4Pointer(f *testing.F) {
	const body = `{"a":{"b":[1,{"c":null,"":"x"}],"m~n":2,"x/y":"z"},"/a":{"b":3},"~1":4}`
	for _, name := range []string{"a", "/a", "/a/b/0", "/a/b/1/c", "/a/b/1/", "/a/b/-", "/a/m~0n", "/a/x~1y", "/~01", "/a/m~0n/x", "/~1a/b"} {
		f.Add(name, []byte(body))
	}
	f.Fuzz(func(t *testing.T, name string, body []byte) {
		members, err := strictjson.Object(body)
		if err != nil {
			return
		}
		raw, err := httpcheck.Find(name, members)
		want := walk(name, decode(t, body))
		if err != nil && want != nil {
			t.Errorf("%q in %s: %v, want %v", name, body, err, want)
		}
		var got any
		if raw != nil {
			got = decode(t, raw)
		}
		if err == nil && !reflect.DeepEqual(got, want) {
			t.Errorf("%q in %s: %v, want %v", name, body, got, want)
		}
	})
}

func decode(t *testing.T, raw []byte) (v any) {
	d := json.NewDecoder(bytes.NewReader(raw))
	d.UseNumber()
	if err := d.Decode(&v); err != nil {
		t.Errorf("%s: %v", raw, err)
	}
	return v
}

// walk returns the value, or nil where there is none.
func walk(name string, v any) any {
	steps := strings.Split(name, "/")[1:]
	if !strings.HasPrefix(name, "/") {
		return v.(map[string]any)[name]
	}
	for _, step := range steps {
		step = strings.ReplaceAll(strings.ReplaceAll(step, "~1", "/"), "~0", "~") // in this order: RFC 6901, section 4
		switch at := v.(type) {
		case map[string]any:
			v = at[step]
		case []any:
			v = nil
			for i, element := range at {
				if strconv.Itoa(i) == step {
					v = element
				}
			}
		default:
			return nil
		}
	}
	return v
}
