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

// identity reads the body of a good answer.
func (v *Verifier) identity(body []byte) (*portcullis.Identity, error) {
	members, err := strictjson.Object(body) // J4
	if err != nil {
		return nil, fmt.Errorf("the answer is %w", err)
	}
	f := fields{members: members}
	id := &portcullis.Identity{
		Issuer:    v.config.Issuer,
		Subject:   f.name(v.config.Subject),
		SessionID: f.name(v.config.SessionID),
		Scopes:    f.list(v.config.Scopes),
		ExpiresAt: f.time(v.config.Expiry),
		Claims:    body,
	}
	if f.err != nil {
		return nil, f.err
	}
	if id.Subject == "" {
		return nil, fmt.Errorf("the answer names no user: it has no %q", v.config.Subject)
	}
	return id, nil
}

// fields reads fields of known types and keeps the first error, which holds no
// value.
type fields struct {
	members map[string]json.RawMessage
	err     error
}

func (f *fields) get(name string) (json.RawMessage, bool) {
	raw, ok := f.members[name]
	return raw, ok && string(raw) != "null"
}

func (f *fields) fail(name, want string) {
	if f.err == nil {
		f.err = fmt.Errorf("the answer's %q is not %s", name, want)
	}
}

// name reads a string, or a whole number as its digits: many databases count
// their users.
func (f *fields) name(field string) (s string) {
	raw, ok := f.get(field)
	if !ok || json.Unmarshal(raw, &s) == nil {
		return s
	}
	if strings.Trim(string(raw), "0123456789") != "" {
		f.fail(field, "a string or a whole number")
	}
	return string(raw)
}

// list reads a string with spaces between its words, or an array of strings.
func (f *fields) list(field string) []string {
	raw, ok := f.get(field)
	if !ok {
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
	raw, ok := f.get(field)
	if !ok {
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
