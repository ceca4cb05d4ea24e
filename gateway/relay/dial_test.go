package relay_test

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gobwas/ws"
	"github.com/google/go-cmp/cmp"

	"github.com/portcullis-auth/portcullis/gateway/relay"
)

// W2: what can be read in two ways is refused, or goes on in one form only.
func TestW2AnswersThatAreOddlyWritten(t *testing.T) {
	plain := switching("")
	long := func(n int) string { return switching("X-Long: " + strings.Repeat("x", n) + "\r\n") }
	for _, tt := range []struct {
		name, answer string
		ok           bool
	}{
		{"no reason phrase", strings.Replace(plain, "101 Switching Protocols", "101", 1), true},
		{"lines end with LF", strings.ReplaceAll(plain, "\r\n", "\n"), true},
		{"Connection on two lines", strings.Replace(plain, "Connection: Upgrade", "Connection: keep-alive\r\nConnection: upgrade", 1), true},
		{"folded line", switching("X-Folded: a\r\n b\r\n"), true},
		{"100 and 103 before it", "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n" + plain, true},
		{"large head", long(63 << 10), true},
		{"too large a head", long(64 << 10), false},
		{"headers of hints don't count", "HTTP/1.1 103 Early Hints\r\nSec-WebSocket-Accept: " + accept() + "\r\n\r\n" +
			strings.Replace(plain, "Sec-WebSocket-Accept: "+accept()+"\r\n", "", 1), false},
		{"Accept folded", strings.Replace(plain, accept(), accept()[:9]+"\r\n "+accept()[9:], 1), false},
		{"Accept in lower case", strings.Replace(plain, accept(), strings.ToLower(accept()), 1), false},
		{"two Upgrades", switching("Upgrade: websocket\r\n"), false},
		{"list of Upgrades", strings.Replace(plain, "Upgrade: websocket", "Upgrade: websocket, h2c", 1), false},
		{"two subprotocols on two lines", switching("Sec-WebSocket-Protocol: chat.v1\r\nSec-WebSocket-Protocol: chat.v2\r\n"), false},
		{"space before the colon", strings.Replace(plain, "Upgrade:", "Upgrade :", 1), false},
		{"line without colon", switching("X-Nothing\r\n"), false},
		{"no name", switching(": a\r\n"), false},
		{"bare CR", switching("X-Return: a\rX-Other: b\r\n"), false},
		{"NUL", switching("X-Nul: a\x00b\r\n"), false},
		{"begins with a folded line", strings.Replace(plain, "\r\nUpgrade", "\r\n Upgrade", 1), false},
		{"ends inside of the head", strings.TrimSuffix(plain, "\r\n"), false},
		{"status of four digits", strings.Replace(plain, "101", "1010", 1), false},
		{"status of two digits", strings.Replace(plain, "101", "10", 1), false},
		{"status with a sign", strings.Replace(plain, "101", "+101", 1), false},
		{"no status", strings.Replace(plain, " 101 Switching Protocols", "", 1), false},
		{"version in lower case", strings.Replace(plain, "HTTP/1.1", "http/1.1", 1), false},
		{"empty line first", "\r\n" + plain, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			d := relay.Dialer{Timeout: patience}
			to, _ := closing(t, tt.answer)
			answer, side, err := d.Handshake(t.Context(), to, asked())
			if tt.ok && (err != nil || side == nil) {
				t.Fatalf("refused: %v", err)
			}
			if !tt.ok && !errors.Is(err, relay.ErrBadAnswer) {
				t.Fatalf("err %v, want ErrBadAnswer", err)
			}
			if !tt.ok {
				if got := strings.Contains(err.Error(), "larger than 65536 bytes"); got != (tt.name == "too large a head") {
					t.Errorf("%v", err)
				}
				return
			}
			_ = side.Conn.Close()
			for name, values := range answer.Header {
				if strings.ContainsAny(name+strings.Join(values, ""), "\r\n") {
					t.Errorf("%q: %q holds a line break", name, values)
				}
			}
		})
	}
}

