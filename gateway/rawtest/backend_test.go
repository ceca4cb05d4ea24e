package rawtest_test

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
)

const (
	ok = "HTTP/1.1 200 OK\r\n"

	// closing stands where more follows than there should: on a connection that
	// stays, net/http may take that for the next answer. Backends are trusted not
	// to do so.
	closing = "Connection: close\r\n"
)

// A reply is what the backend says to the first request, and what the client
// gets, which goes on with another one.
type reply struct {
	name, says string
	want       string // the statuses and bodies
	fields     string // of the first answer, those that are tested: X-A, Set-Cookie, ...
}

var calls = []reply{
	{"plain", ok + "X-A: b\r\nContent-Length: 2\r\n\r\nhi", "200 hi, 299", "X-A: b"},
	{"until the end", ok + "\r\nhi", "200 hi, 299", ""},
	{"more than the length", ok + closing + "Content-Length: 2\r\n\r\nhi" + ok + "Content-Length: 4\r\n\r\nevil", "200 hi, 299", ""},
	{"more than the chunks", ok + closing + chunked + "\r\n2\r\nhi\r\n0\r\n\r\n" + ok + "Content-Length: 4\r\n\r\nevil", "200 hi, 299", ""},
	{"less than the length", ok + "Content-Length: 3\r\n\r\nhi", "", ""},
	{"chunks that break off", ok + chunked + "\r\n2\r\nhi\r\n", "", ""},
	{"chunks that are none", ok + chunked + "\r\n2\r\nhi\r\nx\r\n", "", ""},
	{"a chunk of 2^64", ok + chunked + "\r\n10000000000000000\r\nhi", "", ""},
	{"a length beside chunks", ok + "Content-Length: 1\r\n" + chunked + "\r\n2\r\nhi\r\n0\r\n\r\n", "200 hi, 299", ""},
	{"two lengths", ok + "Content-Length: 1\r\nContent-Length: 2\r\n\r\nhi", "502, 299", ""},
	{"a length that is none", ok + "Content-Length: -2\r\n\r\nhi", "502, 299", ""},
	{"chunked twice", ok + chunked + chunked + "\r\n0\r\n\r\n", "502, 299", ""},
	{"gzip, chunked", ok + "Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n", "502, 299", ""},
	{"204 with a body", "HTTP/1.1 204 No Content\r\n" + closing + "Content-Length: 4\r\n\r\nevil", "204, 299", ""},
	{"304 with a body", "HTTP/1.1 304 Not Modified\r\n" + closing + "Content-Length: 4\r\n\r\nevil", "304, 299", ""},

	{"splitting by CR", ok + "X-A: b\rSet-Cookie: evil=1\r\nContent-Length: 0\r\n\r\n", "502, 299", ""},
	{"splitting by LF", ok + "X-A: b\nX-B: c\nContent-Length: 0\n\n", "200, 299", "X-A: b X-B: c"},
	{"splitting by a fold", ok + "X-A: b\r\n Set-Cookie: evil=1\r\nContent-Length: 0\r\n\r\n", "200, 299", "X-A: b Set-Cookie: evil=1"},
	{"splitting by a second head", ok + "X-A: b\r\n\r\n" + ok + "Content-Length: 4\r\n\r\nevil", "200 " + ok + "Content-Length: 4\r\n\r\nevil, 299", "X-A: b"},
	{"NUL", ok + "X-A: \x00\r\nContent-Length: 0\r\n\r\n", "502, 299", ""},
	{"a name with a space", ok + "X-A : b\r\nX B: c\r\nContent-Length: 0\r\n\r\n", "200, 299", ""},
	{"a name with a bracket", ok + "X(A: b\r\nContent-Length: 0\r\n\r\n", "502, 299", ""},
	{"no name", ok + ": b\r\nContent-Length: 0\r\n\r\n", "502, 299", ""},
	{"no colon", ok + "X-A\r\nContent-Length: 0\r\n\r\n", "502, 299", ""},
	{"control characters in the reason", "HTTP/1.1 200 \x1b[2J\x00\r\nContent-Length: 0\r\n\r\n", "200, 299", ""},
	{"status 99", "HTTP/1.1 099 X\r\nContent-Length: 0\r\n\r\n", "502, 299", ""},
	{"status 1000", "HTTP/1.1 1000 X\r\nContent-Length: 0\r\n\r\n", "502, 299", ""},
	{"HTTP/0.9", "hi", "502, 299", ""},
	{"nothing", "", "502, 299", ""},
	{"hop by hop", ok + "Connection: X-A\r\nX-A: b\r\nKeep-Alive: 1\r\nUpgrade: h2c\r\nProxy-Authenticate: Basic\r\nContent-Length: 0\r\n\r\n", "200, 299", ""},

	{"hints", strings.Repeat("HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n", 5) + ok + "Content-Length: 0\r\n\r\n", "200, 299", ""},
	{"a flood of 100", strings.Repeat("HTTP/1.1 100 Continue\r\nX: y\r\n\r\n", 1<<12), "502, 299", ""},
	{"a flood of 103", strings.Repeat("HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n", 1<<12), "502, 299", ""},
	{"101", switching(""), "502, 299", ""},
	{"101 without an upgrade", "HTTP/1.1 101 Switching Protocols\r\n\r\n" + ok + "\r\nevil", "502, 299", ""},
}

