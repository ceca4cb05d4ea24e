package rawtest_test

import (
	"context"
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

	"go.uber.org/goleak"

	"github.com/portcullis-auth/portcullis/gateway"
	"github.com/portcullis-auth/portcullis/gateway/config"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// patience bounds what must happen soon: only a failing test waits as long.
const patience = 20 * time.Second

// token is the only good one; its user is subject.
const (
	token   = "T0ken.of-a-user"
	subject = "u-1"
)

// twoRoutes are a guarded route and a public one. BACKEND is the backend's URL.
const twoRoutes = `
routes:
  - {path: /, backend: BACKEND, origins: ['https://good.example.com']}
  - {path: /public/, backend: BACKEND, public: true, origins: ['https://good.example.com']}
`

// A house is a gateway between clients and a backend.
type house struct {
	testing.TB
	addr    string
	backend *backend
	refusal time.Duration // how long the gateway may take to refuse
}

// open builds a house whose gateway has the routes.
func open(t testing.TB, routes string) *house {
	t.Helper()
	b := newBackend(t)
	front := listen(t)
	h := &house{t, front.Addr().String(), b, patience}
	g := newGateway(t, strings.ReplaceAll(routes, "BACKEND", "http://"+b.Addr().String()))
	ctx, cancel := context.WithCancel(context.Background())
	var serving sync.WaitGroup
	serving.Go(func() { _ = g.Serve(ctx, front) })
	t.Cleanup(func() {
		cancel()
		serving.Wait()
		_ = g.Close()
		http.DefaultClient.CloseIdleConnections()
	})
	return h
}

// dial connects, until the test ends.
func (h *house) dial(t testing.TB) net.Conn {
	t.Helper()
	nc, err := net.Dial("tcp", h.addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = nc.Close() })
	_ = nc.SetDeadline(time.Now().Add(patience))
	return nc
}

// newGateway returns a gateway that isn't served yet, and starts its token system.
func newGateway(t testing.TB, routes string) *gateway.Gateway {
	t.Helper()
	check := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != "Bearer "+token {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		_, _ = io.WriteString(w, `{"sub":"`+subject+`"}`)
	}))
	t.Cleanup(check.Close)
	return configured(t, check.URL, routes)
}

func configured(t testing.TB, check, routes string) *gateway.Gateway {
	t.Helper()
	file := filepath.Join(t.TempDir(), "portcullis.yaml")
	yaml := `
listen: 127.0.0.1:1
grace: 500ms
shutdown_grace: 2s
tokens: [{cookie: session}, bearer, {subprotocol: bearer}, {query: token}]
verify: {http_check: {url: ` + check + `/}, cache: {max_age: 10m, negative_age: 1m}}
` + routes
	if err := os.WriteFile(file, []byte(yaml), 0o600); err != nil {
		t.Fatal(err)
	}
	c, err := config.Load(file, nil)
	if err != nil {
		t.Fatal(err)
	}
	g, err := gateway.New(c, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	return g
}

func listen(t testing.TB) net.Listener {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// reached is the status of the backend of these tests: nothing else has it.
const reached = 299

// A backend reads strictly, and notes what it was asked.
type backend struct {
	net.Listener
	mu       sync.Mutex // guards what follows
	asked    []*request
	broken   []error // requests that no strict reader reads
	conns    map[net.Conn]bool
	reply    func(q *request) string // "": status 299, nothing else
	tunnel   func(io.ReadWriter)     // gets what comes behind a 101; nil: it is noted
	tunneled []byte
}

// newBackend starts a backend, which the test's end stops.
func newBackend(t testing.TB) *backend {
	t.Helper()
	b := &backend{Listener: listen(t), conns: make(map[net.Conn]bool)}
	var serving sync.WaitGroup
	serving.Go(func() {
		for {
			nc, err := b.Accept()
			if err != nil {
				return
			}
			b.mu.Lock()
			b.conns[nc] = true
			b.mu.Unlock()
			serving.Go(func() { b.serve(nc) })
		}
	})
	t.Cleanup(func() {
		_ = b.Close()
		b.mu.Lock()
		for nc := range b.conns {
			_ = nc.Close()
		}
		b.mu.Unlock()
		serving.Wait()
	})
	return b
}

// early begins targets that the backend answers before it reads a body, and
// doesn't note.
const early = "/public/early"

func (b *backend) serve(nc net.Conn) {
	defer func() {
		_ = nc.Close()
		b.mu.Lock()
		delete(b.conns, nc)
		b.mu.Unlock()
	}()
	r := newReader(nc, anyTargetByte)
	for {
		q, err := r.begin("")
		if err == nil && !strings.HasPrefix(q.target, early) {
			if len(all(q.fields, "Expect")) > 0 {
				_, _ = io.WriteString(nc, "HTTP/1.1 100 Continue\r\n\r\n")
			}
			err = r.finish(q)
		}
		b.mu.Lock()
		if err != nil {
			if !over(err) {
				b.broken = append(b.broken, err)
			}
			b.mu.Unlock()
			return
		}
		if !strings.HasPrefix(q.target, early) { // it may come after the gateway's own answer
			b.asked = append(b.asked, q)
		}
		reply, tunnel := b.reply, b.tunnel
		b.mu.Unlock()
		text := "HTTP/1.1 299 Reached\r\nContent-Length: 0\r\n\r\n"
		switch {
		case reply != nil:
			text = reply(q)
		case strings.HasPrefix(q.target, early):
			text = "HTTP/1.1 299 Reached\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
		}
		_, _ = io.WriteString(nc, text)
		switch {
		case strings.HasPrefix(text, "HTTP/1.1 101"):
			_ = nc.SetReadDeadline(time.Now().Add(patience))
			if tunnel != nil {
				tunnel(struct {
					io.Reader
					io.Writer
				}{r, nc})
				return
			}
			rest, _ := io.ReadAll(r)
			b.mu.Lock()
			b.tunneled = append(b.tunneled, rest...)
			b.mu.Unlock()
			return
		case strings.HasPrefix(q.target, early):
			_, _ = io.Copy(io.Discard, r)
			return
		case reply != nil:
			return
		}
	}
}

// take returns what was asked since it was called last.
func (b *backend) take() (asked []*request, broken []error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	asked, broken = b.asked, b.broken
	b.asked, b.broken = nil, nil
	return asked, broken
}
