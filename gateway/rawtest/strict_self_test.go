package rawtest_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
)

// The strict reader is what everything else here is held to: this is what it
// reads, and what it refuses unless it is allowed to be lenient.
func TestStrictReader(t *testing.T) {
	for _, tt := range []struct {
		name, sent, want string
		allowed          leniency // it is read with that
	}{
		{"two requests", get + "\r\n" + post + "Content-Length: 2\r\n\r\nhi", "GET /public/ |POST /public/ hi|EOF", ""},
		{"chunks", post + chunked + "\r\n1;a=b ; c\r\nx\r\n0\r\nX-A: b\r\n\r\n", "POST /public/ x|EOF", ""},
		{"close", get + "Connection: a, CLOSE\r\n\r\n" + smuggled, "GET /public/ |end", ""},
		{"HTTP/1.0", "GET / HTTP/1.0\r\n\r\n" + smuggled, "GET / |end", ""},
		{"upgrade", socket + "\r\n" + smuggled, "GET /public/ |end", ""},
		{"breaks off in the line", "GET / HT", "unexpected EOF", ""},
		{"breaks off in the head", get, "unexpected EOF", ""},
		{"breaks off in the body", post + "Content-Length: 2\r\n\r\nh", "unexpected EOF", ""},
		{"breaks off in a chunk", post + chunked + "\r\n2\r\nh", "unexpected EOF", ""},
		{"breaks off in the trailers", post + chunked + "\r\n0\r\n", "unexpected EOF", ""},
		{"bare LF", strings.Replace(get, "\r\n", "\n", 1) + "\r\n", "GET /public/ |EOF", bareLF},
		{"fold", get + "X-A: b\r\n c\r\n\r\n", "GET /public/ |EOF", obsFold},
		{"an empty line behind a POST", post + "\r\n\r\n" + get + "\r\n", "POST /public/ |GET /public/ |EOF", emptyLines},
		{"a length beside chunks", post + "Content-Length: 1\r\n" + chunked + "\r\n0\r\n\r\n", "POST /public/ |end", lengthToo},
		{"lengths that agree", post + "Content-Length: 1\r\nContent-Length: 1\r\n\r\nx", "POST /public/ x|EOF", sameLengths},
		{"HTTP/1.0 in chunks", "POST / HTTP/1.0\r\nConnection: keep-alive\r\n" + chunked + "\r\n" + smuggled, "POST / |end", oldCoding},
		{"a space behind a size", post + chunked + "\r\n1 \r\nx\r\n0\r\n\r\n", "POST /public/ x|EOF", spaceInChunk},
		{"a quoted extension", post + chunked + "\r\n1;a=\"b\"\r\nx\r\n0\r\n\r\n", "POST /public/ x|EOF", extension},
		{"a trailer's name with a space", post + chunked + "\r\n0\r\nX A: b\r\n\r\n", "POST /public/ |EOF", trailerName},
		{"trailers without chunks", get + "Trailer: a\r\n\r\n", "GET /public/ |EOF", notTrailing},
		{"a quote in the target", strings.Replace(get, "/public/", "/\"", 1) + "\r\n", "GET /\" |EOF", anyTargetByte},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if tt.allowed != "" {
				but := func(l leniency) bool { return l == tt.allowed }
				if got := summary(read(tt.sent, without(lenient, but)...)); !strings.HasSuffix(got, "refused") || got == tt.want {
					t.Errorf("not allowed it reads %q", got)
				}
			}
			if got := summary(read(tt.sent, tt.allowed)); got != tt.want {
				t.Errorf("it reads %q, want %q", got, tt.want)
			}
		})
	}
	for _, sent := range []string{
		"\r\n" + get + "\r\n", "GET / HTTP/2.0\r\n\r\n", "GET  / HTTP/1.1\r\n\r\n", "G(T / HTTP/1.1\r\n\r\n", "GET x HTTP/1.1\r\n" + host + "\r\n",
		"GET /# HTTP/1.1\r\n" + host + "\r\n", "GET / HTTP/1.1\r\n\r\n", get + host + "\r\n", "GET / HTTP/1.1\r\nHost: a b\r\n\r\n",
		get + "X-A: \x00\r\n\r\n", get + "X-A: a\rb\r\n\r\n", get + "X-A : b\r\n\r\n", get + "X-A\r\n\r\n", get + ": b\r\n\r\n",
		"GET / HTTP/1.1\r\n " + host + "\r\n", post + "Content-Length: +1\r\n\r\nx", post + "Content-Length: 1, 1\r\n\r\nx",
		post + "Content-Length:\r\n\r\n", post + "Content-Length: 9223372036854775808\r\n\r\n", post + "Content-Length: 1\r\nContent-Length: 2\r\n\r\nxy",
		post + chunked + chunked + "\r\n0\r\n\r\n", post + "Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n", post + chunked + "\r\n1\nx\r\n0\r\n\r\n",
		post + chunked + "\r\n1\r\nxy\r\n0\r\n\r\n", post + chunked + "\r\n1\r\nx\n0\r\n\r\n", post + chunked + "\r\n\r\n", post + chunked + "\r\n0x1\r\nx\r\n0\r\n\r\n",
		post + chunked + "\r\n8000000000000000\r\n", post + chunked + "\r\n10000000000000000\r\n", post + chunked + "\r\n0\r\nX-A\r\n\r\n",
	} {
		if got := summary(read(sent, lenient...)); got != "refused" {
			t.Errorf("%q: it reads %q, want refused", sent, got)
		}
	}
}

func without(list []leniency, but func(leniency) bool) (rest []leniency) {
	for _, l := range list {
		if !but(l) {
			rest = append(rest, l)
		}
	}
	return rest
}

// summary is what read returns, in a line.
func summary(list []*request, err error) string {
	var b strings.Builder
	for _, q := range list {
		fmt.Fprintf(&b, "%s %s %s|", q.method, q.target, q.body)
	}
	switch {
	case err == nil:
		b.WriteString("end")
	case errors.Is(err, errRefused):
		b.WriteString("refused")
	default:
		b.WriteString(err.Error())
	}
	return b.String()
}
