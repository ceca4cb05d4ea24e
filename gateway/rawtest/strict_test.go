package rawtest_test

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
)

// maxLine bounds a line, and maxBody a body, of what is only a test.
const (
	maxLine = 1 << 20
	maxBody = 16 << 20
)

// errRefused is what RFC 9112 lets a server refuse. What merely breaks off is
// io.ErrUnexpectedEOF.
var errRefused = errors.New("refused")

func refused(format string, args ...any) error {
	return fmt.Errorf("%w: "+format, append([]any{errRefused}, args...)...)
}

// A leniency is something that RFC 9112 lets a server refuse or has it refuse,
// and that net/http normalises before a handler can see it.
type leniency string

// The list is whole: what it doesn't name must not reach a backend.
const (
	bareLF        leniency = "a line of the head, or of the trailers, ends with LF alone (section 2.2): it is sent with CRLF"
	obsFold       leniency = "a folded line (5.2): it is sent as one, with a space in place of the fold"
	emptyLines    leniency = "up to four CR or LF, in any order, behind a POST (2.2): they are dropped"
	lengthToo     leniency = "Content-Length beside Transfer-Encoding (6.1, 6.3): it is dropped, and nothing is read behind that request"
	sameLengths   leniency = "several lines of Content-Length that agree (RFC 9110, section 8.6): one is sent"
	oldCoding     leniency = "Transfer-Encoding in HTTP/1.0 (6.1): it is dropped, and nothing is read behind that request"
	spaceInChunk  leniency = "spaces behind a chunk's size (7.1): the body is sent in chunks of our own"
	extension     leniency = "a chunk extension of more than tokens (7.1.1): as all of them, it is dropped"
	trailerName   leniency = "a space in the name of a trailer (7.1.2): it is dropped, since no announcement names it"
	notTrailing   leniency = "Trailer without chunks (6.6.2 of RFC 9110): it is dropped"
	anyTargetByte leniency = "a byte in the target that must be encoded, but that nobody reads in two ways (3.2): it is sent as it is"
)

// A request is one, as the strict reader reads it.
type request struct {
	method, target, version string
	fields                  []field
	body                    []byte
	trailers                []field
	closes                  bool // nothing is read behind it
	upgrades                bool
	raw                     string // its head
	lenient                 []leniency
}

type field struct{ name, value string }

// all returns the values of the fields called name.
func all(fields []field, name string) (values []string) {
	for _, f := range fields {
		if strings.EqualFold(f.name, name) {
			values = append(values, f.value)
		}
	}
	return values
}

// A reader reads strictly, apart from what allowed names.
type reader struct {
	*bufio.Reader
	allowed []leniency
	lenient []leniency // used for this message
	head    bytes.Buffer
}

func newReader(r io.Reader, allowed ...leniency) *reader {
	return &reader{Reader: bufio.NewReader(r), allowed: allowed}
}

func (r *reader) allow(l leniency) error {
	if !slices.Contains(r.allowed, l) {
		return refused("%s", l)
	}
	r.lenient = append(r.lenient, l)
	return nil
}

// begin reads the head of a request; last is the method of the one before it on
// this connection. io.EOF: there is none.
func (r *reader) begin(last string) (*request, error) {
	r.head.Reset()
	r.lenient = nil
	if err := r.skipEmptyLines(last); err != nil {
		return nil, err
	}
	if _, err := r.Peek(1); err != nil {
		return nil, err
	}
	line, err := r.line()
	if err != nil {
		return nil, err
	}
	q := &request{}
	parts := strings.Split(line, " ")
	if len(parts) != 3 {
		return nil, refused("a request line of %d parts", len(parts))
	}
	q.method, q.target, q.version = parts[0], parts[1], parts[2]
	if !isToken(q.method) {
		return nil, refused("the method isn't a token")
	}
	if len(q.version) != 8 || !strings.HasPrefix(q.version, "HTTP/1.") || q.version[7] < '0' || q.version[7] > '9' {
		return nil, refused("the version isn't one of HTTP/1") // a higher minor one is served (RFC 9110, section 2.5)
	}
	if err := r.checkTarget(q.method, q.target); err != nil {
		return nil, err
	}
	if q.fields, err = r.fields(false); err != nil {
		return nil, err
	}
	if err := q.checkHost(); err != nil {
		return nil, err
	}
	connection := strings.Join(all(q.fields, "Connection"), ",")
	q.closes = hasToken(connection, "close") || q.version == "HTTP/1.0" && !hasToken(connection, "keep-alive")
	q.upgrades = q.version != "HTTP/1.0" && hasToken(connection, "upgrade") && len(all(q.fields, "Upgrade")) > 0
	q.raw = r.head.String()
	return q, nil
}

// request reads a whole request.
func (r *reader) request(last string) (*request, error) {
	q, err := r.begin(last)
	if err != nil {
		return nil, err
	}
	if err := r.finish(q); err != nil {
		return nil, &bodyError{q, err}
	}
	return q, nil
}

// A bodyError is what is wrong with the body of a request whose head was good.
type bodyError struct {
	head *request
	error
}

func (e *bodyError) Unwrap() error { return e.error }

