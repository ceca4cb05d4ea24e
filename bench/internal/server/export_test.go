//go:build linux

package server

import "time"

// A Request is what Parse finds in one.
type Request struct {
	Method, Path, Key, Authorization, Body string
	Last                                   bool
}

// Parse parses the first request of text.
func Parse(text string) (Request, string, error) {
	r, rest, err := parse([]byte(text))
	return Request{r.method, r.path, r.key, r.authorization, r.body, r.last}, string(rest), err
}

// Answer returns the answer to a request.
func Answer(text string) string {
	r, _, err := parse([]byte(text))
	if err != nil {
		return err.Error()
	}
	s := &server{day: time.Now().Add(time.Hour)}
	s.answer(r)
	return string(s.out)
}
