package gateway_test

import (
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/portcullis-auth/portcullis/gateway"
	"github.com/portcullis-auth/portcullis/gateway/config"
)

// L1: a body that doesn't come is waited for as long as body_time says, also by
// who refuses the request without reading it.
func TestL1SlowBody(t *testing.T) {
	withSlowClient(t, "", func(t *testing.T, client net.Conn) {
		begin := time.Now()
		go func() {
			_, _ = io.WriteString(client, "POST /nowhere HTTP/1.1\r\nHost: a\r\nContent-Length: 100\r\n\r\nx")
		}()
		if got, err := io.ReadAll(client); err != nil || !strings.HasPrefix(string(got), "HTTP/1.1 404") {
			t.Errorf("got %q, err %v", got, err)
		}
		if took := time.Since(begin); took != 30*time.Second {
			t.Errorf("after %v, want 30s", took)
		}
	})
}

// L1: our own endpoints bound the time of a whole body, however it drips.
func TestL1DrippingBody(t *testing.T) {
	withSlowClient(t, "tickets: {lifetime: 30s}\n", func(t *testing.T, client net.Conn) {
		var dripping sync.WaitGroup
		defer dripping.Wait()
		defer func() { _ = client.Close() }()
		begin := time.Now()
		dripping.Go(func() {
			_, err := io.WriteString(client, "POST /.portcullis/ticket HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nContent-Length: 4000\r\n\r\n")
			for err == nil {
				time.Sleep(time.Second)
				_, err = io.WriteString(client, " ")
			}
		})
		if got, _ := io.ReadAll(client); !strings.HasPrefix(string(got), "HTTP/1.1 400") {
			t.Errorf("got %q", got)
		}
		if took := time.Since(begin); took > 15*time.Second {
			t.Errorf("after %v, want 10s", took)
		}
	})
}

// withSlowClient calls do in a bubble, with a connection to a gateway that waits
// 30 s for a body and is configured with more beside that.
func withSlowClient(t *testing.T, more string, do func(t *testing.T, client net.Conn)) {
	t.Helper()
	c := loadConfig(t, "limits: {body_time: 30s}\n"+more+`
verify: {introspection: {url: 'https://id.example.com/', client_id: a, client_secret_env: SECRET}}
routes: [{path: /x, backend: 'http://127.0.0.1:1'}]
`)
	synctest.Test(t, func(t *testing.T) {
		g, err := gateway.New(c, nil)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = g.Close() })
		do(t, pipe(t, &http.Server{Handler: g, ReadHeaderTimeout: time.Second}))
	})
}

// pipe has s serve one connection until the test ends, and returns the client's
// end of it.
func pipe(t *testing.T, s *http.Server) net.Conn {
	client, server := net.Pipe()
	var serving sync.WaitGroup
	serving.Go(func() { _ = s.Serve(&single{conn: server}) })
	t.Cleanup(func() {
		_ = s.Close()
		serving.Wait()
		_ = client.Close()
	})
	return client
}

// loadConfig loads a configuration.
func loadConfig(t testing.TB, yaml string) *config.Config {
	t.Helper()
	file := t.TempDir() + "/portcullis.yaml"
	if err := os.WriteFile(file, []byte(yaml), 0o600); err != nil {
		t.Fatal(err)
	}
	c, err := config.Load(file, func(name string) (string, bool) { return secret, name == "SECRET" })
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// A single is a listener with one connection.
type single struct {
	conn net.Conn
	once sync.Once
}

func (l *single) Accept() (nc net.Conn, err error) {
	err = errors.New("no more")
	l.once.Do(func() { nc, err = l.conn, nil })
	return nc, err
}
func (l *single) Close() error   { return nil }
func (l *single) Addr() net.Addr { return l.conn.LocalAddr() }

// L1: a client that takes nothing of its answer is given up, and one that takes
// it slowly isn't: each piece has its time.
func TestL1SlowReader(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ended := make(chan error, 1)
		client := pipe(t, &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			paced := gateway.Paced(w, 10*time.Second)
			var err error
			for range 100 {
				if _, err = paced.Write(make([]byte, 64<<10)); err != nil {
					break
				}
			}
			ended <- err
		})})
		begin := time.Now()
		go func() { _, _ = io.WriteString(client, "GET / HTTP/1.1\r\nHost: a\r\n\r\n") }()
		for range 20 { // slowly: 16 KiB each nine seconds
			time.Sleep(9 * time.Second)
			if _, err := io.ReadFull(client, make([]byte, 128<<10)); err != nil {
				t.Fatalf("after %v: %v", time.Since(begin), err)
			}
		}
		if err := <-ended; !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("got %v, want a time-out", err)
		}
		if took := time.Since(begin); took != 190*time.Second {
			t.Errorf("after %v, want 190s", took)
		}
	})
}
