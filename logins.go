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
type logins map[login]*sockets

// sockets are those of one login.
type sockets struct {
	login login
	list  []*Session
}

// add puts a socket under the login of its Identity, if that has one.
func (l *logins) add(s *Session, id *Identity) {
	key := loginOf(id)
	if key == (login{}) {
		return
	}
	if *l == nil {
		*l = make(logins)
	}
	same := (*l)[key]
	if same == nil {
		same = &sockets{login: key}
		(*l)[key] = same
	}
	s.more.login = same
	same.list = append(same.list, s)
}

// remove takes s out, if it is there.
func (l logins) remove(s *Session) {
	if s.more == nil || s.more.login == nil {
		return
	}
	same := s.more.login
	s.more.login = nil
	if i := slices.Index(same.list, s); i >= 0 {
		last := len(same.list) - 1
		same.list[i], same.list[last] = same.list[last], nil
		same.list = same.list[:last]
	}
	if len(same.list) == 0 {
		delete(l, same.login)
	}
}

// move puts a socket under the login of another Identity.
func (l *logins) move(s *Session, id *Identity) {
	if !s.upgrade {
		return
	}
	if same := s.more.login; same == nil || same.login != loginOf(id) {
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
	same := l[loginOf(id)]
	if same == nil {
		return nil
	}
	for _, s := range same.list {
		if s.deadline.Before(deadline) {
			list = append(list, s)
		}
	}
	return list
}
