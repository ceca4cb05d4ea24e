package rawtest_test

import (
	"errors"
	"io"
	"net/http"
	"strconv"
	"strings"
)

// An answer is one, as the strict reader reads it.
type answer struct {
	status int
	fields []field
	body   []byte
}

// get returns the values of a field, joined.
func (a *answer) get(name string) string { return strings.Join(all(a.fields, name), ", ") }

// answer reads the final answer to a request by that method; those before it are
// read, and forgotten.
func (r *reader) answer(method string) (*answer, error) {
	for {
		a, err := r.oneAnswer(method)
		if err != nil || a.status >= 200 || a.status == http.StatusSwitchingProtocols {
			return a, err
		}
	}
}

func (r *reader) oneAnswer(method string) (*answer, error) {
	if _, err := r.Peek(1); err != nil {
		return nil, err
	}
	line, err := r.line()
	if err != nil {
		return nil, err
	}
	version, rest, _ := strings.Cut(line, " ")
	code, reason, ok := strings.Cut(rest, " ")
	status, err := strconv.Atoi(code)
	if version != "HTTP/1.1" && version != "HTTP/1.0" || len(code) != 3 || err != nil || status < 100 || !ok || !isValue(reason) {
		return nil, refused("a status line that isn't one")
	}
	a := &answer{status: status}
	if a.fields, err = r.fields(false); err != nil {
		return nil, err
	}
	if method == http.MethodHead || status < 200 || status == http.StatusNoContent || status == http.StatusNotModified {
		return a, nil
	}
	size, chunked, err := r.framing(a.fields, version)
	if err != nil {
		return nil, err
	}
	if !chunked && len(all(a.fields, "Content-Length")) == 0 {
		a.body, err = io.ReadAll(r)
		return a, err
	}
	a.body, _, err = r.body(size, chunked)
	return a, err
}

// over reports whether err is the end of a connection, of whatever kind.
func over(err error) bool {
	return err != nil && !errors.Is(err, errRefused)
}
