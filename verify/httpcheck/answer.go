package httpcheck

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/portcullis-auth/portcullis"
	"github.com/portcullis-auth/portcullis/internal/strictjson"
)

// completeFields sets the names that c leaves out, and returns where to look
// for each name.
func (c *Config) completeFields() (map[string]pointer, error) {
	pointers := make(map[string]pointer)
	for field, standard := range map[*string]string{
		&c.Valid: "", &c.Subject: "sub", &c.Expiry: "exp", &c.IssuedAt: "iat",
		&c.SessionID: "sid", &c.TokenID: "jti", &c.ClientID: "client_id", &c.Scopes: "scope",
	} {
		if *field == "" {
			*field = standard
		}
		p, err := parsePointer(*field)
		if err != nil {
			return nil, fmt.Errorf("httpcheck: field %q: %w", *field, err)
		}
		pointers[*field] = p
	}
	return pointers, nil
}

// identity reads the body of a good answer. An error is portcullis.ErrInvalid
// if the answer says no.
func (v *Verifier) identity(body []byte) (*portcullis.Identity, error) {
	members, err := strictjson.Object(body) // J4
	if err != nil {
		return nil, fmt.Errorf("the answer is %w", err)
	}
	c, f := &v.config, fields{members: members, pointers: v.pointers}
	if c.Valid != "" {
		switch string(f.get(c.Valid)) { // I1: the boolean, not what might pass for it
		case "true":
		case "false":
			return nil, fmt.Errorf("%w: the answer's %q is false", portcullis.ErrInvalid, c.Valid)
		default:
			f.fail(c.Valid, "a boolean")
		}
	}
	id := &portcullis.Identity{
		Issuer:    c.Issuer,
		Subject:   f.name(c.Subject),
		SessionID: f.name(c.SessionID),
		TokenID:   f.name(c.TokenID),
		ClientID:  f.name(c.ClientID),
		Scopes:    f.list(c.Scopes),
		IssuedAt:  f.time(c.IssuedAt),
		ExpiresAt: f.time(c.Expiry),
		Claims:    body,
	}
	if f.err != nil {
		return nil, f.err
	}
	if id.Subject == "" {
		return nil, fmt.Errorf("the answer names no user: it has no %q", c.Subject)
	}
	return id, nil
}

// fields reads fields of known types and keeps the first error, which holds no
// value.
type fields struct {
	members  map[string]json.RawMessage
	pointers map[string]pointer
	err      error
}

// get returns a field as it stands; nil: absent or null.
func (f *fields) get(name string) json.RawMessage {
	raw, err := f.pointers[name].find(f.members)
	if err != nil {
		f.fail(name, "to be found: something on the way is neither an object nor an array")
	}
	return raw
}

func (f *fields) fail(name, want string) {
	if f.err == nil {
		f.err = fmt.Errorf("the answer's %q is not %s", name, want)
	}
}

// name reads a string, or a whole number as its digits: many databases count
// their users.
func (f *fields) name(field string) (s string) {
	raw := f.get(field)
	if raw == nil || json.Unmarshal(raw, &s) == nil {
		return s
	}
	if strings.Trim(string(raw), "0123456789") != "" {
		f.fail(field, "a string or a whole number")
	}
	return string(raw)
}

// list reads a string with spaces between its words, or an array of strings.
func (f *fields) list(field string) []string {
	raw := f.get(field)
	if raw == nil {
		return nil
	}
	var s string
	if json.Unmarshal(raw, &s) == nil {
		return strings.Fields(s)
	}
	var elements []*string // pointers, since null would pass for ""
	if json.Unmarshal(raw, &elements) != nil {
		f.fail(field, "a string or an array of strings")
		return nil
	}
	list := make([]string, 0, len(elements))
	for _, e := range elements {
		if e == nil {
			f.fail(field, "a string or an array of strings")
			return nil
		}
		list = append(list, *e)
	}
	return list
}

// time reads a NumericDate, or a string by RFC 3339.
func (f *fields) time(field string) time.Time {
	raw := f.get(field)
	if raw == nil {
		return time.Time{}
	}
	at, err := parseTime(raw)
	if err != nil {
		f.fail(field, "a time: seconds since 1970, or a string by RFC 3339")
	}
	return at
}

func parseTime(raw json.RawMessage) (time.Time, error) {
	var s string
	if json.Unmarshal(raw, &s) == nil {
		at, err := time.Parse(time.RFC3339, s)
		if err == nil && at.Unix() < 0 {
			return time.Time{}, errors.New("before 1970") // 0001-01-01 would pass for "no expiry"
		}
		return at, err
	}
	// The root package knows what a NumericDate may be.
	id, err := portcullis.ParseClaims(append(append([]byte(`{"exp":`), raw...), '}'))
	if err != nil {
		return time.Time{}, err
	}
	return id.ExpiresAt, nil
}
