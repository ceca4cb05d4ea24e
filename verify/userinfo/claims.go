package userinfo

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/portcullis-auth/portcullis/internal/askhttp"
	"github.com/portcullis-auth/portcullis/internal/strictjson"
)

// protocol are the claims that say what the token is, how its user logged in
// and what it may do. They are the token's, and where it has none there is
// none: RFC 7519, 7662, 7800, 8693, 9068, 9396 and OpenID Connect Core 1.0,
// section 2.
var protocol = []string{
	"iss", "sub", "aud", "exp", "nbf", "iat", "jti", "typ",
	"active", "token_type", "scope", "scp", "client_id", "azp", "sid",
	"act", "may_act", "cnf", "authorization_details",
	"auth_time", "acr", "amr", "nonce", "at_hash", "c_hash", "s_hash",
}

// isProtocol reports whether a claim is one of these, for whoever reads it:
// many parsers, Go's among them, match names without case.
func isProtocol(name string) bool {
	return slices.ContainsFunc(protocol, func(p string) bool { return strings.EqualFold(p, name) })
}

// An info is what is known about a user: an answer without protocol claims. It
// is not changed once it is made.
type info map[string]json.RawMessage

// read reads an answer about the subject; named: it must say so.
func read(body []byte, subject string, named bool) (info, error) {
	members, err := strictjson.Object(body) // J4
	if err != nil {
		return nil, fmt.Errorf("the answer is %w", err)
	}
	// OpenID Connect Core 1.0, section 5.3.2: "sub" must be there and must be
	// the token's, since the answer could be for another token.
	switch sub := members["sub"]; {
	case sub == nil || string(sub) == "null":
		if named {
			return nil, errors.New(`the answer names no user: it has no "sub"`)
		}
	case !isSubject(sub, subject):
		return nil, errors.New(`the answer is about another user: its "sub" is not the token's`)
	}
	maps.DeleteFunc(members, func(name string, _ json.RawMessage) bool { return isProtocol(name) })
	return members, nil
}

// isSubject reports whether a claim is the subject: a string, or a whole number
// as its digits, as verify/httpcheck reads it.
func isSubject(raw json.RawMessage, subject string) bool {
	var s string
	if json.Unmarshal(raw, &s) == nil {
		return s == subject
	}
	return string(raw) == subject && strings.Trim(subject, "0123456789") == ""
}

// merge returns the claims of a token and what is known about its user as one
// JSON object, in which the latter wins.
func merge(claims []byte, user info) ([]byte, error) {
	all := make(map[string]json.RawMessage)
	if len(claims) > 0 {
		var err error
		if all, err = strictjson.Object(claims); err != nil {
			return nil, fmt.Errorf("the token's claims are %w", err)
		}
	}
	maps.Copy(all, user)
	var b bytes.Buffer
	encoder := json.NewEncoder(&b)
	encoder.SetEscapeHTML(false) // it would be up to six times as large
	if err := encoder.Encode(all); err != nil {
		return nil, errors.New("the claims cannot be written")
	}
	if b.Len() > askhttp.MaxAnswer {
		return nil, fmt.Errorf("the token's claims and the user's together are larger than %d bytes", askhttp.MaxAnswer)
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n")), nil
}
