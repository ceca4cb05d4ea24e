//go:build linux

package server

import (
	"bytes"
	"crypto/sha1" //nolint:gosec // RFC 6455, section 4.2.2, wants it
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"
)

// maxRequest is more than any request that is meant for us.
const maxRequest = 64 << 10

// A request is what matters of one.
type request struct {
	method, path  string
	key           string // of a handshake; "": it is none
	authorization string
	body          string
	last          bool // the connection is to be closed
}

// http answers requests. What follows a handshake is returned.
func (s *server) http(fd int, c *conn, b []byte) ([]byte, error) {
	if len(c.in) > 0 {
		c.in = append(c.in, b...)
		b = c.in
	}
	for {
		r, rest, err := parse(b)
		if errors.Is(err, io.ErrUnexpectedEOF) && len(b) < maxRequest {
			c.in = append(c.in[:0], b...)
			return nil, nil
		} else if err != nil {
			return nil, err
		}
		b = rest
		if s.answer(r); r.last {
			c.over = true
			return nil, nil
		}
		if r.key != "" {
			c.in = c.in[:0]
			s.upgrade(fd, c, r)
			return b, nil
		}
	}
}

var headEnd = []byte("\r\n\r\n")

// parse returns the first request, and what follows it.
func parse(b []byte) (r request, rest []byte, err error) {
	end := bytes.Index(b, headEnd)
	if end < 0 {
		return r, nil, io.ErrUnexpectedEOF
	}
	head, rest := string(b[:end]), b[end+len(headEnd):]
	line, head, _ := strings.Cut(head, "\r\n")
	r.method, line, _ = strings.Cut(line, " ")
	r.path, _, _ = strings.Cut(line, " ")
	length := 0
	for head != "" {
		line, head, _ = strings.Cut(head, "\r\n")
		name, value, _ := strings.Cut(line, ":")
		value = strings.TrimSpace(value)
		switch {
		case strings.EqualFold(name, "Content-Length"):
			if length, err = strconv.Atoi(value); err != nil || length < 0 || length > maxRequest {
				return r, nil, errors.New("bad length")
			}
		case strings.EqualFold(name, "Transfer-Encoding"):
			return r, nil, errors.New("nobody sends chunks")
		case strings.EqualFold(name, "Sec-WebSocket-Key"):
			r.key = value
		case strings.EqualFold(name, "Authorization"):
			r.authorization = value
		case strings.EqualFold(name, "Connection"):
			r.last = strings.EqualFold(value, "close")
		}
	}
	if len(rest) < length {
		return r, nil, io.ErrUnexpectedEOF
	}
	if r.body = string(rest[:length]); r.path == "/auth" || r.path == "/introspect" {
		r.key = "" // a copy of what the proxy got, not a handshake
	}
	return r, rest[length:], nil
}

const body = `{"id":4711,"name":"a backend's answer","items":[1,2,3,4,5,6,7,8],"note":"one hundred bytes of JSON"}`

// answer appends the answer to s.out.
func (s *server) answer(r request) {
	switch {
	case r.path == "/introspect":
		_, token, _ := strings.Cut("&"+r.body, "&token=")
		token, _, _ = strings.Cut(token, "&")
		if t, ok := s.token(token); ok {
			s.json("200 OK", fmt.Sprintf(`{"active":true,"sub":%q,"client_id":"bench","scope":"chat","iat":%d,"exp":%d,"profile":%q}`,
				t.user, t.exp.Add(-24*time.Hour).Unix(), t.exp.Unix(), strings.Repeat("x", t.size)))
			return
		}
		s.json("200 OK", `{"active":false}`)
	case r.path == "/auth": // without a body: Caddy keeps a connection to it for each socket if there is one
		if t, ok := s.token(strings.TrimPrefix(r.authorization, "Bearer ")); ok {
			s.json("200 OK\r\nX-User: "+t.user, "")
			return
		}
		s.json("401 Unauthorized\r\nWWW-Authenticate: Bearer", "")
	case r.key != "":
		sum := sha1.Sum([]byte(r.key + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11")) //nolint:gosec // RFC 6455, section 4.2.2
		s.out = append(s.out, "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: "...)
		s.out = append(base64.StdEncoding.AppendEncode(s.out, sum[:]), headEnd...)
	default:
		s.json("200 OK", body)
	}
}

func (s *server) json(status, body string) {
	s.out = fmt.Appendf(s.out, "HTTP/1.1 %s\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s", status, len(body), body)
}

// upgrade makes the connection a socket.
func (s *server) upgrade(fd int, c *conn, r request) {
	s.sockets.Add(1)
	switch r.path {
	case "/push":
		c.kind, c.place = push, len(s.pushes)
		s.pushes = append(s.pushes, fd)
	case "/sink":
		c.kind = sink
	default:
		c.kind = echo
	}
}

// A token is what one says.
type token struct {
	user string
	exp  time.Time
	size int // of more claims
}

func (s *server) token(text string) (t token, ok bool) {
	s.tokens.Add(1)
	f := strings.Split(text, "-")
	if len(f) != 4 || f[0] != "t" || f[1] == "" {
		return t, false
	}
	exp, err1 := strconv.ParseInt(f[2], 10, 64)
	size, err2 := strconv.Atoi(f[3])
	if errors.Join(err1, err2) != nil || size < 0 || size > maxRequest {
		return t, false
	}
	t = token{f[1], time.Unix(exp, 0), size}
	if exp == 0 {
		t.exp = s.day
	}
	if ok = time.Now().Before(t.exp); ok {
		s.good.Add(1)
	}
	return t, ok
}
