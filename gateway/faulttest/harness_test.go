package faulttest_test

import (
	"bytes"
	"context"
	"flag"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/portcullis-auth/portcullis/gateway"
	"github.com/portcullis-auth/portcullis/gateway/config"
	"github.com/portcullis-auth/portcullis/internal/faultproxy"
)

// TestMain lets the test's own program be the gateway, where that is to be a
// process. Its tests mostly wait, and so more of them run at once than there are
// processors.
func TestMain(m *testing.M) {
	if file := os.Getenv(asGateway); file != "" {
		if err := serveGateway(file); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	_ = os.Setenv("GORACE", "atexit_sleep_ms=0") // else each child takes a second to end
	flag.Parse()
	_ = flag.Set("test.parallel", "4")
	goleak.VerifyTestMain(m)
}

// patience bounds what must happen soon: only a failing test waits as long.
const patience = 30 * time.Second

// A street is a gateway between a token system and two backends. What is between
// it and the others can be broken.
type street struct {
	testing.TB
	addr    string   // of the gateway
	tokens  *tokens  // the token system
	visited *backend // both backends
	toToken *faultproxy.Proxy
	toFrail *faultproxy.Proxy // to the backend of /frail/; the other one's connections are sound
	weather atomic.Pointer[weather]

	gateway *gateway.Gateway // nil: it is a process
	log     *syncBuffer
}

// A weather is with which scripts new connections begin.
type weather struct{ toToken, fromToken, toFrail, fromFrail faultproxy.Script }

// configure returns a configuration. In text, TOKENS, FRAIL and SOUND stand for
// addresses.
func (s *street) configure(text string) string {
	s.Helper()
	file := filepath.Join(s.TempDir(), "portcullis.yaml")
	text = strings.NewReplacer("TOKENS", s.toToken.Addr(), "FRAIL", s.toFrail.Addr(), "SOUND", s.visited.addr).Replace(
		"grace: 300ms\nshutdown_grace: 5s\n" + text)
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		s.Fatal(err)
	}
	return file
}

// environment is where a configuration finds its secret.
func environment(name string) (string, bool) { return "a secret of the gateway", name == "SECRET" }

// build builds all but the gateway.
func build(t testing.TB) *street {
	t.Helper()
	s := &street{TB: t, tokens: newTokens(t), visited: newBackend(t)}
	s.weather.Store(&weather{})
	s.toToken = &faultproxy.Proxy{Target: s.tokens.addr, Plan: func(int) (up, down faultproxy.Script) {
		w := s.weather.Load()
		return w.toToken, w.fromToken
	}}
	s.toFrail = &faultproxy.Proxy{Target: s.visited.addr, Plan: func(int) (up, down faultproxy.Script) {
		w := s.weather.Load()
		return w.toFrail, w.fromFrail
	}}
	for _, p := range []*faultproxy.Proxy{s.toToken, s.toFrail} {
		if err := p.Listen(); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(p.Close)
	}
	t.Cleanup(func() {
		if n := s.visited.uninvited.Load(); n > 0 {
			t.Errorf("%d requests reached a backend without a yes", n)
		}
	})
	return s
}

// open builds a street with a gateway in this process.
func open(t testing.TB, text string) *street {
	t.Helper()
	s := build(t)
	c, err := config.Load(s.configure(text), environment)
	if err != nil {
		t.Fatal(err)
	}
	s.log = new(syncBuffer)
	if s.gateway, err = gateway.New(c, slog.New(slog.NewJSONHandler(s.log, nil))); err != nil {
		t.Fatal(err)
	}
	l := listen(t)
	s.addr = l.Addr().String()
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- s.gateway.Serve(ctx, l) }()
	t.Cleanup(func() {
		s.wantNoSessions()
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("Serve: %v", err)
		}
		_ = s.gateway.Close()
		if log := s.log.String(); strings.Contains(log, "-good") || strings.Contains(log, secretAnswer) {
			t.Errorf("the log holds a token, or what the token system said")
		}
	})
	return s
}

// wantNoSessions wants all to end of whom nobody is there any more.
func (s *street) wantNoSessions() {
	s.Helper()
	eventually(s, "no session is left", func() bool {
		for range s.gateway.Guard().Sessions() {
			return false
		}
		return true
	})
}

// crowd does something in several goroutines at once, several times each.
func crowd(people, times int, do func(n int)) {
	var all sync.WaitGroup
	for i := range people {
		all.Go(func() {
			for j := range times {
				do(i*times + j)
			}
		})
	}
	all.Wait()
}

// fresh returns a token that nobody has used yet. Its prefix says whose it is.
func fresh(prefix, quality string) string {
	return fmt.Sprint(prefix, "u", tokenNumber.Add(1), "-", quality)
}

var tokenNumber atomic.Int64

func listen(t testing.TB) net.Listener {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// eventually waits for what others are about to do.
func eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for end := time.Now().Add(patience); !ok(); <-tick.C {
		if time.Now().After(end) {
			t.Fatalf("%s: never", what)
		}
	}
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
