package relay_test

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/gobwas/ws"

	"github.com/portcullis-auth/portcullis"
	"github.com/portcullis-auth/portcullis/gateway/relay"
	"github.com/portcullis-auth/portcullis/internal/wsconn"
)

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
	return newLineWith(t, w, relay.Options{Rules: &relay.Rules{Grace: grace}}, early...)
}

func newLineWith(t *testing.T, w way, o relay.Options, early ...string) *line {
	t.Helper()
	engine := &relay.Engine{Portable: w.portable}
	t.Cleanup(engine.Close)
	return newLineFor(t, engine, o, func() (net.Conn, *end) { return tcp(t, w.secure) }, early...)
}

// newLineOver is a line whose connection to the backend is wrapped.
func newLineOver(t *testing.T, wrap func(net.Conn) net.Conn) *line {
	t.Helper()
	engine := new(relay.Engine)
	t.Cleanup(engine.Close)
	wraps := []func(net.Conn) net.Conn{func(nc net.Conn) net.Conn { return nc }, wrap}
	return newLineFor(t, engine, relay.Options{Rules: &relay.Rules{Grace: patience}}, func() (net.Conn, *end) {
		ours, peer := tcp(t, false)
		ours = wraps[0](ours)
		wraps = wraps[1:]
		return ours, peer
	})
}

// newLineIn is a line in clear of an Engine that somebody else closes.
func newLineIn(t *testing.T, e *relay.Engine, grace time.Duration) *line {
	t.Helper()
	return newLineFor(t, e, relay.Options{Rules: &relay.Rules{Grace: grace}}, func() (net.Conn, *end) { return tcp(t, false) })
}

// newLineFor is a line over what connect returns, for the client first.
func newLineFor(t *testing.T, engine *relay.Engine, o relay.Options, connect func() (ours net.Conn, peer *end), early ...string) *line {
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
	client.Conn, l.client = connect()
	backend.Conn, l.backend = connect()
	if len(early) == 2 {
		client.Early, backend.Early = []byte(early[0]), []byte(early[1])
	}
	engine.Start(s, client, backend, o, func(result relay.Result) {
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

// quit ends a socket as its client does.
func (l *line) quit() {
	l.Helper()
	_ = l.client.Close()
	_ = l.backend.Close()
	l.wait()
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
