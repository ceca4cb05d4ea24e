package rule

import (
	"bytes"
	"encoding/json"
	"maps"
	"net/http"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"cel.dev/cel-go/common/types"
	"cel.dev/cel-go/common/types/ref"
	"cel.dev/cel-go/common/types/traits"
)

// A lazyMap is a CEL map that makes a value when it is asked for. What rules do
// most, look up one name, costs one value; everything else makes them all.
type lazyMap struct {
	find func(name string) (any, bool)
	keys func() []string
	full traits.Mapper // nil until all values are needed
}

// claims and headers are the maps of the two variables.
type (
	claims  = lazyMap
	headers = lazyMap
)

var _ traits.Mapper = (*lazyMap)(nil)

// newClaims returns the members of a JSON object, each decoded on demand. What
// isn't an object has none.
func newClaims(raw json.RawMessage) *claims {
	text, ok := object(raw)
	if !ok {
		text = []byte("{}")
	}
	return &claims{
		find: func(name string) (any, bool) {
			raw, ok := member(text, name)
			if !ok {
				return nil, false
			}
			return decode(raw), true
		},
		keys: func() []string {
			var members map[string]json.RawMessage
			if json.Unmarshal(text, &members) != nil {
				return nil
			}
			return slices.Collect(maps.Keys(members))
		},
	}
}

// decode returns a JSON value as one that CEL knows.
func decode(raw json.RawMessage) any {
	switch raw[0] {
	case '"':
		var text string
		if json.Unmarshal(raw, &text) != nil {
			return types.NewErr("not JSON")
		}
		return types.String(text)
	case 't', 'f':
		return types.Bool(raw[0] == 't')
	}
	d := json.NewDecoder(bytes.NewReader(raw))
	d.UseNumber()
	var v any
	if err := d.Decode(&v); err != nil {
		return types.NewErr("not JSON")
	}
	return number(v)
}

// numeral returns a JSON number as an int64, uint64 or float64. An integer must
// not become a float64 while it fits elsewhere: two account numbers that differ
// in the last digit would be equal.
func numeral(text string) (any, error) {
	if i, err := strconv.ParseInt(text, 10, 64); err == nil {
		return i, nil
	}
	if u, err := strconv.ParseUint(text, 10, 64); err == nil {
		return u, nil
	}
	return strconv.ParseFloat(text, 64)
}

// number replaces every [json.Number] in v by its numeral.
func number(v any) any {
	switch v := v.(type) {
	case json.Number:
		n, err := numeral(v.String())
		if err != nil {
			return types.NewErr("number out of range")
		}
		return n
	case []any:
		for i := range v {
			v[i] = number(v[i])
		}
	case map[string]any:
		for name := range v {
			v[name] = number(v[name])
		}
	}
	return v
}

// newHeaders returns a header with its names in lower case.
func newHeaders(h http.Header) *headers {
	return &headers{
		find: func(name string) (any, bool) {
			if name != strings.ToLower(name) {
				return nil, false
			}
			values := h[http.CanonicalHeaderKey(name)]
			if len(values) == 0 {
				return nil, false
			}
			return types.String(strings.Join(values, ", ")), true
		},
		keys: func() []string {
			names := make([]string, 0, len(h))
			for name, values := range h {
				if len(values) > 0 {
					names = append(names, strings.ToLower(name))
				}
			}
			return names
		},
	}
}

// any reports whether m has a key.
func (m *lazyMap) any() bool { return len(m.keys()) > 0 }

// all returns m with every value made.
func (m *lazyMap) all() traits.Mapper {
	if m.full == nil {
		values := make(map[string]any)
		for _, name := range m.keys() {
			if v, ok := m.find(name); ok {
				values[name] = v
			}
		}
		m.full = types.NewStringInterfaceMap(types.DefaultTypeAdapter, values)
	}
	return m.full
}

// Find returns the value of a key.
func (m *lazyMap) Find(key ref.Val) (ref.Val, bool) {
	name, ok := key.(types.String)
	if !ok {
		return nil, false
	}
	v, ok := m.find(string(name))
	if !ok {
		return nil, false
	}
	return types.DefaultTypeAdapter.NativeToValue(v), true
}

// Get returns the value of a key, or an error.
func (m *lazyMap) Get(key ref.Val) ref.Val {
	if v, ok := m.Find(key); ok {
		return v
	}
	return types.ValOrErr(key, "no such key: %v", key)
}

// Contains reports whether there is such a key.
func (m *lazyMap) Contains(key ref.Val) ref.Val {
	_, ok := m.Find(key)
	return types.Bool(ok)
}

// Iterator returns the keys one by one.
func (m *lazyMap) Iterator() traits.Iterator { return m.all().Iterator() }

// Size returns the number of keys.
func (m *lazyMap) Size() ref.Val { return types.Int(len(m.keys())) }

// ConvertToNative returns m as a Go value.
func (m *lazyMap) ConvertToNative(t reflect.Type) (any, error) { return m.all().ConvertToNative(t) }

// ConvertToType returns m as a value of another CEL type.
func (m *lazyMap) ConvertToType(t ref.Type) ref.Val { return m.all().ConvertToType(t) }

// Equal reports whether m and other are equal maps.
func (m *lazyMap) Equal(other ref.Val) ref.Val { return m.all().Equal(other) }

// Type returns CEL's map type.
func (m *lazyMap) Type() ref.Type { return types.MapType }

// Value returns m as a Go map.
func (m *lazyMap) Value() any { return m.all().Value() }
