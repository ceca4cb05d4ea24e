package gateway_test

import (
	"bufio"
	"io"
	"net"
	"strings"
	"testing"
	"time"
)

const (
	noContent = "HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n"

	onePublic = "\nroutes:\n  - {path: /, backend: BACKEND, public: true}\n"
)

// A wire is a backend that notes the very bytes of each request's head.
type wire struct {
	net.Listener
	heads chan string
}

// newWire starts a wire that answers each head with the bytes and closes. Before
// that it calls each function of asked.
func newWire(t testing.TB, answer string, asked ...func()) *wire {
	t.Helper()
	w := &wire{Listener: listen(t), heads: make(chan string, 100)}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			nc, err := w.Accept()
			if err != nil {
				return
			}
			_ = nc.SetDeadline(time.Now().Add(patience))
			if head, err := readHead(bufio.NewReader(nc)); err == nil {
				for _, f := range asked {
					f()
				}
				w.heads <- head
				_, _ = io.WriteString(nc, answer)
			}
			_ = nc.Close()
		}
	}()
	t.Cleanup(func() { _ = w.Close(); <-done })
	return w
}

func readHead(r *bufio.Reader) (string, error) {
	var head strings.Builder
	for {
		line, err := r.ReadString('\n')
		head.WriteString(line)
		if err != nil || line == "\r\n" {
			return head.String(), err
		}
	}
}

func (w *wire) url() string { return "http://" + w.Addr().String() }