// What answers a handshake ends the connection, or is a socket.
var sockets = []reply{
	{"W2 right", switching("X-A: b\r\nSet-Cookie: a=1\r\n"), "101", "Connection: Upgrade Upgrade: websocket X-A: b Set-Cookie: a=1"},
	{"W2 fields that frame", switching("Content-Length: 5\r\nContent-Type: text/html\r\n") + "hello", "101", "Connection: Upgrade Upgrade: websocket"},
	{"W2 chunks", switching(chunked) + "5\r\nhello\r\n", "101", "Connection: Upgrade Upgrade: websocket"},
	{"W2 fields of one connection", strings.Replace(switching("X-A: b\r\nKeep-Alive: 1\r\n"), "Connection: Upgrade", "Connection: Upgrade, X-A", 1), "101", "Connection: Upgrade Upgrade: websocket"},
	{"W2 a name with a space", switching("X-A : b\r\n"), "101", "Connection: Upgrade Upgrade: websocket"},
	{"W2 splitting by a fold", switching("X-A: b\r\n Set-Cookie: evil=1\r\n"), "101", "Connection: Upgrade Upgrade: websocket X-A: b Set-Cookie: evil=1"},
	{"W2 splitting by CR", switching("X-A: b\rSet-Cookie: evil=1\r\n"), "502", ""},
	{"W2 an extension that wasn't offered", switching("Sec-WebSocket-Extensions: permessage-deflate\r\n"), "502", ""},
	{"W2 a subprotocol that wasn't offered", switching("Sec-WebSocket-Protocol: v1\r\n"), "502", ""},
	{"W2 a second Accept", switching("Sec-WebSocket-Accept: x\r\n"), "502", ""},
	{"W2 by HTTP/1.0", strings.Replace(switching(""), "/1.1", "/1.0", 1), "502", ""},
	{"W2 by HTTP/2.0", strings.Replace(switching(""), "/1.1", "/2.0", 1), "502", ""},
	{"W2 a flood of 103", strings.Repeat("HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n", 1<<14), "502", ""},
	{"W2 a flood of fields", strings.Repeat("X: y\r\n", 1<<14), "502", ""},
	{"W2 nothing", "", "502", ""},
	{"refused", "HTTP/1.1 403 Forbidden\r\nX-A: b\r\nContent-Length: 2\r\n\r\nno", "403 no", "Connection: close X-A: b"},
	{"refused, and more than the length", "HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\n\r\nno" + ok + "\r\nevil", "403 no", "Connection: close"},
	{"refused, with a length beside chunks", "HTTP/1.1 403 Forbidden\r\nContent-Length: 1\r\n" + chunked + "\r\n2\r\nno\r\n0\r\n\r\n", "403 no", "Connection: close"},
	{"refused by 204 with a body", "HTTP/1.1 204 No Content\r\n\r\nevil", "204", "Connection: close"},
	{"refused by a name with a space", "HTTP/1.1 403 Forbidden\r\nX-A : b\r\nContent-Length: 0\r\n\r\n", "403", "Connection: close"},
	{"refused by two lengths", "HTTP/1.1 403 Forbidden\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nno", "502", ""},
	{"refused, in less than the length", "HTTP/1.1 403 Forbidden\r\nContent-Length: 3\r\n\r\nno", "", ""},
	{"refused, in chunks that break off", "HTTP/1.1 403 Forbidden\r\n" + chunked + "\r\n2\r\nno\r\n", "", ""},
	{"200 with a handshake's fields", strings.Replace(switching("Content-Length: 0\r\n"), "101 Switching Protocols", "200 OK", 1), "200", "Connection: close"},
	{"upgraded by 200", strings.Replace(switching(""), "101 Switching Protocols", "200 OK", 1) + "\x81\x02hi", "200 \x81\x02hi", "Connection: close"},
}

