package rule

import (
	"bytes"
	"encoding/json"
)

// Parse returns what message.json is.
func Parse(text []byte) (any, error) { return parse(text) }

// Decode returns what encoding/json makes of it, with numbers as CEL knows them.
func Decode(text []byte) (v any, err error) {
	d := json.NewDecoder(bytes.NewReader(text))
	d.UseNumber()
	err = d.Decode(&v)
	return number(v), err
}
