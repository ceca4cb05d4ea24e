package gateway_test

import (
	"bufio"
	"bytes"
	"context"
	"crypto/rand"
	"crypto/rsa"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gobwas/ws"
	"go.uber.org/goleak"

	"github.com/portcullis-auth/portcullis/dev/issuer"
	"github.com/portcullis-auth/portcullis/gateway"
	"github.com/portcullis-auth/portcullis/gateway/config"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// patience bounds what must happen soon: only a failing test waits as long.
const patience = 20 * time.Second

var signingKey = sync.OnceValue(func() *rsa.PrivateKey {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		panic(err)
	}
	return key
})

// A house is a token system and a gateway in front of a backend.
type house struct {
	*gateway.Gateway
	t       testing.TB
	issuer  *issuer.Issuer
	backend string // its URL
	url     string // of the gateway
	addr    string
	log     *syncBuffer
	stop    func() error // ends Serve, and returns what it said
}

// load makes a configuration of those verifiers and routes.
func (h *house) load(verify, routes string) (*config.Config, error) {
	file := filepath.Join(h.t.TempDir(), "portcullis.yaml")
	yaml := strings.NewReplacer("BACKEND", h.backend, "ISSUER", h.issuer.URL()).Replace(fmt.Sprintf(`
listen: 127.0.0.1:1
grace: 500ms
shutdown_grace: %v
tokens: [{cookie: session}, bearer, {subprotocol: bearer}, {query: token}]
verify:
  %s
logout: {issuer: ISSUER, client_id: gateway}
%s`, shutdownGrace, verify, routes))
	if err := os.WriteFile(file, []byte(yaml), 0o600); err != nil {
		return nil, err
	}
	return config.Load(file, func(name string) (string, bool) { return secret, name == "SECRET" })
}

type syncBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (s *syncBuffer) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.Write(p)
}

func (s *syncBuffer) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.String()
}

// shutdownGrace is for tests in which nothing has to be waited for.
const shutdownGrace = 2 * time.Second

const secret = "a-secret-of-the-gateway"

// open builds a house. In routes, BACKEND stands for the backend's URL.
func open(t testing.TB, backend http.Handler, routes string) *house {
	t.Helper()
	b := httptest.NewServer(backend)
	t.Cleanup(b.Close)
	return openFor(t, b.URL, routes)
}

func openFor(t testing.TB, backendURL, routes string) *house {
	t.Helper()
	return openWith(t, backendURL, introspection+uncached, routes)
}

// openWith builds a house that asks about tokens as verify says.
func openWith(t testing.TB, backendURL, verify, routes string) *house {
	t.Helper()
	front := listen(t)
	door := listen(t)
	h := &house{t: t, backend: backendURL, addr: front.Addr().String(), url: "http://" + front.Addr().String(), log: new(syncBuffer)}

	var err error
	h.issuer, err = issuer.New(issuer.Config{
		URL: "http://" + door.Addr().String(), AppURL: h.url, IntrospectionSecret: secret,
		BackchannelLogoutURIs: []string{h.url + "/.portcullis/backchannel-logout"},
		SigningKey:            signingKey(),
		Log:                   slog.New(slog.DiscardHandler),
	})
	if err != nil {
		t.Fatal(err)
	}
	tokens := &http.Server{Handler: h.issuer}
	var serving sync.WaitGroup
	serving.Go(func() { _ = tokens.Serve(door) })

	c, err := h.load(verify, routes)
	if err != nil {
		t.Fatal(err)
	}
	h.Gateway, err = gateway.New(c, slog.New(slog.NewJSONHandler(h.log, nil)))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- h.Serve(ctx, front) }()
	h.stop = sync.OnceValue(func() error { cancel(); return <-ended })
	t.Cleanup(func() {
		_ = h.stop()
		_ = h.Close()
		_ = h.issuer.Close()
		_ = tokens.Close()
		serving.Wait()
		http.DefaultClient.CloseIdleConnections()
	})
	return h
}

