// Package strictjson reads a JSON object whose meaning two parsers could not
// disagree about: exact names, no duplicate names at any level, valid UTF-8,
// nothing behind the object. (encoding/json matches names without case, lets
// the last duplicate win and replaces bad UTF-8; in an answer about somebody's
// rights each of these is a hole.)
package strictjson

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"
)

// MaxDepth is how deep objects and arrays may nest.
const MaxDepth = 32

// Object returns the members of the JSON object in raw, each with its value as
// it stands. The values alias raw. No error holds anything of raw.
func Object(raw []byte) (map[string]json.RawMessage, error) {
	switch {
	case !utf8.Valid(raw):
		return nil, errors.New("not valid UTF-8")
	case !json.Valid(raw):
		return nil, malformed(raw)
	}
	w := walker{raw: raw}
	w.space()
	if raw[w.at] != '{' {
		return nil, errors.New("not a JSON object")
	}
	return w.object(1, min(bytes.Count(raw, []byte(`":`)), 32)) // at least as many, usually
}

// A walker goes once over JSON that is known to be valid. Each method starts at
// the first byte of what it is called after, and ends behind its last.
type walker struct {
	raw []byte
	at  int
}

func (w *walker) object(depth, room int) (map[string]json.RawMessage, error) {
	if depth > MaxDepth {
		return nil, fmt.Errorf("nested deeper than %d", MaxDepth)
	}
	members := make(map[string]json.RawMessage, room)
	for w.next(); w.raw[w.at] != '}'; {
		name := w.name()
		if _, ok := members[name]; ok {
			return nil, errors.New("duplicate name")
		}
		w.space()
		w.next() // the colon
		start := w.at
		if err := w.value(depth + 1); err != nil {
			return nil, err
		}
		members[name] = w.raw[start:w.at:w.at]
		w.comma()
	}
	w.at++
	return members, nil
}

func (w *walker) array(depth int) error {
	if depth > MaxDepth {
		return fmt.Errorf("nested deeper than %d", MaxDepth)
	}
	for w.next(); w.raw[w.at] != ']'; w.comma() {
		if err := w.value(depth + 1); err != nil {
			return err
		}
	}
	w.at++
	return nil
}

func (w *walker) value(depth int) (err error) {
	switch w.raw[w.at] {
	case '{':
		_, err = w.object(depth, 0)
	case '[':
		err = w.array(depth)
	case '"':
		w.text()
	default: // a number, true, false or null: inside an object something ends it
		w.at += bytes.IndexAny(w.raw[w.at:], ",]} \t\r\n")
	}
	return err
}

// name reads a string and returns its value.
func (w *walker) name() (s string) {
	start := w.at
	w.text()
	quoted := w.raw[start:w.at]
	if bytes.IndexByte(quoted, '\\') < 0 {
		return string(quoted[1 : len(quoted)-1])
	}
	_ = json.Unmarshal(quoted, &s) // can't fail: it is valid
	return s
}

func (w *walker) text() {
	for w.at++; w.raw[w.at] != '"'; w.at++ {
		if w.raw[w.at] == '\\' {
			w.at++
		}
	}
	w.at++
}

// next goes from a delimiter to what comes behind it.
func (w *walker) next() {
	w.at++
	w.space()
}

// comma goes from a value's end to the next one, or to the closing delimiter.
func (w *walker) comma() {
	w.space()
	if w.raw[w.at] == ',' {
		w.next()
	}
}

func (w *walker) space() {
	for strings.IndexByte(" \t\r\n", w.raw[w.at]) >= 0 {
		w.at++
	}
}

// malformed says what is wrong with what isn't JSON, without quoting it as
// encoding/json does.
func malformed(raw []byte) error {
	d := json.NewDecoder(bytes.NewReader(raw))
	var first json.RawMessage
	var syntax *json.SyntaxError
	switch err := d.Decode(&first); {
	case errors.As(err, &syntax):
		return fmt.Errorf("not JSON at byte %d", syntax.Offset)
	case err != nil:
		return errors.New("not JSON")
	case first[0] != '{':
		return errors.New("not a JSON object")
	}
	return errors.New("data behind the JSON object")
}
