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
	"io"
	"unicode/utf8"
)

// MaxDepth is how deep objects and arrays may nest.
const MaxDepth = 32

// Object returns the members of the JSON object in raw, each with its value as
// it stands. The values alias raw. No error holds anything of raw.
func Object(raw []byte) (map[string]json.RawMessage, error) {
	if !utf8.Valid(raw) {
		return nil, errors.New("not valid UTF-8")
	}
	d := json.NewDecoder(bytes.NewReader(raw))
	d.UseNumber()
	first, err := d.Token()
	if err != nil {
		return nil, clean(err)
	}
	if first != json.Delim('{') {
		return nil, errors.New("not a JSON object")
	}
	if err := walk(d, true, 1); err != nil {
		return nil, err
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return nil, errors.New("data behind the JSON object")
	}
	var members map[string]json.RawMessage
	if err := json.Unmarshal(raw, &members); err != nil {
		return nil, clean(err)
	}
	return members, nil
}

// walk reads the rest of an object or array whose opening token has been read.
func walk(d *json.Decoder, object bool, depth int) error {
	if depth > MaxDepth {
		return fmt.Errorf("nested deeper than %d", MaxDepth)
	}
	var names map[string]bool
	for d.More() {
		if object {
			token, err := d.Token()
			if err != nil {
				return clean(err)
			}
			name, _ := token.(string)
			if names[name] {
				return errors.New("duplicate name")
			}
			if names == nil {
				names = make(map[string]bool)
			}
			names[name] = true
		}
		token, err := d.Token()
		if err != nil {
			return clean(err)
		}
		if delim, ok := token.(json.Delim); ok {
			if err := walk(d, delim == '{', depth+1); err != nil {
				return err
			}
		}
	}
	_, err := d.Token() // the closing delimiter
	return clean(err)
}

// clean turns an error of encoding/json, which may quote the input, into one
// that doesn't.
func clean(err error) error {
	if err == nil {
		return nil
	}
	var syntax *json.SyntaxError
	if errors.As(err, &syntax) {
		return fmt.Errorf("not JSON at byte %d", syntax.Offset)
	}
	return errors.New("not JSON")
}
