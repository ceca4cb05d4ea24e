package demo

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strings"
)

// The headers in which the gateway says whom it vouches for. It removes them
// from what a client sends. Values of the first four are percent-encoded where
// they are not visible ASCII; the last is a JSON object in ASCII.
const (
	headerUser     = "X-Forwarded-User"
	headerName     = "X-Forwarded-Preferred-Username"
	headerEmail    = "X-Forwarded-Email"
	headerGroups   = "X-Forwarded-Groups"
	headerUserinfo = "X-Portcullis-Userinfo"
)

var identityHeaders = []string{headerUser, headerName, headerEmail, headerGroups, headerUserinfo}

// user is whom the gateway vouches for. Not changed after it was made.
type user struct {
	subject string   // stable and unique
	name    string   // for showing; the subject where there is no better one
	email   string   // may be empty
	groups  []string // never nil
	info    json.RawMessage
}

// vouched reads the gateway's headers. It fails closed: no subject, no userinfo
// object, a header twice or one that cannot be decoded means that this did not
// come from the gateway. No error holds a header's value.
func vouched(h http.Header) (*user, error) {
	subject, err := single(h, headerUser)
	if err != nil {
		return nil, err
	}
	if subject == "" {
		return nil, fmt.Errorf("the header %s is missing", headerUser)
	}
	name, err := single(h, headerName)
	if err != nil {
		return nil, err
	}
	if name == "" {
		name = subject
	}
	email, err := single(h, headerEmail)
	if err != nil {
		return nil, err
	}
	groups, err := list(h, headerGroups)
	if err != nil {
		return nil, err
	}
	info := bytes.TrimSpace([]byte(h.Get(headerUserinfo)))
	if len(h.Values(headerUserinfo)) != 1 || !bytes.HasPrefix(info, []byte("{")) || !json.Valid(info) {
		return nil, fmt.Errorf("the header %s must be there once and hold a JSON object", headerUserinfo)
	}
	return &user{subject: subject, name: name, email: email, groups: groups, info: info}, nil
}

// single returns the decoded value of a header that may be there once, or "".
func single(h http.Header, name string) (string, error) {
	if len(h.Values(name)) > 1 {
		return "", fmt.Errorf("the header %s is there more than once", name)
	}
	v, err := url.PathUnescape(h.Get(name))
	if err != nil {
		return "", fmt.Errorf("the header %s cannot be decoded", name)
	}
	return v, nil
}

// list returns the decoded elements of a header whose value is separated by
// commas.
func list(h http.Header, name string) ([]string, error) {
	if len(h.Values(name)) > 1 {
		return nil, fmt.Errorf("the header %s is there more than once", name)
	}
	elements := []string{}
	for e := range strings.SplitSeq(h.Get(name), ",") {
		if e = strings.TrimSpace(e); e == "" {
			continue
		}
		v, err := url.PathUnescape(e)
		if err != nil {
			return nil, fmt.Errorf("the header %s cannot be decoded", name)
		}
		elements = append(elements, v)
	}
	return elements, nil
}

type userKey struct{}

func withUser(ctx context.Context, u *user) context.Context {
	return context.WithValue(ctx, userKey{}, u)
}

// userFrom returns the user that ServeHTTP put there, so never nil.
func userFrom(ctx context.Context) *user {
	return ctx.Value(userKey{}).(*user)
}
