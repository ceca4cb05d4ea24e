package relay_test

import (
	"bufio"
	"context"
	"crypto/sha1"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/gobwas/ws"
	"go.uber.org/goleak"

	"github.com/portcullis-auth/portcullis/gateway/relay"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// patience bounds what must happen soon: only a failing test waits as long.
const patience = time.Minute

const key = "dGhlIHNhbXBsZSBub25jZQ=="

func accept() string {
	sum := sha1.Sum([]byte(key + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"))
	return base64.StdEncoding.EncodeToString(sum[:])
}

// asked is a handshake with an offer.
func asked() *http.Request {
	r := httptest.NewRequest(http.MethodGet, "/wsapi/?a=1", nil)
	r.Host = "app.example.com"
	r.Header = http.Header{
		"Connection": {"Upgrade"}, "Upgrade": {"websocket"}, "Sec-Websocket-Version": {"13"}, "Sec-Websocket-Key": {key},
		"Sec-Websocket-Protocol": {"chat.v1, chat.v2"}, "Sec-Websocket-Extensions": {"permessage-deflate; client_max_window_bits"},
	}
	return r
}

// answering is a backend that reads a request's head and writes the bytes. It
// returns its URL, and what it was asked.
func answering(t *testing.T, answer string) (*url.URL, <-chan string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	heads := make(chan string, 1)
	done := make(chan struct{})
	go func() {
		defer close(done)
		nc, err := l.Accept()
		if err != nil {
			return
		}
		defer nc.Close()
		_ = nc.SetDeadline(time.Now().Add(patience))
		var head strings.Builder
		for br := bufio.NewReader(nc); ; {
			line, err := br.ReadString('\n')
			head.WriteString(line)
			if err != nil || line == "\r\n" {
				break
			}
		}
		heads <- head.String()
		_, _ = io.WriteString(nc, answer)
		_, _ = io.Copy(io.Discard, nc) // until the other side closes
	}()
	t.Cleanup(func() { _ = l.Close(); <-done })
	return &url.URL{Scheme: "http", Host: l.Addr().String()}, heads
}

func switching(headers string) string {
	return "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: " + accept() + "\r\n" + headers + "\r\n"
}

// W2: the backend's 101 is verified; anything else is an error, and the
// connection is closed.
func TestW2BackendsAnswerIsVerified(t *testing.T) {
	plain := switching("")
	for _, tt := range []struct {
		name, answer string
		ok           bool
	}{
		{"good", plain, true},
		{"offered subprotocol", switching("Sec-WebSocket-Protocol: chat.v2\r\n"), true},
		{"offered extension", switching("Sec-WebSocket-Extensions: permessage-deflate; server_no_context_takeover\r\n"), true},
		{"early hints before it", "HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n" + plain, true},
		{"Connection is a list", strings.Replace(plain, "Connection: Upgrade", "Connection: keep-alive, upgrade", 1), true},
		{"wrong Accept", strings.Replace(plain, accept(), "AAAAAAAAAAAAAAAAAAAAAAAAAAA=", 1), false},
		{"no Accept", strings.Replace(plain, "Sec-WebSocket-Accept: "+accept()+"\r\n", "", 1), false},
		{"two Accepts", switching("Sec-WebSocket-Accept: " + accept() + "\r\n"), false},
		{"no Upgrade", strings.Replace(plain, "Upgrade: websocket\r\n", "", 1), false},
		{"other Upgrade", strings.Replace(plain, "Upgrade: websocket", "Upgrade: h2c", 1), false},
		{"no Connection", strings.Replace(plain, "Connection: Upgrade\r\n", "", 1), false},
		{"subprotocol not offered", switching("Sec-WebSocket-Protocol: chat.v3\r\n"), false},
		{"subprotocol in other case", switching("Sec-WebSocket-Protocol: CHAT.v1\r\n"), false},
		{"two subprotocols", switching("Sec-WebSocket-Protocol: chat.v1, chat.v2\r\n"), false},
		{"extension not offered", switching("Sec-WebSocket-Extensions: x-webkit-deflate-frame\r\n"), false},
		{"not HTTP", "SSH-2.0-OpenSSH_9.2\r\n\r\n", false},
		{"nothing", "", false},
		{"endless hints", strings.Repeat("HTTP/1.1 103 Early Hints\r\n\r\n", 10_000), false},
		{"endless head", "HTTP/1.1 101 Switching Protocols\r\nX: " + strings.Repeat("x", 1<<20), false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			to, heads := answering(t, tt.answer)
			d := relay.Dialer{Timeout: patience}
			r := asked()
			r.Close = true // "Connection: close, upgrade" is about the client's connection
			if tt.answer == "" {
				d.Timeout = 50 * time.Millisecond
			}
			answer, side, err := d.Handshake(t.Context(), to, r)
			switch {
			case tt.ok && (err != nil || side == nil || answer.StatusCode != 101):
				t.Fatalf("refused: %v", err)
			case tt.ok:
				_ = side.Conn.Close()
			case tt.answer == "":
				if !errors.Is(err, relay.ErrSilent) {
					t.Errorf("err %v, want ErrSilent", err)
				}
			case !errors.Is(err, relay.ErrBadAnswer):
				t.Errorf("err %v, want ErrBadAnswer", err)
			}
			head := <-heads
			for _, want := range []string{"GET /wsapi/?a=1 HTTP/1.1\r\nHost: app.example.com\r\n", "Sec-Websocket-Key: " + key + "\r\n"} {
				if !strings.Contains(head, want) {
					t.Errorf("the backend was asked\n%s\nwant %q in it", head, want)
				}
			}
			if strings.Contains(head, "User-Agent") || strings.Contains(head, "Content-Length") || strings.Contains(head, "close") {
				t.Errorf("the backend was asked more than the client asked:\n%s", head)
			}
		})
	}
}

// An answer that isn't a 101 is the client's to see.
func TestBackendsRefusalIsReturned(t *testing.T) {
	to, _ := answering(t, "HTTP/1.1 404 Not Found\r\nX-Why: gone\r\nContent-Length: 4\r\n\r\ngone")
	answer, side, err := new(relay.Dialer).Handshake(t.Context(), to, asked())
	if err != nil || side != nil {
		t.Fatalf("side %v, err %v", side, err)
	}
	body, err := io.ReadAll(answer.Body)
	if answer.StatusCode != 404 || answer.Header.Get("X-Why") != "gone" || string(body) != "gone" || err != nil {
		t.Errorf("%d %v %q, err %v", answer.StatusCode, answer.Header, body, err)
	}
	_ = answer.Body.Close()
}

func TestHandshakeEndsWithItsContext(t *testing.T) {
	to, heads := answering(t, "")
	ctx, cancel := context.WithCancel(t.Context())
	go func() { <-heads; cancel() }()
	if _, _, err := new(relay.Dialer).Handshake(ctx, to, asked()); err == nil || errors.Is(err, relay.ErrSilent) {
		t.Errorf("err %v, want that of the context", err)
	}
}

func TestHandshakeOverTLS(t *testing.T) {
	s := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.ProtoMajor != 1 {
			t.Errorf("asked in %s", r.Proto)
		}
		_, _, _, _ = ws.UpgradeHTTP(r, w)
	}))
	t.Cleanup(s.Close)
	to, err := url.Parse(s.URL)
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := new(relay.Dialer).Handshake(t.Context(), to, asked()); err == nil {
		t.Error("a certificate that nobody vouches for was taken")
	}
	roots := x509.NewCertPool()
	roots.AddCert(s.Certificate())
	r := asked()
	r.Header.Del("Sec-Websocket-Protocol")
	_, side, err := (&relay.Dialer{TLS: &tls.Config{RootCAs: roots}}).Handshake(t.Context(), to, r)
	if err != nil {
		t.Fatal(err)
	}
	_ = side.Conn.Close()
}

