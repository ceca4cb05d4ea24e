package portcullis_test

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/coder/websocket"
	"github.com/gobwas/ws"
	"github.com/gobwas/ws/wsutil"
	gorilla "github.com/gorilla/websocket"
	"go.uber.org/goleak"

	"github.com/portcullis-auth/portcullis"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// patience bounds what must happen soon: only a failing test waits as long.
const patience = 20 * time.Second

// tokens is a token system: what isn't in it is invalid.
type tokens map[string]*portcullis.Identity

func (ts tokens) Verify(_ context.Context, token string) (*portcullis.Identity, error) {
	if id, ok := ts[token]; ok {
		return id, nil
	}
	return nil, portcullis.ErrInvalid
}

// alice is somebody whose token is good for an hour.
func alice() *portcullis.Identity {
	now := time.Now()
	return &portcullis.Identity{
		Issuer: "https://id.example.com", Subject: "u-alice", SessionID: "sid-1", TokenID: "jti-1", ClientID: "app",
		IssuedAt: now.Add(-time.Minute), ExpiresAt: now.Add(time.Hour),
		Claims: []byte(`{"sub":"u-alice","name":"Alice"}`),
	}
}

func newGuard() *portcullis.Guard {
	return &portcullis.Guard{
		Verifier: tokens{"good": alice()},
		Policy:   portcullis.Policy{Sources: []portcullis.TokenSource{portcullis.Query("token"), portcullis.Bearer}},
	}
}

// A peer is a WebSocket package: accept makes its server side do what is told.
type peer struct {
	name   string
	accept func(w http.ResponseWriter, r *http.Request) (socket, error)
}

// A socket is what a handler does with its package's connection.
type socket interface {
	read() ([]byte, error)
	write(p []byte) error
	close() // without a closing handshake
}

var peers = []peer{
	{"coder", func(w http.ResponseWriter, r *http.Request) (socket, error) {
		c, err := websocket.Accept(w, r, &websocket.AcceptOptions{CompressionMode: websocket.CompressionDisabled})
		if err != nil {
			return nil, err
		}
		c.SetReadLimit(64 << 20)
		return coderSocket{c, r.Context()}, nil
	}},
	{"gorilla", func(w http.ResponseWriter, r *http.Request) (socket, error) {
		u := gorilla.Upgrader{}
		c, err := u.Upgrade(w, r, nil)
		if err != nil {
			return nil, err
		}
		return gorillaSocket{c}, nil
	}},
	{"gobwas", func(w http.ResponseWriter, r *http.Request) (socket, error) {
		c, _, _, err := ws.UpgradeHTTP(r, w)
		if err != nil {
			return nil, err
		}
		return gobwasSocket{c}, nil
	}},
}

type coderSocket struct {
	*websocket.Conn
	ctx context.Context
}

func (s coderSocket) read() ([]byte, error) { _, p, err := s.Read(s.ctx); return p, err }
func (s coderSocket) write(p []byte) error  { return s.Write(s.ctx, websocket.MessageBinary, p) }
func (s coderSocket) close()                { _ = s.CloseNow() }

type gorillaSocket struct{ *gorilla.Conn }

func (s gorillaSocket) read() ([]byte, error) { _, p, err := s.ReadMessage(); return p, err }
func (s gorillaSocket) write(p []byte) error  { return s.WriteMessage(gorilla.BinaryMessage, p) }
func (s gorillaSocket) close()                { _ = s.Close() }

type gobwasSocket struct{ net.Conn }

func (s gobwasSocket) read() ([]byte, error) { p, _, err := wsutil.ReadClientData(s); return p, err }
func (s gobwasSocket) write(p []byte) error  { return wsutil.WriteServerBinary(s, p) }
func (s gobwasSocket) close()                { _ = s.Close() }

// A behaviour is what a handler does once it has a socket.
type behaviour struct {
	name  string
	serve func(ctx context.Context, s socket)
}

func echo(_ context.Context, s socket) {
	defer s.close()
	for {
		p, err := s.read()
		if err != nil || s.write(p) != nil {
			return
		}
	}
}

var behaviours = []behaviour{
	{"echo", echo},
	{"never reads nor writes", func(ctx context.Context, s socket) {
		defer s.close()
		<-ctx.Done()
	}},
	{"never reads", func(_ context.Context, s socket) {
		defer s.close()
		for p := make([]byte, 700); s.write(p) == nil; {
		}
	}},
	{"never writes", func(_ context.Context, s socket) {
		defer s.close()
		for {
			if _, err := s.read(); err != nil {
				return
			}
		}
	}},
}

// A how says how a handler serves its sockets.
type how struct {
	returnsEarly bool            // another goroutine serves the socket
	ctx          context.Context // for the behaviour; nil: the request's
}

// handler serves sockets of the peer; running says how many of them right now.
func (p peer) handler(t testing.TB, b behaviour, how how) (h http.Handler, running *atomic.Int32) {
	running = new(atomic.Int32)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		running.Add(1)
		s, err := p.accept(w, r)
		if err != nil {
			t.Errorf("accept: %v", err)
			running.Add(-1)
			return
		}
		serve := func() {
			defer running.Add(-1)
			if how.ctx != nil {
				b.serve(how.ctx, s)
			} else {
				b.serve(r.Context(), s)
			}
		}
		if how.returnsEarly {
			go serve()
		} else {
			serve()
		}
	}), running
}

// quiet is where net/http says what these tests provoke.
var quiet = log.New(io.Discard, "", 0)

