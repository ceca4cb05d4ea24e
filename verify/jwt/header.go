package jwt

import (
	"bytes"
	"encoding/json"
	"slices"
	"strings"

	"github.com/portcullis-auth/portcullis/internal/strictjson"
)

// maxKeyID is how long the name of a key may be, in bytes.
const maxKeyID = 512

// A header is what we want to know of a token's.
type header struct {
	alg string
	typ string // as mediaType has it; "": none
	kid string // "": none
}

// header reads and checks the JOSE header (RFC 7515, section 4).
func (v *Verifier) header(encoded string) (h header, err error) {
	raw, err := decode(encoded)
	if err != nil {
		return h, refuse("the header is not base64url")
	}
	members, err := strictjson.Object(raw) // J4
	if err != nil {
		return h, refuse("the header is " + err.Error())
	}

	// RFC 7515, section 4.1.11: we understand no extension, so there can be none
	// that must be. RFC 7797: "b64" would change what is signed. RFC 7516: "enc"
	// and "zip" are for encrypted tokens.
	for _, name := range []string{"crit", "b64", "enc", "zip"} {
		if _, ok := members[name]; ok {
			return h, refuse(`the header has "` + name + `"`)
		}
	}

	// J1: an algorithm of our list, which cannot hold "none" or HMAC.
	if h.alg, _ = text(members["alg"]); !slices.Contains(v.config.Algorithms, h.alg) {
		return h, refuse(`"alg" is not an accepted algorithm`)
	}

	// J2: the kind of token (RFC 8725, section 3.11).
	if raw, ok := members["typ"]; ok {
		typ, _ := text(raw)
		if h.typ = mediaType(typ); h.typ == "" {
			return h, refuse(`"typ" is not a type`)
		}
	}
	if !slices.Contains(v.config.Types, h.typ) {
		return h, refuse(`"typ" is not an accepted type`)
	}

	// J3: a name to compare with others, and nothing else.
	if raw, ok := members["kid"]; ok {
		if h.kid, _ = text(raw); h.kid == "" || len(h.kid) > maxKeyID {
			return h, refuse(`"kid" is not a name`)
		}
	}
	return h, nil
}

// mediaType returns the one spelling of a type (RFC 7515, section 4.1.9).
func mediaType(typ string) string {
	return strings.TrimPrefix(strings.ToLower(typ), "application/")
}

// text reads a string. raw is a value out of strict JSON, or nil.
func text(raw json.RawMessage) (s string, ok bool) {
	switch {
	case len(raw) == 0 || raw[0] != '"':
		return "", false
	case bytes.IndexByte(raw, '\\') < 0: // the usual case, and a fifth of the price
		return string(raw[1 : len(raw)-1]), true
	}
	return s, json.Unmarshal(raw, &s) == nil
}
