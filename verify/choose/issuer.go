package choose

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"strings"
	"unicode/utf8"

	"github.com/portcullis-auth/portcullis/internal/askhttp"
)

// issuer returns the "iss" that a token in the JWS Compact Serialization (RFC
// 7515, section 7.1) names: three parts, the second of them base64url of a JSON
// object. "": the token is none, is longer than 16 KiB, or names none.
//
// This is read for every token, so it decodes nothing but the one claim. It is
// strict about that one (J4): "Iss" isn't it, and two are none. The rest is read
// by the Verifier that gets the token.
func issuer(token string) string {
	if len(token) > askhttp.MaxToken { // J5
		return ""
	}
	_, rest, _ := strings.Cut(token, ".")
	payload, signature, ok := strings.Cut(rest, ".")
	if !ok || strings.Contains(signature, ".") { // five parts: JWE
		return ""
	}
	raw, err := base64.RawURLEncoding.DecodeString(payload)
	if err != nil || !utf8.Valid(raw) || !json.Valid(raw) {
		return ""
	}
	return member(raw, "iss")
}

// member returns the string that is called name in the object in raw, which is
// valid JSON. "": it is no object, has no such member or two, or that isn't a
// string.
func member(raw []byte, name string) string {
	value, depth, found := "", 0, false
	for i := 0; i < len(raw); i++ {
		switch raw[i] {
		case '{', '[':
			depth++
		case '}', ']':
			depth--
		case '"':
			start := i
			i = quote(raw, i)
			colon := space(raw, i+1)
			// With a colon behind it, it is a name; at depth 1 one of the outermost object's.
			if depth != 1 || raw[colon] != ':' || string(text(raw[start:i+1])) != name {
				continue
			}
			first := space(raw, colon+1)
			if found || raw[first] != '"' {
				return ""
			}
			found = true
			value = string(text(raw[first : quote(raw, first)+1]))
		}
	}
	return value
}

// space returns the index of the first byte from i on that isn't white space.
func space(raw []byte, i int) int {
	for i < len(raw) && (raw[i] == ' ' || raw[i] == '\t' || raw[i] == '\r' || raw[i] == '\n') {
		i++
	}
	return i
}

// quote returns the index of the quotation mark that ends the string at i.
func quote(raw []byte, i int) int {
	for i++; raw[i] != '"'; i++ {
		if raw[i] == '\\' {
			i++
		}
	}
	return i
}

// text returns what a JSON string says.
func text(quoted []byte) []byte {
	if bytes.IndexByte(quoted, '\\') < 0 {
		return quoted[1 : len(quoted)-1]
	}
	var s string
	_ = json.Unmarshal(quoted, &s) // it is valid
	return []byte(s)
}
