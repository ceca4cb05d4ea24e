package faulttest_test

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gobwas/ws"
)

// secretAnswer is what the token system says when it talks nonsense. Nobody else
// is to repeat it.
const secretAnswer = "an answer that stays between us"

// tokens is a token system that speaks RFC 7662: NAME-good is a good token of
// NAME, until it is withdrawn.
type tokens struct {
	addr      string
	nonsense  atomic.Int32 // a status, instead of answers; 0: none; negative: it says that it is JSON
	withdrawn sync.Map     // tokens
}

func newTokens(t testing.TB) *tokens {
	s := &tokens{}
	s.addr = serve(t, s)
	return s
}

func (s *tokens) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if status := s.nonsense.Load(); status != 0 {
		w.Header().Set("Content-Type", map[bool]string{true: "text/html", false: "application/json"}[status > 0])
		w.WriteHeader(int(max(status, -status)))
		_, _ = fmt.Fprintf(w, `<html>%s: {"active":true,"sub":"everybody"}</html>`, secretAnswer)
		return
	}
	token := r.PostFormValue("token")
	name, good := strings.CutSuffix(token, "-good")
	if _, withdrawn := s.withdrawn.Load(token); withdrawn || !good {
		answer(w, `{"active":false}`)
		return
	}
	now := time.Now()
	answer(w, fmt.Sprintf(`{"active":true,"sub":%q,"iat":%d,"exp":%d}`, name, now.Add(-time.Minute).Unix(), now.Add(time.Hour).Unix()))
}

func answer(w http.ResponseWriter, body string) {
	w.Header().Set("Content-Type", "application/json")
	_, _ = io.WriteString(w, body)
}

// backend answers calls and echoes what comes on sockets. Those whose path ends in
// flood are sent bytes without an end, and those in deaf are not read.
type backend struct {
	addr      string
	uninvited atomic.Int64 // requests that should never have come
	sent      atomic.Int64 // bytes of all floods
	ends      chan error   // of each socket: what was read last
	closing   chan struct{}
}

func newBackend(t testing.TB) *backend {
	b := &backend{ends: make(chan error, 10_000), closing: make(chan struct{})}
	b.addr = serve(t, b)
	t.Cleanup(func() { close(b.closing) }) // before the server
	return b
}

// serve serves until the end of the test, and returns the address.
func serve(t testing.TB, h http.Handler) string {
	s := httptest.NewServer(h)
	t.Cleanup(s.Close)
	return s.Listener.Addr().String()
}

func (b *backend) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	// Nobody comes without a name, and nobody who is marked was let in.
	if r.Header.Get("X-Forwarded-User") == "" || r.Header.Get("Uninvited") != "" {
		b.uninvited.Add(1)
	}
	if r.Header.Get("Upgrade") == "" {
		_, _ = io.WriteString(w, "served")
		return
	}
	conn, rw, _, err := ws.UpgradeHTTP(r, w)
	if err != nil {
		return
	}
	defer conn.Close()
	holdLittle(conn)
	ended := make(chan struct{})
	defer close(ended)
	go func() {
		select {
		case <-b.closing:
			_ = conn.Close()
		case <-ended:
		}
	}()
	switch {
	case strings.HasSuffix(r.URL.Path, "flood"):
		var flood sync.WaitGroup
		defer flood.Wait()
		defer conn.Close()
		flood.Go(func() { pour(conn, large(), &b.sent) })
	case strings.HasSuffix(r.URL.Path, "deaf"):
		<-b.closing
	}
	for err == nil {
		var f ws.Frame
		if f, err = ws.ReadFrame(rw); err != nil { //nolint:staticcheck // what it reads is ours, and small
			break
		}
		if f = ws.UnmaskFrameInPlace(f); f.Header.OpCode == ws.OpClose {
			code, reason := ws.ParseCloseFrameData(f.Payload)
			err = closed{code, reason}
		}
		f.Header.Masked = false
		if e := ws.WriteFrame(conn, f); err == nil {
			err = e
		}
	}
	b.ends <- err
}

// pour writes the frame for as long as it can, and counts the bytes.
func pour(to io.Writer, f ws.Frame, sent *atomic.Int64) {
	raw := ws.MustCompileFrame(f)
	for {
		n, err := to.Write(raw)
		if sent.Add(int64(n)); err != nil {
			return
		}
	}
}

// holdLittle keeps what isn't taken from filling the machine, which takes its time.
func holdLittle(nc net.Conn) {
	if tcp, ok := nc.(*net.TCPConn); ok {
		_ = tcp.SetReadBuffer(16 << 10)
		_ = tcp.SetWriteBuffer(16 << 10)
	}
}

// large is a message of the size that floods are made of.
func large() ws.Frame { return ws.NewBinaryFrame(make([]byte, 16<<10)) }

// closed is the end of a socket by a Close frame.
type closed struct {
	code   ws.StatusCode
	reason string
}

func (c closed) Error() string { return fmt.Sprintf("Close %d %q", c.code, c.reason) }

var errNoClose = errors.New("the end without a Close frame")