// closing is a backend that writes the bytes as soon as it was asked, and then
// says that nothing more comes.
func closing(t *testing.T, answer string) (to *url.URL, asked <-chan string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	heads := make(chan string, 1)
	var serving sync.WaitGroup
	serving.Go(func() {
		nc, err := l.Accept()
		if err != nil {
			return
		}
		defer nc.Close()
		_ = nc.SetDeadline(time.Now().Add(patience))
		var head strings.Builder
		for r := bufio.NewReader(nc); ; {
			line, err := r.ReadString('\n')
			head.WriteString(line)
			if err != nil || line == "\r\n" {
				break
			}
		}
		heads <- head.String()
		_, _ = io.WriteString(nc, answer)
		_ = nc.(*net.TCPConn).CloseWrite()
		_, _ = io.Copy(io.Discard, nc)
	})
	t.Cleanup(func() { _ = l.Close(); serving.Wait() })
	return &url.URL{Scheme: "http", Host: l.Addr().String()}, heads
}

// P1: the backend is asked for what the request says, byte by byte, and told
// nothing else.
func TestP1HeadIsTheRequests(t *testing.T) {
	r := asked()
	r.URL.Opaque, r.URL.RawQuery = "/wsapi/%7Ea", "b=%20&c"
	r.Header["Cookie"] = []string{"a=1", "b=2"}
	r.Header["X-Empty"] = []string{""}
	r.Header["Content-Length"] = []string{"0"}
	r.Header["Host"] = []string{"other.example.com"}
	r.Header["Transfer-Encoding"] = []string{"chunked"}
	r.Header["Trailer"] = []string{"X-Late"}
	to, heads := closing(t, switching(""))
	_, side, err := new(relay.Dialer).Handshake(t.Context(), to, r)
	if err != nil {
		t.Fatal(err)
	}
	_ = side.Conn.Close()
	head := <-heads
	if want := "GET /wsapi/%7Ea?b=%20&c HTTP/1.1\r\nHost: app.example.com\r\n"; !strings.HasPrefix(head, want) {
		t.Errorf("begins\n%.200s\nwant\n%s", head, want)
	}
	if strings.Contains(head, "Transfer-Encoding") { // which the parser below would take away
		t.Errorf("a body is announced:\n%s", head)
	}
	want := r.Header.Clone()
	for _, name := range []string{"Content-Length", "Host", "Transfer-Encoding", "Trailer"} {
		want.Del(name)
	}
	got, err := http.ReadRequest(bufio.NewReader(strings.NewReader(head)))
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got.Header); diff != "" {
		t.Errorf("header (-want +got):\n%s", diff)
	}
}

// D3: a line break that got into a request doesn't get out again.
func TestD3NoLineBreakIsSent(t *testing.T) {
	for _, broken := range []string{"a\r\nX-Forwarded-User: root", "a\nX-Forwarded-User: root", "a\rX-Forwarded-User: root", "a\r\n\r\nGET / HTTP/1.1"} {
		for name, put := range map[string]func(*http.Request){
			"value":  func(r *http.Request) { r.Header["X-A"] = []string{broken} },
			"name":   func(r *http.Request) { r.Header[broken] = []string{"a"} },
			"host":   func(r *http.Request) { r.Host = broken },
			"target": func(r *http.Request) { r.URL.Opaque = "/" + broken },
			"query":  func(r *http.Request) { r.URL.RawQuery = broken },
		} {
			r := asked()
			put(r)
			to, heads := closing(t, switching(""))
			_, side, err := new(relay.Dialer).Handshake(t.Context(), to, r)
			if err == nil {
				_ = side.Conn.Close()
				t.Errorf("%s %q: sent", name, broken)
			} else if strings.Contains(err.Error(), "root") {
				t.Errorf("%s: %v tells what it was", name, err)
			}
			if head := <-heads; head != "" {
				t.Errorf("%s %q: the backend got\n%s", name, broken, head)
			}
		}
	}
}

