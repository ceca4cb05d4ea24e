package portcullis

import (
	"slices"
	"time"
)

// A login is one login of a user at the token system, as one of its clients
// sees it.
type login struct{ verifier, issuer, subject, sessionID, client string }

func loginOf(id *Identity) login {
	if id.Subject == "" || id.SessionID == "" {
		return login{}
	}
	return login{id.VerifiedBy, id.Issuer, id.Subject, id.SessionID, id.ClientID}
}

// logins are the live sockets by their login: any call that carries a fresher
// token of the same login extends them. Requests are not among them, since an
// index would cost each of them more than it is worth to a few. The zero value
// is empty. The registry's mutex guards it.
type logins map[login][]*Session

// add puts a socket under the login of its Identity, if that has one.
func (l *logins) add(s *Session, id *Identity) {
	key := loginOf(id)
	if key == (login{}) {
		return
	}
	if *l == nil {
		*l = make(logins)
	}
	s.more.login = key
	(*l)[key] = append((*l)[key], s)
}

// remove takes s out, if it is there.
func (l logins) remove(s *Session) {
	if s.more == nil || s.more.login == (login{}) {
		return
	}
	key := s.more.login
	s.more.login = login{}
	list := l[key]
	if i := slices.Index(list, s); i >= 0 {
		last := len(list) - 1
		list[i], list[last] = list[last], nil
		list = list[:last]
	}
	if len(list) == 0 {
		delete(l, key)
		return
	}
	l[key] = list
}

// move puts a socket under the login of another Identity.
func (l *logins) move(s *Session, id *Identity) {
	if s.upgrade && s.more.login != loginOf(id) {
		l.remove(s)
		l.add(s, id)
	}
}

// outlived returns the sockets of the login of id that end before the deadline.
// A token that states no expiry outlives nobody: it would extend them with each
// call that brings it along.
func (l logins) outlived(id *Identity, deadline time.Time) (list []*Session) {
	if len(l) == 0 || id.ExpiresAt.IsZero() {
		return nil
	}
	for _, s := range l[loginOf(id)] {
		if s.deadline.Before(deadline) {
			list = append(list, s)
		}
	}
	return list
}
