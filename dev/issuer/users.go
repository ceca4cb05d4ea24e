package issuer

import (
	"errors"
	"fmt"
	"slices"
	"strings"
)

// A User is somebody who can log in. All fields but Groups, Scopes and About are required.
type User struct {
	Subject  string // the "sub" claim, e.g. "u-alice"; must not contain a colon
	Username string // "preferred_username"
	Name     string
	Email    string
	Groups   []string // the "groups" claim
	Scopes   []string // what a client may be granted for this user, besides the OIDC scopes
	About    string   // one line for the login page
}

// SampleUsers returns the users of the demo: alice (u-alice) may chat and is an admin, bob
// (u-bob) may chat, carol (u-carol) may not. The caller owns the slice.
func SampleUsers() []User {
	return []User{
		{
			Subject: "u-alice", Username: "alice", Name: "Alice Adams", Email: "alice@example.com",
			Groups: []string{"staff", "chat", "admin"}, Scopes: []string{"chat", "admin"},
			About: "Staff, administrator",
		},
		{
			Subject: "u-bob", Username: "bob", Name: "Bob Brown", Email: "bob@example.com",
			Groups: []string{"staff", "chat"}, Scopes: []string{"chat"},
			About: "Staff",
		},
		{
			Subject: "u-carol", Username: "carol", Name: "Carol Clark", Email: "carol@example.com",
			Groups: []string{"guest"},
			About:  "Guest: may not chat",
		},
	}
}

func (u *User) initial() string { return strings.ToUpper(u.Name[:1]) }

// directory is the fixed list of users.
type directory []*User

func newDirectory(users []User) (directory, error) {
	if users == nil {
		users = SampleUsers()
	}
	if len(users) == 0 {
		return nil, errors.New("issuer: Users is empty: nobody could log in")
	}
	var d directory
	for _, u := range users {
		switch {
		case u.Subject == "" || u.Username == "" || u.Name == "" || u.Email == "":
			return nil, fmt.Errorf("issuer: user %q: Subject, Username, Name and Email are required", u.Username)
		case strings.Contains(u.Subject, ":"):
			// op carries "token id:subject" in one string.
			return nil, fmt.Errorf("issuer: user %q: the subject must not contain a colon", u.Username)
		case d.find(u.Subject) != nil || d.find(u.Username) != nil:
			return nil, fmt.Errorf("issuer: user %q is listed twice", u.Username)
		}
		u.Groups, u.Scopes = slices.Clone(u.Groups), slices.Clone(u.Scopes)
		d = append(d, &u)
	}
	return d, nil
}

// find looks somebody up by user name or subject; nil if there is no such user.
func (d directory) find(nameOrSubject string) *User {
	for _, u := range d {
		if u.Username == nameOrSubject || u.Subject == nameOrSubject {
			return u
		}
	}
	return nil
}

// scopes returns every scope that at least one user may be granted, sorted.
func (d directory) scopes() []string {
	var all []string
	for _, u := range d {
		all = append(all, u.Scopes...)
	}
	slices.Sort(all)
	return slices.Compact(all)
}

// protocolScopes mean something to OIDC itself and say nothing about a user's rights.
var protocolScopes = []string{"openid", "profile", "email", "offline_access"}

// grantable returns those of the requested scopes that u may have, each one once.
func (u *User) grantable(requested []string) []string {
	var granted []string
	for _, s := range requested {
		if (slices.Contains(protocolScopes, s) || slices.Contains(u.Scopes, s)) && !slices.Contains(granted, s) {
			granted = append(granted, s)
		}
	}
	return granted
}
