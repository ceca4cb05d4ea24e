//go:build linux

package load_test

import (
	"bytes"
	"encoding/json"
	"net"
	"strings"
	"testing"

	"github.com/portcullis-auth/portcullis/bench/internal/load"
)

func TestResponse(t *testing.T) {
	for _, test := range []struct {
		name, text string
		whole      bool
		wrong      string // "": no error
	}{
		{"whole", "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}", true, ""},
		{"half a head", "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n", false, ""},
		{"half a body", "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{", false, ""},
		{"more than it says", "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}}", false, "another length"},
		{"no length", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", false, "another length"},
		{"refused", "HTTP/1.1 401 Unauthorized\r\nContent-Length: 2\r\n\r\n{}", false, `"HTTP/1.1 401 Unauthorized"`},
	} {
		whole, err := load.Response(test.text)
		if whole != test.whole || (err == nil) != (test.wrong == "") || err != nil && !strings.Contains(err.Error(), test.wrong) {
			t.Errorf("%s: %v, %v", test.name, whole, err)
		}
	}
}

// What can't be done is told, and the load goes on.
func TestFailure(t *testing.T) {
	var in, out bytes.Buffer
	for _, o := range []load.Order{{Do: "open", Addr: "127.0.0.1:1", N: 1}, {Do: "close"}} {
		if err := json.NewEncoder(&in).Encode(o); err != nil {
			t.Fatal(err)
		}
	}
	if err := load.Part(t.Context(), nil, json.NewDecoder(&in), json.NewEncoder(&out)); err != nil {
		t.Fatal(err)
	}
	var failed, done load.Report
	answers := json.NewDecoder(&out)
	for _, r := range []*load.Report{&failed, &done} {
		if err := answers.Decode(r); err != nil {
			t.Fatal(err)
		}
	}
	if !strings.HasPrefix(failed.Failure, "open: connect") || done.Failure != "" {
		t.Errorf("%+v, then %+v", failed, done)
	}
}

// Only a handshake that is answered as RFC 6455 has it opens a socket.
func TestHandshake(t *testing.T) {
	const right = "HTTP/1.1 101 Switching Protocols\r\nSec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n"
	for _, test := range []struct {
		name, answer, want string // "": it is opened
	}{
		{"right", right, ""},
		{"refused", "HTTP/1.1 401 Unauthorized\r\n\r\n", "Unauthorized"},
		{"not asked for", strings.ReplaceAll(right, "xOo=", "xOp="), "101"},
		{"early", right + "x", "nobody has asked for"},
		{"no answer", "", "not answered"},
	} {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		done := make(chan struct{})
		go func() {
			defer close(done)
			c, err := l.Accept()
			if err != nil {
				return
			}
			defer c.Close()
			_, _ = c.Read(make([]byte, 1000))
			_, _ = c.Write([]byte(test.answer))
			if test.answer != "" {
				_, _ = c.Read(make([]byte, 1)) // until the client has gone
			}
		}()
		orders, err := json.Marshal(load.Order{Do: "open", Addr: l.Addr().String(), N: 1, Path: "/"})
		if err != nil {
			t.Fatal(err)
		}
		var out bytes.Buffer
		in := strings.NewReader(string(orders) + `{"Do":"close"}`)
		if err := load.Part(t.Context(), nil, json.NewDecoder(in), json.NewEncoder(&out)); err != nil {
			t.Fatal(err)
		}
		var r load.Report
		if err := json.NewDecoder(&out).Decode(&r); err != nil {
			t.Fatal(err)
		}
		if (r.Failure == "") != (test.want == "") || !strings.Contains(r.Failure, test.want) {
			t.Errorf("%s: %q, want %q", test.name, r.Failure, test.want)
		}
		_ = l.Close()
		<-done
	}
}
