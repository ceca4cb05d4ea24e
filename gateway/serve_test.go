package gateway_test

import (
	"context"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/portcullis-auth/portcullis/dev/issuer"
)

// Promise 5, A1: whatever a backend dies of, nothing of the query is in the log,
// and no line is broken.
func TestA1LogsHoldNoQuery(t *testing.T) {
	for _, answer := range []string{
		"", "SSH-2.0\r\n\r\n", "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nbegun", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
		"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n", "HTTP/1.1 101 Switching Protocols\r\n\r\n",
	} {
		h := openFor(t, newWire(t, answer).url(), everything)
		token := h.token("alice", issuer.TokenOptions{}).Access
		for _, request := range []string{
			"GET /a%0Ab?password=hunter2&token=" + token + " HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n",
			"GET /?password=hunter2;token=" + token + " HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n",
			"GET http://u:hunter2@a/?token=" + token + " HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n",
			handshake("/?password=hunter2&token=" + token),
		} {
			c := h.send(request)
			_, _ = io.Copy(io.Discard, c.r)
			_ = c.Close()
		}
		_ = h.stop()
		if log := h.log.String(); strings.Contains(log, token) || strings.Contains(log, "hunter2") || strings.Contains(log, "a\nb") {
			t.Errorf("answer %q: the log holds what it must not:\n%s", answer, log)
		}
	}
}

// L5: Serve ends everything within its time, whatever is open, and leaves
// nothing (TestMain looks): a call that is answered, a stream, a socket, clients
// that say nothing or half.
func TestL5ServeEnds(t *testing.T) {
	for _, how := range []string{"stopped", "listener fails"} {
		t.Run(how, func(t *testing.T) {
			h := open(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if r.Header.Get("Upgrade") != "" {
					newBackend().ServeHTTP(w, r)
					return
				}
				_ = http.NewResponseController(w).Flush()
				if r.URL.Path == "/stream" {
					<-r.Context().Done()
				}
			}), everything)
			bearer := "Authorization: Bearer " + h.token("alice", issuer.TokenOptions{}).Access
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			l := listen(t)
			h.addr = l.Addr().String()
			ended := make(chan error, 1)
			go func() { ended <- h.Serve(ctx, l) }()
			h.send("")
			h.send("GET / HT")
			h.send("GET / HTTP/1.1\r\nHost: a\r\n" + bearer + "\r\n\r\n").answer()
			stream := h.send("GET /stream HTTP/1.1\r\nHost: a\r\n" + bearer + "\r\n\r\n").answer()
			socket := h.socket("/", bearer)
			began := time.Now()
			if how == "stopped" {
				cancel()
			} else {
				_ = l.Close()
			}
			socket.wantClose(1012, "shutdown")
			if _, err := io.ReadAll(stream.Body); err == nil {
				t.Error("the stream ends as if it were whole")
			}
			if err := <-ended; err == nil {
				t.Error("Serve: no error, though a stream had to be cut")
			}
			if took := time.Since(began); took > shutdownGrace+2*time.Second {
				t.Errorf("it took %v, want about %v", took, shutdownGrace)
			}
		})
	}
}

// Connections to backends that wait for the next call don't outlive Serve.
func TestServeClosesIdleConnectionsToBackends(t *testing.T) {
	backend := httptest.NewUnstartedServer(newBackend())
	closed := make(chan struct{})
	backend.Config.ConnState = func(_ net.Conn, s http.ConnState) {
		if s == http.StateClosed {
			close(closed)
		}
	}
	backend.Start()
	t.Cleanup(backend.Close)
	h := openFor(t, backend.URL, onePublic)
	if status, _, _ := h.get("/"); status != 200 {
		t.Fatalf("status %d", status)
	}
	if err := h.stop(); err != nil {
		t.Errorf("Serve: %v", err)
	}
	select {
	case <-closed:
	case <-time.After(patience):
		t.Error("a connection to the backend is left")
	}
}