// Bytes go through as they are, both ways, and those that came with the
// handshakes come first.
func TestBytesGoThroughUnchanged(t *testing.T) {
	everyWay(t, func(t *testing.T, w way) {
		early := masked(ws.OpText, "early")
		greeting := plain(ws.OpText, "welcome")
		l := newLine(t, w, time.Second, string(early), string(greeting))
		l.backend.want(t, early)
		l.client.want(t, greeting)
		up, down := masked(ws.OpBinary, strings.Repeat("x", 1<<20)), plain(ws.OpBinary, strings.Repeat("y", 1<<20))
		go func() { _, _ = l.client.Write(up) }()
		l.backend.want(t, up)
		go func() { _, _ = l.backend.Write(down) }()
		l.client.want(t, down)

		// The closing handshake is theirs.
		l.client.send(t, masked(ws.OpClose, "\x03\xe8"))
		if f, err := ws.ReadFrame(l.backend.r); err != nil || f.Header.OpCode != ws.OpClose { //nolint:staticcheck // what it reads is ours, and small
			t.Errorf("%v, err %v; want Close", f.Header, err)
		}
		l.backend.send(t, plain(ws.OpClose, "\x03\xe8"))
		l.client.want(t, plain(ws.OpClose, "\x03\xe8"))
		_ = l.backend.Close()
		if rest, err := io.ReadAll(l.client.r); len(rest) > 0 || err != nil {
			t.Errorf("then: % x, err %v; want the end", rest, err)
		}
		_ = l.client.Close()
		r := l.wait()
		if r.Cause != nil || r.BackendAborted || r.FromClient < 1<<20 || r.FromBackend < 1<<20 {
			t.Errorf("result %+v", r)
		}
	})
}
