//go:build linux

package server_test

import (
	"errors"
	"io"
	"strings"
	"testing"

	"github.com/portcullis-auth/portcullis/bench/internal/server"
)

func TestParse(t *testing.T) {
	for _, test := range []struct {
		name, in string
		want     server.Request
		rest     string
		err      error
	}{
		{"get", "GET /x HTTP/1.1\r\nHost: a\r\n\r\n", server.Request{Method: "GET", Path: "/x"}, "", nil},
		{"names in any case", "GET / HTTP/1.1\r\nauthorization:Bearer t\r\nCONNECTION: Close\r\n\r\nmore", server.Request{Method: "GET", Path: "/", Authorization: "Bearer t", Last: true}, "more", nil},
		{"handshake", "GET / HTTP/1.1\r\nSec-WebSocket-Key: k\r\nConnection: Upgrade\r\n\r\n\x82", server.Request{Method: "GET", Path: "/", Key: "k"}, "\x82", nil},
		{"a handshake's copy", "GET /auth HTTP/1.1\r\nSec-WebSocket-Key: k\r\n\r\n", server.Request{Method: "GET", Path: "/auth"}, "", nil},
		{"body", "POST /introspect HTTP/1.1\r\nContent-Length: 7\r\n\r\ntoken=tGET", server.Request{Method: "POST", Path: "/introspect", Body: "token=t"}, "GET", nil},
		{"half a head", "GET / HTTP/1.1\r\nHost: a\r\n", server.Request{}, "", io.ErrUnexpectedEOF},
		{"half a body", "POST / HTTP/1.1\r\nContent-Length: 7\r\n\r\ntoken=", server.Request{}, "", io.ErrUnexpectedEOF},
		{"chunks", "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n", server.Request{}, "", errors.New("nobody sends chunks")},
		{"bad length", "POST / HTTP/1.1\r\nContent-Length: -1\r\n\r\n", server.Request{}, "", errors.New("bad length")},
	} {
		got, rest, err := server.Parse(test.in)
		switch {
		case (err == nil) != (test.err == nil) || err != nil && err.Error() != test.err.Error():
			t.Errorf("%s: error %v, want %v", test.name, err, test.err)
		case err == nil && (got != test.want || rest != test.rest):
			t.Errorf("%s: %+v and %q, want %+v and %q", test.name, got, rest, test.want, test.rest)
		}
	}
}

func TestAnswer(t *testing.T) {
	for _, test := range []struct{ name, in, want string }{
		{"good token", "POST /introspect HTTP/1.1\r\nContent-Length: 32\r\n\r\ntoken_type_hint=x&token=t-u7-0-5", `{"active":true,"sub":"u7",`},
		{"its claims", "POST /introspect HTTP/1.1\r\nContent-Length: 14\r\n\r\ntoken=t-u7-0-5", `"profile":"xxxxx"}`},
		{"expired", "POST /introspect HTTP/1.1\r\nContent-Length: 14\r\n\r\ntoken=t-u7-9-5", `{"active":false}`},
		{"not a token", "POST /introspect HTTP/1.1\r\nContent-Length: 9\r\n\r\ntoken=bad", `{"active":false}`},
		{"no token", "POST /introspect HTTP/1.1\r\nContent-Length: 0\r\n\r\n", `{"active":false}`},
		{"nobody", "POST /introspect HTTP/1.1\r\nContent-Length: 12\r\n\r\ntoken=t--0-0", `{"active":false}`},
		{"auth", "GET /auth HTTP/1.1\r\nAuthorization: Bearer t-u7-0-0\r\n\r\n", "HTTP/1.1 200 OK\r\nX-User: u7\r\n"},
		{"no auth", "GET /auth HTTP/1.1\r\nAuthorization: Bearer bad\r\n\r\n", "HTTP/1.1 401 Unauthorized\r\nWWW-Authenticate: Bearer\r\n"},
		{"handshake", "GET / HTTP/1.1\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n", "\r\nSec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n"},
		{"anything", "GET /x HTTP/1.1\r\n\r\n", "one hundred bytes of JSON\"}"},
	} {
		if got := server.Answer(test.in); !strings.Contains(got, test.want) {
			t.Errorf("%s: %q lacks %q", test.name, got, test.want)
		}
	}
}