// Handshakes share buffers: none sees anything of another one.
func TestHandshakesDontMix(t *testing.T) {
	var handshakes sync.WaitGroup
	defer handshakes.Wait()
	for i := range 24 {
		greeting := plain(ws.OpText, fmt.Sprint("welcome, ", i))
		answer := switching(fmt.Sprintf("X-Number: %d\r\n", i)) + string(greeting)
		if i%3 == 1 {
			answer = "SSH-2.0-OpenSSH_9.2\r\n\r\n" + string(greeting)
		}
		body := strings.Repeat(fmt.Sprintf("%02d", i), 40<<10) // more than a head may have
		if i%3 == 2 {
			answer = fmt.Sprintf("HTTP/1.1 403 Forbidden\r\nContent-Length: %d\r\n\r\n%s", len(body), body)
		}
		to, heads := closing(t, answer)
		handshakes.Go(func() {
			r := asked()
			r.Header.Set("X-Number", fmt.Sprint(i))
			got, side, err := new(relay.Dialer).Handshake(t.Context(), to, r)
			if head := <-heads; !strings.Contains(head, fmt.Sprintf("X-Number: %d\r\n", i)) {
				t.Errorf("%d: the backend was asked\n%s", i, head)
			}
			switch i % 3 {
			case 0:
				if err != nil {
					t.Error(err)
					return
				}
				defer side.Conn.Close()
				if got.Header.Get("X-Number") != fmt.Sprint(i) {
					t.Errorf("%d: %v", i, got.Header)
				}
				rest, err := io.ReadAll(side.Conn)
				if early := append(side.Early, rest...); !bytes.Equal(early, greeting) || err != nil {
					t.Errorf("%d: then %q, err %v; want %q", i, early, err, greeting)
				}
			case 1:
				if !errors.Is(err, relay.ErrBadAnswer) {
					t.Errorf("%d: err %v, want ErrBadAnswer", i, err)
				}
			case 2:
				if err != nil {
					t.Error(err)
					return
				}
				defer got.Body.Close()
				if b, err := io.ReadAll(got.Body); string(b) != body || err != nil {
					t.Errorf("%d: %d bytes of body, err %v", i, len(b), err)
				}
			}
		})
	}
}

// The body of a refusal is read later, while others make handshakes.
func TestRefusalsBodyIsReadLater(t *testing.T) {
	to, _ := closing(t, "HTTP/1.1 403 Forbidden\r\nContent-Length: 4\r\n\r\ngone")
	refused, _, err := new(relay.Dialer).Handshake(t.Context(), to, asked())
	if err != nil {
		t.Fatal(err)
	}
	defer refused.Body.Close()
	for range 8 {
		to, _ := closing(t, switching("")+"other")
		_, side, err := new(relay.Dialer).Handshake(t.Context(), to, asked())
		if err != nil {
			t.Fatal(err)
		}
		_ = side.Conn.Close()
	}
	if body, err := io.ReadAll(refused.Body); string(body) != "gone" || err != nil {
		t.Errorf("%q, err %v", body, err)
	}
}

// D3: whatever is in a request, net/http reads the same out of the head, or it
// isn't sent.
func FuzzD3Head(f *testing.F) {
	f.Add("/wsapi/", "a=1", "app.example.com", "X-A", "a")
	f.Add("/", "", "a", "Cookie", "a=1\r\nX-Forwarded-User: root")
	f.Add("/", "", "a", "X-A", "\t a\t")
	f.Add("/ HTTP/1.1\r\nX-A: b", "", "a\nb", "X-A", "\r")
	f.Fuzz(func(t *testing.T, path, query, host, name, value string) {
		if http.CanonicalHeaderKey(name) != name || strings.Trim(name, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz-") != "" {
			return // a name comes from net/http, or is in the code
		}
		switch name {
		case "", "Host", "Content-Length", "Transfer-Encoding", "Trailer":
			return
		}
		head, ok := relay.Head(&http.Request{
			URL: &url.URL{Opaque: "/" + path, RawQuery: query}, Host: host, Header: http.Header{name: {value}},
		})
		if broken := strings.ContainsAny(path+query+host+value, "\r\n"); ok == broken {
			t.Fatalf("sent: %v\n%q", ok, head)
		}
		if !ok {
			return
		}
		r := bufio.NewReader(bytes.NewReader(head))
		got, err := http.ReadRequest(r)
		if err != nil {
			return // a backend would say the same
		}
		want := http.Header{name: {strings.Trim(value, " \t")}}
		if name == "Pragma" && value == "no-cache" {
			want["Cache-Control"] = []string{"no-cache"} // net/http's own
		}
		if diff := cmp.Diff(want, got.Header); diff != "" {
			t.Errorf("header (-want +got):\n%s", diff)
		}
		if r.Buffered() != 0 {
			t.Errorf("%d bytes follow the head", r.Buffered())
		}
	})
}