// start starts a server, with TLS if secure.
func start(t testing.TB, h http.Handler, secure bool) *httptest.Server {
	s := httptest.NewUnstartedServer(h)
	s.Config.ErrorLog = quiet
	if secure {
		s.StartTLS()
	} else {
		s.Start()
	}
	t.Cleanup(s.Close)
	return s
}

// behindProxy returns a handler that proxies to h, which gets a server of its own.
func behindProxy(t testing.TB, h http.Handler) http.Handler {
	backend := start(t, h, false)
	u, err := url.Parse(backend.URL)
	if err != nil {
		t.Fatal(err)
	}
	return &httputil.ReverseProxy{
		Rewrite:  func(r *httputil.ProxyRequest) { r.SetURL(u) },
		ErrorLog: quiet,
	}
}

// A client is the other end of a socket, byte by byte.
type client struct {
	testing.TB
	net.Conn
	r *bufio.Reader
}

const handshakeKey = "dGhlIHNhbXBsZSBub25jZQ=="

// handshake is a request for a socket, with more headers and bytes behind it.
func handshake(target string, headers ...string) string {
	return "GET " + target + " HTTP/1.1\r\nHost: app.example.com\r\nConnection: keep-alive, Upgrade\r\n" +
		"Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: " + handshakeKey + "\r\n" +
		strings.Join(append(headers, ""), "\r\n") + "\r\n"
}

// connect connects to the server and sends the bytes.
func connect(t testing.TB, s *httptest.Server, request string) *client {
	t.Helper()
	nc, err := net.Dial("tcp", s.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	if s.TLS != nil {
		nc = tls.Client(nc, &tls.Config{InsecureSkipVerify: true})
	}
	t.Cleanup(func() { _ = nc.Close() })
	_ = nc.SetDeadline(time.Now().Add(patience))
	if _, err := io.WriteString(nc, request); err != nil {
		t.Fatal(err)
	}
	return &client{t, nc, bufio.NewReader(nc)}
}

// answer reads the head of the HTTP answer.
func (c *client) answer() *http.Response {
	c.Helper()
	resp, err := http.ReadResponse(c.r, nil)
	if err != nil {
		c.Fatalf("reading the answer: %v", err)
	}
	return resp
}

// open makes a socket.
func open(t testing.TB, s *httptest.Server, headers ...string) *client {
	t.Helper()
	c := connect(t, s, handshake("/wsapi/?token=good", headers...))
	if got := c.answer().StatusCode; got != http.StatusSwitchingProtocols {
		t.Fatalf("handshake: status %d, want 101", got)
	}
	return c
}

func (c *client) send(f ws.Frame) {
	c.Helper()
	if err := ws.WriteFrame(c.Conn, ws.MaskFrame(f)); err != nil {
		c.Fatalf("sending: %v", err)
	}
}

// next reads a whole frame.
func (c *client) next() (f ws.Frame, err error) {
	if f.Header, err = ws.ReadHeader(c.r); err != nil {
		return f, err
	}
	if f.Header.Length > 64<<20 {
		return f, errors.New("frame too long")
	}
	f.Payload = make([]byte, f.Header.Length)
	_, err = io.ReadFull(c.r, f.Payload)
	return f, err
}

// wantEcho sends a message and waits until it comes back.
func (c *client) wantEcho(p []byte) {
	c.Helper()
	c.send(ws.NewBinaryFrame(bytes.Clone(p)))
	f, err := c.next()
	if err != nil || !bytes.Equal(f.Payload, p) {
		c.Fatalf("echo: %d bytes, err %v; want %d bytes", len(f.Payload), err, len(p))
	}
}

// wantClose reads frames until the Close frame, answers it, and wants the end
// of the stream right behind it.
func (c *client) wantClose(code int, reason string) {
	c.Helper()
	for {
		f, err := c.next()
		if err != nil {
			c.Fatalf("before the Close frame: %v", err)
		}
		if f.Header.OpCode != ws.OpClose {
			continue
		}
		gotCode, gotReason := ws.ParseCloseFrameData(f.Payload)
		if int(gotCode) != code || gotReason != reason {
			c.Errorf("Close %d %q, want %d %q", gotCode, gotReason, code, reason)
		}
		break
	}
	c.send(ws.NewCloseFrame(ws.NewCloseFrameBody(ws.StatusCode(code), "")))
	if rest, err := io.ReadAll(c.r); len(rest) > 0 || err != nil {
		c.Errorf("behind the Close frame: %d bytes, err %v; want the end of the stream", len(rest), err)
	}
	_ = c.Close()
}

// eventually waits for what other goroutines are about to do.
func eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for end := time.Now().Add(patience); !ok(); <-tick.C {
		if time.Now().After(end) {
			t.Fatalf("%s: never", what)
		}
	}
}

// ending is a way for authorization to end.
type ending struct {
	name   string
	end    func(t testing.TB, g *portcullis.Guard)
	code   int
	reason string
}

var endings = []ending{
	{"expiry", func(_ testing.TB, g *portcullis.Guard) { g.ExpireAt(time.Now().Add(time.Hour)) }, 3000, "token_expired"},
	{"revocation", func(t testing.TB, g *portcullis.Guard) {
		if err := g.Revoke(t.Context(), portcullis.Revocation{Subject: "u-alice"}); err != nil {
			t.Errorf("Revoke: %v", err)
		}
	}, 3003, "session_revoked"},
}

func wsText(s string) ws.Frame { return ws.NewTextFrame([]byte(s)) }