// W2, D3: the client reads what the gateway understood, in the gateway's words:
// no backend can put an answer behind an answer, or a field into a field, and
// what broke off doesn't look whole.
func TestD3AnswersToCalls(t *testing.T) { replies(t, get+"\r\n"+last, calls) }

func TestW2AnswersToHandshakes(t *testing.T) { replies(t, socket+"\r\n"+last, sockets) }

func replies(t *testing.T, sent string, rows []reply) {
	h := open(t, twoRoutes)
	for _, r := range rows {
		t.Run(r.name, func(t *testing.T) {
			h.TB = t
			h.backend.mu.Lock()
			h.backend.reply = func(q *request) string {
				if q.target == "/public/last" {
					return "HTTP/1.1 299 Reached\r\nContent-Length: 0\r\n\r\n"
				}
				return r.says
			}
			h.backend.mu.Unlock()
			want, err := read(sent)
			answers, err := h.exchange(sent, want, err)
			if err != nil {
				t.Error(err)
			}
			var got []string
			for _, a := range answers {
				if a.status == http.StatusBadGateway {
					a.body = nil // our own words
				}
				got = append(got, strings.TrimSuffix(fmt.Sprintf("%d %s", a.status, a.body), " "))
			}
			if got := strings.Join(got, ", "); got != r.want {
				t.Errorf("the client got %.200q, want %q", got, r.want)
			}
			if len(answers) > 0 && answers[0].status != http.StatusBadGateway {
				if got := told(answers[0]); got != r.fields {
					t.Errorf("fields %q, want %q", got, r.fields)
				}
			}
		})
	}
}

// told returns the fields that a row tests.
func told(a *answer) string {
	var list []string
	for _, name := range []string{
		"Connection", "Upgrade", "X-A", "X-B", "X B", "Set-Cookie", "Keep-Alive", "Proxy-Authenticate", "Sec-Websocket-Extensions",
	} {
		if v := a.get(name); v != "" {
			list = append(list, name+": "+v)
		}
	}
	if a.status == http.StatusSwitchingProtocols && len(all(a.fields, "Content-Length"))+len(all(a.fields, "Transfer-Encoding"))+len(all(a.fields, "Content-Type")) > 0 {
		list = append(list, "what frames")
	}
	return strings.Join(list, " ")
}

// W2, W4: a client that says it has nothing more to send while the backend is
// asked gets no answer, rather than one that the backend didn't give.
func TestW2NoAnswerIsMadeUp(t *testing.T) {
	for name, sent := range map[string]string{"call": get + "\r\n", "handshake": socket + "\r\n"} {
		t.Run(name, func(t *testing.T) {
			h := open(t, twoRoutes)
			asked, done := make(chan struct{}), make(chan struct{})
			h.backend.reply = func(*request) string { close(asked); <-done; return "" }
			defer close(done)
			nc := h.dial(t)
			_, _ = io.WriteString(nc, sent)
			<-asked
			_ = nc.(*net.TCPConn).CloseWrite()
			if got, err := io.ReadAll(nc); len(got) > 0 {
				t.Errorf("the client got %q, err %v", got, err)
			}
		})
	}
}
