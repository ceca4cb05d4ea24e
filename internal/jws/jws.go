// Package jws reads signed tokens: JSON Web Tokens (RFC 7519) in the JWS Compact
// Serialization (RFC 7515, section 7.1), signed with a private key (RFC 7518,
// section 3; RFC 8037). It reads them strictly: what two readers could take for
// two things, and what demands something that we don't understand, is no token.
//
// [Parse] does all that needs no key, [Token.Verify] the rest. Between the two a
// caller may look at a token, to refuse cheaply what no signature can save, but
// must believe nothing of it.
//
// Limits: how long a token may be, and what its claims mean, is the caller's to
// say. Encrypted tokens (RFC 7516) are refused.
package jws

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/portcullis-auth/portcullis/internal/strictjson"
)

// maxKeyID is how long the name of a key may be, in bytes.
const maxKeyID = 512

// A Token is one that has the right form. It is made by [Parse].
type Token struct {
	Algorithm string                     // "alg"; EdDSA also for Ed25519, its name by RFC 9864
	Type      string                     // "typ", as MediaType has it; "": none
	KeyID     string                     // "kid"; "": none
	Payload   []byte                     // the claims, as they came
	Claims    map[string]json.RawMessage // and each of them; the values alias Payload

	input     string // what is signed
	signature []byte
}

// Parse reads a token whose algorithm and type are among these. No algorithm may
// be symmetric, or "none". The types are as [MediaType] has them; "" stands for
// none. It takes time in proportion to the token's length, which it doesn't
// bound. An error means that this is no such token. It says why, and holds
// nothing of the token.
func Parse(token string, algorithms, types []string) (*Token, error) {
	// RFC 7515, section 7.1: three parts. Five would be a JWE, which is not
	// decrypted, let alone decompressed (J5).
	head, rest, _ := strings.Cut(token, ".")
	body, tail, _ := strings.Cut(rest, ".")
	if head == "" || body == "" || tail == "" || strings.Contains(tail, ".") {
		return nil, errors.New("not a signed token of three parts (encrypted ones have five)")
	}
	t := &Token{input: token[:len(token)-len(tail)-1]}

	// J1, J2: the header. What it says of keys, but for a name, is not looked
	// at: jku, x5u, x5c and jwk are where forgers keep theirs (J3).
	_, header, err := object(head)
	if err == nil {
		err = t.header(header, algorithms, types)
	}
	if err != nil {
		return nil, fmt.Errorf("header: %w", err)
	}
	if t.Payload, t.Claims, err = object(body); err != nil {
		return nil, fmt.Errorf("claims: %w", err)
	}
	if t.signature, err = decode(tail); err != nil {
		return nil, fmt.Errorf("signature: %w", err)
	}
	return t, nil
}

// header checks the JOSE header (RFC 7515, section 4), and keeps what we want to
// know of it.
func (t *Token) header(members map[string]json.RawMessage, algorithms, types []string) error {
	// RFC 7515, section 4.1.11: we understand no extension, so there can be none
	// that must be. RFC 7797: "b64" would change what is signed. RFC 7516: "enc"
	// and "zip" are for encrypted tokens.
	for _, name := range []string{"crit", "b64", "enc", "zip"} {
		if _, ok := members[name]; ok {
			return errors.New(`it has "` + name + `"`)
		}
	}

	// J1: an algorithm of the list.
	alg, _ := Text(members["alg"])
	if t.Algorithm = CommonName(alg); !slices.Contains(algorithms, t.Algorithm) {
		return errors.New(`"alg" is not an accepted algorithm`)
	}

	// J2: the kind of token (RFC 8725, section 3.11).
	if raw, ok := members["typ"]; ok {
		typ, _ := Text(raw)
		if t.Type = MediaType(typ); t.Type == "" {
			return errors.New(`"typ" is not a type`)
		}
	}
	if !slices.Contains(types, t.Type) {
		return errors.New(`"typ" is not an accepted type`)
	}

	// J3: a name to compare with others, and nothing else.
	if raw, ok := members["kid"]; ok {
		if t.KeyID, _ = Text(raw); t.KeyID == "" || len(t.KeyID) > maxKeyID {
			return errors.New(`"kid" is not a name`)
		}
	}
	return nil
}

// For reports whether the token names one of us as its audience: "aud" is a
// string or an array of strings (RFC 7519, section 4.1.3).
func (t *Token) For(us ...string) bool {
	raw := t.Claims["aud"]
	if aud, ok := Text(raw); ok {
		return slices.Contains(us, aud)
	}
	var list []json.RawMessage
	if json.Unmarshal(raw, &list) != nil {
		return false
	}
	found := false
	for _, raw := range list {
		aud, ok := Text(raw)
		if !ok {
			return false
		}
		found = found || slices.Contains(us, aud)
	}
	return found
}

// object reads a part that is a JSON object, strictly (J4).
func object(part string) (raw []byte, members map[string]json.RawMessage, err error) {
	if raw, err = decode(part); err == nil {
		members, err = strictjson.Object(raw)
	}
	return raw, members, err
}

// decode reads base64url as RFC 7515, section 2, has it: no padding, and one
// spelling of each value. Go skips line breaks.
func decode(part string) ([]byte, error) {
	raw, err := base64.RawURLEncoding.Strict().DecodeString(part)
	if err != nil || strings.ContainsAny(part, "\r\n") {
		return nil, errors.New("not base64url")
	}
	return raw, nil
}

// CommonName returns the name by which lists of algorithms have this one: what
// RFC 9864 calls Ed25519 is EdDSA in them, since we have no other.
func CommonName(alg string) string {
	if alg == "Ed25519" {
		return "EdDSA"
	}
	return alg
}

// MediaType returns the one spelling of a type (RFC 7515, section 4.1.9).
func MediaType(typ string) string {
	return strings.TrimPrefix(strings.ToLower(typ), "application/")
}

// Text reads a string. raw is a value out of strict JSON, or nil.
func Text(raw json.RawMessage) (s string, ok bool) {
	switch {
	case len(raw) == 0 || raw[0] != '"':
		return "", false
	case bytes.IndexByte(raw, '\\') < 0: // the usual case, and a fifth of the price
		return string(raw[1 : len(raw)-1]), true
	}
	return s, json.Unmarshal(raw, &s) == nil
}
