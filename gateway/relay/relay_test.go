package relay_test

import (
	"bufio"
	"bytes"
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

	"github.com/portcullis-auth/portcullis"
	"github.com/portcullis-auth/portcullis/gateway/relay"
	"github.com/portcullis-auth/portcullis/internal/wsconn"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// patience bounds what must happen soon: only a failing test waits as long.
const patience = 20 * time.Second

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

// A line is a socket through the relay, with both of its ends in our hands.
type line struct {
	*testing.T
	guard           *portcullis.Guard
	client, backend *end
	result          chan relay.Result
}

// An end is what a peer has of a connection.
type end struct {
	net.Conn
	r *bufio.Reader
}

// tcp returns both ends of a TCP connection, in TLS if secure.
func tcp(t *testing.T, secure bool) (ours net.Conn, peer *end) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	dialed, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	accepted, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	_ = dialed.SetDeadline(time.Now().Add(patience))
	t.Cleanup(func() { _ = dialed.Close() })
	if secure {
		s := httptest.NewUnstartedServer(nil)
		s.StartTLS()
		config := s.TLS
		s.Close()
		server := tls.Server(wsconn.ForTLS(accepted), config)
		client := tls.Client(dialed, &tls.Config{InsecureSkipVerify: true})
		failed := make(chan error, 1)
		go func() { failed <- server.Handshake() }()
		if err := errors.Join(client.Handshake(), <-failed); err != nil {
			t.Fatal(err)
		}
		return server, &end{client, bufio.NewReader(client)}
	}
	return accepted, &end{dialed, bufio.NewReader(dialed)}
}

func newLine(t *testing.T, w way, grace time.Duration, early ...string) *line {
	t.Helper()
	return newLineWith(t, w, grace, func(nc net.Conn) net.Conn { return nc }, early...)
}

// newLineOver is a line whose connection to the backend is wrapped.
func newLineOver(t *testing.T, wrap func(net.Conn) net.Conn) *line {
	t.Helper()
	return newLineWith(t, way{}, patience, wrap)
}

func newLineWith(t *testing.T, w way, grace time.Duration, wrap func(net.Conn) net.Conn, early ...string) *line {
	t.Helper()
	engine := &relay.Engine{Portable: w.portable}
	t.Cleanup(engine.Close)
	return newLineFor(t, engine, w.secure, grace, wrap, early...)
}

// newLineIn is a line in clear of an Engine that somebody else closes.
func newLineIn(t *testing.T, e *relay.Engine, grace time.Duration) *line {
	t.Helper()
	return newLineFor(t, e, false, grace, func(nc net.Conn) net.Conn { return nc })
}

func newLineFor(t *testing.T, engine *relay.Engine, secure bool, grace time.Duration, wrap func(net.Conn) net.Conn, early ...string) *line {
	t.Helper()
	l := &line{T: t, result: make(chan relay.Result, 1)}
	l.guard = &portcullis.Guard{Verifier: portcullis.VerifierFunc(func(context.Context, string) (*portcullis.Identity, error) {
		return &portcullis.Identity{Subject: "u", IssuedAt: time.Now(), ExpiresAt: time.Now().Add(time.Hour)}, nil
	})}
	r := asked()
	r.Header.Set("Authorization", "Bearer x")
	s, err := l.guard.Admit(r, &portcullis.Policy{})
	if err != nil {
		t.Fatal(err)
	}
	var client, backend relay.Side
	client.Conn, l.client = tcp(t, secure)
	backend.Conn, l.backend = tcp(t, secure)
	backend.Conn = wrap(backend.Conn)
	if len(early) == 2 {
		client.Early, backend.Early = []byte(early[0]), []byte(early[1])
	}
	engine.Start(s, client, backend, grace, func(result relay.Result) {
		s.Close()
		l.result <- result
	})
	return l
}

func (l *line) wait() relay.Result {
	l.Helper()
	select {
	case r := <-l.result:
		for range l.guard.Sessions() {
			l.Error("a session is left")
		}
		return r
	case <-time.After(patience):
		l.Fatal("the relay doesn't end")
		return relay.Result{}
	}
}

func (l *line) revoke() {
	l.Helper()
	if err := l.guard.Revoke(l.Context(), portcullis.Revocation{Subject: "u"}); err != nil {
		l.Fatal(err)
	}
}

func masked(op ws.OpCode, payload string) []byte {
	return ws.MustCompileFrame(ws.MaskFrameWith(ws.NewFrame(op, true, []byte(payload)), [4]byte{1, 2, 3, 4}))
}

func plain(op ws.OpCode, payload string) []byte {
	return ws.MustCompileFrame(ws.NewFrame(op, true, []byte(payload)))
}

func (e *end) send(t *testing.T, p []byte) {
	t.Helper()
	if _, err := e.Write(p); err != nil {
		t.Fatal(err)
	}
}

func (e *end) want(t *testing.T, p []byte) {
	t.Helper()
	got := make([]byte, len(p))
	if _, err := io.ReadFull(e.r, got); err != nil || !bytes.Equal(got, p) {
		t.Fatalf("got %.64x, err %v; want %.64x", got, err, p)
	}
}

// wantClose wants a Close frame now, and then the end of the stream.
func (e *end) wantClose(t *testing.T, code ws.StatusCode, reason string, masked bool) {
	t.Helper()
	f, err := ws.ReadFrame(e.r) //nolint:staticcheck // what it reads is ours, and small
	if err != nil {
		t.Fatalf("before the Close frame: %v", err)
	}
	if f.Header.Masked != masked {
		t.Errorf("masked: %v, want %v", f.Header.Masked, masked)
	}
	if f.Header.Masked {
		f = ws.UnmaskFrame(f)
	}
	if gotCode, gotReason := ws.ParseCloseFrameData(f.Payload); f.Header.OpCode != ws.OpClose || gotCode != code || gotReason != reason {
		t.Errorf("%v %d %q, want Close %d %q", f.Header.OpCode, gotCode, gotReason, code, reason)
	}
	if rest, err := io.ReadAll(e.r); err != nil || len(rest) > 0 {
		t.Errorf("behind the Close frame: % x, err %v", rest, err)
	}
	_ = e.Close()
}

// A way is how frames are moved.
type way struct{ portable, secure bool }

// everyWay runs f for both engines, and over TLS.
func everyWay(t *testing.T, f func(t *testing.T, w way)) {
	t.Run("loop", func(t *testing.T) { f(t, way{}) })
	t.Run("goroutines", func(t *testing.T) { f(t, way{portable: true}) })
	t.Run("TLS", func(t *testing.T) { f(t, way{secure: true}) })
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
