package rule

import (
	"bytes"
	"encoding/json"
	"strings"
	"unicode/utf8"

	"github.com/portcullis-auth/portcullis/internal/strictjson"
)

// MaxValues is how many values message.json may have: objects and arrays count,
// and each value in them. A value takes up to some 200 bytes while a message is
// judged.
const MaxValues = 4096

// parse returns a JSON text as a value that CEL knows.
func parse(text []byte) (any, error) {
	if !json.Valid(text) {
		return nil, errNotJSON
	}
	text = bytes.Trim(text, " \t\r\n")
	r := reader{scan: scan{text: text}}
	if text[0] != '{' && text[0] != '[' { // a scan needs something behind a value
		return scalar(text)
	}
	return r.value(1)
}

// A reader makes values of valid JSON.
type reader struct {
	scan
	values int // so far
}

// value returns the value that begins at i, and goes behind it.
func (r *reader) value(depth int) (any, error) {
	if r.values++; r.values > MaxValues {
		return nil, errTooMany
	}
	switch r.text[r.i] {
	case '{':
		return r.object(depth)
	case '[':
		return r.array(depth)
	}
	return scalar(r.scan.value())
}

func (r *reader) object(depth int) (any, error) {
	if depth > strictjson.MaxDepth {
		return nil, errTooDeep
	}
	members := make(map[string]any)
	for r.next(); r.text[r.i] != '}'; r.comma() {
		name, err := unquote(r.scan.value())
		if err != nil {
			return nil, err
		}
		if _, ok := members[name]; ok {
			return nil, errDuplicate
		}
		r.space()
		r.next() // the colon
		v, err := r.value(depth + 1)
		if err != nil {
			return nil, err
		}
		members[name] = v
	}
	r.i++
	return members, nil
}

func (r *reader) array(depth int) (any, error) {
	if depth > strictjson.MaxDepth {
		return nil, errTooDeep
	}
	list := []any{}
	for r.next(); r.text[r.i] != ']'; r.comma() {
		v, err := r.value(depth + 1)
		if err != nil {
			return nil, err
		}
		list = append(list, v)
	}
	r.i++
	return list, nil
}

// next goes from a delimiter to what comes behind it.
func (r *reader) next() {
	r.i++
	r.space()
}

// comma goes from a value's end to the next one, or to the closing delimiter.
func (r *reader) comma() {
	r.space()
	if r.text[r.i] == ',' {
		r.next()
	}
}

// scalar returns the value of what is no object or array.
func scalar(text []byte) (any, error) {
	switch text[0] {
	case '"':
		return unquote(text)
	case 't', 'f':
		return text[0] == 't', nil
	case 'n':
		return nil, nil
	}
	n, err := numeral(string(text))
	if err != nil {
		return nil, errOutOfRange
	}
	return n, nil
}

// unquote returns the value of a string. Half of a surrogate pair is none (RFC
// 8259, section 8.2): encoding/json makes U+FFFD of it.
func unquote(text []byte) (s string, err error) {
	inner := text[1 : len(text)-1]
	if bytes.IndexByte(inner, '\\') < 0 {
		return string(inner), nil
	}
	_ = json.Unmarshal(text, &s) // can't fail: it is valid
	if strings.ContainsRune(s, utf8.RuneError) && !bytes.ContainsRune(inner, utf8.RuneError) {
		return "", errNotJSON
	}
	return s, nil
}
