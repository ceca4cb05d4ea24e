package main

import (
	"bytes"
	"io"
	"log"
)

// quoting is what net/http's log lines have before they quote what a server
// sent: which may be the token that it was sent.
var quoting = []byte(" starting with ")

// muzzle keeps what net/http quotes out of our log. It has no other hook for
// these lines: they go to package log.
func muzzle(to io.Writer) { log.SetOutput(unquoted{to}) }

// unquoted passes on log lines without what they quote.
type unquoted struct{ to io.Writer }

func (u unquoted) Write(line []byte) (int, error) {
	if i := bytes.Index(line, quoting); i >= 0 {
		if _, err := u.to.Write(append(bytes.Clone(line[:i]), '\n')); err != nil {
			return 0, err
		}
		return len(line), nil
	}
	return u.to.Write(line)
}
