package portcullis

import "strings"

// tokens are those that live sockets live on, each once: they are large, and a
// user's sockets share one. Those of requests are not among them: they are gone
// too soon for it to be worth it. The zero value is empty. The registry's mutex
// guards it.
type tokens map[string]*shared

// A shared token is forgotten when nobody lives on it any more.
type shared struct {
	token string
	users int
}

// keep returns a copy of the token that its users share. It is to be dropped as
// often as it was kept.
func (t *tokens) keep(token string) string {
	if token == "" {
		return ""
	}
	if *t == nil {
		*t = make(tokens)
	}
	s := (*t)[token]
	if s == nil {
		s = &shared{token: strings.Clone(token)} // it may be part of a whole header
		(*t)[s.token] = s
	}
	s.users++
	return s.token
}

func (t tokens) drop(token string) {
	s := t[token]
	if s == nil {
		return
	}
	if s.users--; s.users == 0 {
		delete(t, token)
	}
}
