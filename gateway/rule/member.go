package rule

import (
	"bytes"
	"encoding/json"
	"unicode/utf8"
)

// object returns raw without the spaces around it, if it is a JSON object in
// UTF-8.
func object(raw []byte) ([]byte, bool) {
	raw = bytes.Trim(raw, " \t\r\n")
	if len(raw) == 0 || raw[0] != '{' || !utf8.Valid(raw) || !json.Valid(raw) {
		return nil, false
	}
	return raw, true
}

// member returns the value of a name in what object has passed; the last one,
// as encoding/json does, if there are several. It exists because a map of all
// members costs several microseconds and dozens of allocations, for each
// request, where a rule asks for one of them.
func member(object []byte, name string) (value json.RawMessage, found bool) {
	s := scan{text: object, i: 1}
	for {
		s.space()
		if s.text[s.i] == '}' {
			return value, found
		}
		key := s.value()
		s.space() // before the colon
		s.i++
		s.space()
		v := s.value()
		if isName(key, name) {
			value, found = v, true
		}
		s.space()
		if s.text[s.i] == ',' {
			s.i++
		}
	}
}

// isName reports whether a JSON string says name.
func isName(text []byte, name string) bool {
	inner := text[1 : len(text)-1]
	if bytes.IndexByte(inner, '\\') < 0 {
		return string(inner) == name
	}
	var s string
	return json.Unmarshal(text, &s) == nil && s == name
}

// A scan goes over valid JSON.
type scan struct {
	text []byte
	i    int
}

func (s *scan) space() {
	for s.text[s.i] == ' ' || s.text[s.i] == '\t' || s.text[s.i] == '\n' || s.text[s.i] == '\r' {
		s.i++
	}
}

// value returns the value that begins at i, and goes behind it.
func (s *scan) value() []byte {
	begin, depth := s.i, 0
	for {
		switch s.text[s.i] {
		case '"':
			s.quoted()
		case '{', '[':
			depth++
			s.i++
		case '}', ']':
			depth--
			s.i++
		default:
			if depth == 0 {
				return s.bare(begin)
			}
			s.i++
		}
		if depth == 0 {
			return s.text[begin:s.i]
		}
	}
}

// bare goes behind a number, true, false or null.
func (s *scan) bare(begin int) []byte {
	for !bytes.ContainsRune([]byte(",}] \t\r\n"), rune(s.text[s.i])) {
		s.i++
	}
	return s.text[begin:s.i]
}

// quoted goes behind a string.
func (s *scan) quoted() {
	for s.i++; s.text[s.i] != '"'; s.i++ {
		if s.text[s.i] == '\\' {
			s.i++
		}
	}
	s.i++
}