// finish reads the body of q.
func (r *reader) finish(q *request) error {
	size, chunked, err := r.framing(q.fields, q.version)
	if err == nil && !chunked && len(all(q.fields, "Trailer")) > 0 {
		err = r.allow(notTrailing)
	}
	if err == nil {
		q.body, q.trailers, err = r.body(size, chunked)
	}
	q.closes = q.closes || slices.Contains(r.lenient, oldCoding) || slices.Contains(r.lenient, lengthToo)
	q.lenient = r.lenient
	return err
}

func (r *reader) skipEmptyLines(last string) error {
	if last != http.MethodPost {
		return nil // a server should skip one, but needn't
	}
	for i := range 4 {
		p, err := r.Peek(1)
		if err != nil || p[0] != '\r' && p[0] != '\n' {
			return nil
		}
		if i == 0 {
			if err := r.allow(emptyLines); err != nil {
				return err
			}
		}
		_, _ = r.ReadByte() // it was there
	}
	return nil
}

// line reads a line and returns it without its end.
func (r *reader) line() (string, error) {
	var line []byte
	for {
		c, err := r.ReadByte()
		if errors.Is(err, io.EOF) {
			return "", io.ErrUnexpectedEOF
		}
		if err != nil {
			return "", err
		}
		r.head.WriteByte(c)
		if c == '\n' {
			break
		}
		if line = append(line, c); len(line) > maxLine {
			return "", refused("a line that is too long")
		}
	}
	s, ok := strings.CutSuffix(string(line), "\r")
	if strings.Contains(s, "\r") {
		return "", refused("a bare CR")
	}
	if !ok {
		return s, r.allow(bareLF)
	}
	return s, nil
}

// fields reads field lines until the empty one (section 5).
func (r *reader) fields(trailing bool) (fields []field, err error) {
	for {
		line, err := r.line()
		if err != nil || line == "" {
			return fields, err
		}
		if line[0] == ' ' || line[0] == '\t' {
			if len(fields) == 0 {
				return nil, refused("the first line is folded")
			}
			if err := r.allow(obsFold); err != nil {
				return nil, err
			}
			if !isValue(line) {
				return nil, refused("a control character in a folded line")
			}
			last := &fields[len(fields)-1]
			last.value = strings.Trim(last.value+" "+strings.Trim(line, " \t"), " \t")
			continue
		}
		name, value, ok := strings.Cut(line, ":")
		if trailing && strings.Contains(name, " ") && isToken(strings.ReplaceAll(name, " ", "x")) {
			if err := r.allow(trailerName); err != nil {
				return nil, err
			}
		} else if !ok || !isToken(name) {
			return nil, refused("a field without a proper name")
		}
		if !ok || !isValue(value) {
			return nil, refused("a control character in a field")
		}
		fields = append(fields, field{name, strings.Trim(value, " \t")})
	}
}

// checkTarget wants one of the four forms (section 3.2).
func (r *reader) checkTarget(method, target string) error {
	odd := false
	for i := range len(target) {
		c := target[i]
		if c <= ' ' || c >= 0x7F || c == '#' {
			return refused("a byte in the target that can't be there")
		}
		odd = odd || strings.IndexByte("\"<>\\^`{|}", c) >= 0 || c == '%' && !isEncoded(target[i:])
	}
	switch {
	case method == http.MethodConnect, target == "*" && method == http.MethodOptions:
	case strings.HasPrefix(target, "/"), strings.Contains(target, "://"):
	default:
		return refused("the target has none of the four forms")
	}
	if odd {
		return r.allow(anyTargetByte)
	}
	return nil
}

func isEncoded(s string) bool {
	return len(s) >= 3 && isHex(s[1]) && isHex(s[2])
}

// checkHost wants one Host (section 3.2), which HTTP/1.0 needn't have.
func (q *request) checkHost() error {
	hosts := all(q.fields, "Host")
	switch {
	case len(hosts) > 1:
		return refused("several Hosts")
	case len(hosts) == 0 && q.version != "HTTP/1.0":
		return refused("no Host")
	case len(hosts) == 1 && strings.ContainsAny(hosts[0], " \t,/@\\\"<>#?{}|^`"):
		return refused("the Host isn't one")
	}
	return nil
}

func isHex(c byte) bool {
	return c >= '0' && c <= '9' || c >= 'a' && c <= 'f' || c >= 'A' && c <= 'F'
}

func isToken(s string) bool {
	for i := range len(s) {
		c := s[i] | 0x20
		if (c < 'a' || c > 'z') && (s[i] < '0' || s[i] > '9') && strings.IndexByte("!#$%&'*+-.^_`|~", s[i]) < 0 {
			return false
		}
	}
	return s != ""
}

func isValue(s string) bool {
	for i := range len(s) {
		if s[i] < ' ' && s[i] != '\t' || s[i] == 0x7F {
			return false
		}
	}
	return true
}

func hasToken(list, token string) bool {
	for t := range strings.SplitSeq(list, ",") {
		if strings.EqualFold(strings.Trim(t, " \t"), token) {
			return true
		}
	}
	return false
}
