package httpcheck

import (
	"encoding/json"
	"errors"
	"strconv"
	"strings"
)

// A pointer is where a field stands in the answer: the names on the way to it.
type pointer []string

// parsePointer reads a JSON pointer (RFC 6901, section 3), or the name of a
// member of the object itself.
func parsePointer(name string) (pointer, error) {
	rest, ok := strings.CutPrefix(name, "/")
	if !ok {
		return pointer{name}, nil
	}
	p := strings.Split(rest, "/")
	for i, token := range p {
		if strings.Count(token, "~") != strings.Count(token, "~0")+strings.Count(token, "~1") {
			return nil, errors.New(`a JSON pointer has "~" only in "~0" and "~1"`)
		}
		p[i] = unescape.Replace(token)
	}
	return p, nil
}

// unescape reads "~01" as "~1": it doesn't look at what it has replaced.
var unescape = strings.NewReplacer("~0", "~", "~1", "/")

// errShape says that something on the way is neither an object nor an array.
var errShape = errors.New("not where it should be")

// find returns the value that p points to. It is nil if that is null, or if it
// or something on the way is absent. members has been read strictly, at every
// level.
func (p pointer) find(members map[string]json.RawMessage) (json.RawMessage, error) {
	raw := members[p[0]]
	for _, name := range p[1:] {
		if raw == nil {
			return nil, nil
		}
		var (
			object map[string]json.RawMessage
			array  []json.RawMessage
		)
		switch {
		case json.Unmarshal(raw, &object) == nil: // or null, in which there is nothing
			raw = object[name]
		case json.Unmarshal(raw, &array) == nil:
			raw = nil
			// RFC 6901, section 4: no sign, no leading zero.
			if i, err := strconv.Atoi(name); err == nil && strconv.Itoa(i) == name && i >= 0 && i < len(array) {
				raw = array[i]
			}
		default:
			return nil, errShape
		}
	}
	if string(raw) == "null" {
		return nil, nil
	}
	return raw, nil
}