func listen(t testing.TB) net.Listener {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// token returns a fresh token of the user.
func (h *house) token(user string, o issuer.TokenOptions) *issuer.Token {
	h.t.Helper()
	token, err := h.issuer.IssueToken(user, o)
	if err != nil {
		h.t.Fatal(err)
	}
	return token
}

// get makes a request and returns status, header and body.
func (h *house) get(target string, headers ...string) (int, http.Header, string) {
	h.t.Helper()
	r, err := http.NewRequestWithContext(h.t.Context(), http.MethodGet, h.url+target, nil)
	if err != nil {
		h.t.Fatal(err)
	}
	for i := 0; i < len(headers); i += 2 {
		r.Header.Add(headers[i], headers[i+1])
	}
	resp, err := (&http.Client{
		Transport:     &http.Transport{DisableKeepAlives: true},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}).Do(r)
	if err != nil {
		h.t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		h.t.Fatal(err)
	}
	return resp.StatusCode, resp.Header, string(body)
}

// A client is the other end of a connection, byte by byte.
type client struct {
	testing.TB
	net.Conn
	r *bufio.Reader
}

// send opens a connection to the gateway and sends the bytes.
func (h *house) send(request string) *client {
	h.t.Helper()
	nc, err := net.Dial("tcp", h.addr)
	if err != nil {
		h.t.Fatal(err)
	}
	h.t.Cleanup(func() { _ = nc.Close() })
	_ = nc.SetDeadline(time.Now().Add(patience))
	if _, err := io.WriteString(nc, request); err != nil {
		h.t.Fatal(err)
	}
	return &client{h.t, nc, bufio.NewReader(nc)}
}

const key = "dGhlIHNhbXBsZSBub25jZQ=="

// handshake is a request for a socket.
func handshake(target string, headers ...string) string {
	return "GET " + target + " HTTP/1.1\r\nHost: app.example.com\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n" +
		"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: " + key + "\r\n" + strings.Join(append(headers, ""), "\r\n") + "\r\n"
}

func (c *client) answer() *http.Response {
	c.Helper()
	resp, err := http.ReadResponse(c.r, nil)
	if err != nil {
		c.Fatalf("reading the answer: %v", err)
	}
	return resp
}

// socket opens a socket and wants it to be accepted.
func (h *house) socket(target string, headers ...string) *client {
	h.t.Helper()
	c := h.send(handshake(target, headers...))
	if got := c.answer(); got.StatusCode != http.StatusSwitchingProtocols {
		h.t.Fatalf("handshake: status %d, want 101", got.StatusCode)
	}
	return c
}

func (c *client) text(s string) {
	c.Helper()
	if err := ws.WriteFrame(c.Conn, ws.MaskFrame(ws.NewTextFrame([]byte(s)))); err != nil {
		c.Fatalf("sending: %v", err)
	}
}

// want reads a frame.
func (c *client) want(payload string) {
	c.Helper()
	f, err := ws.ReadFrame(c.r) //nolint:staticcheck // what it reads is ours, and small
	if err != nil || string(f.Payload) != payload {
		c.Fatalf("frame %q, err %v; want %q", f.Payload, err, payload)
	}
}

// wantClose reads frames until the Close frame, answers it, and wants the end
// of the stream right behind it.
func (c *client) wantClose(code int, reason string) {
	c.Helper()
	for {
		f, err := ws.ReadFrame(c.r) //nolint:staticcheck // what it reads is ours, and small
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
	_ = ws.WriteFrame(c.Conn, ws.MaskFrame(ws.NewCloseFrame(ws.NewCloseFrameBody(ws.StatusCode(code), ""))))
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

// start starts a backend and returns its URL.
func start(t testing.TB, h http.Handler) string {
	t.Helper()
	s := httptest.NewServer(h)
	t.Cleanup(s.Close)
	return s.URL
}
