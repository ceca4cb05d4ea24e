package gateway_test

import (
	"bufio"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/portcullis-auth/portcullis"
	"github.com/portcullis-auth/portcullis/dev/issuer"
)

// W4: what follows a handshake is frames, never another request, so a refused
// one's connection is closed.
func TestW4RefusedHandshakesConnectionIsClosed(t *testing.T) {
	h := open(t, newBackend(), chatAndAPI)
	carol := h.token("carol", issuer.TokenOptions{}).Access
	for name, request := range map[string]string{
		"401": handshake("/wsapi/"), "403": handshake("/wsapi/?token=" + carol),
		"426": strings.Replace(handshake("/wsapi/"), "Version: 13", "Version: 8", 1),
	} {
		if _, closed := h.raw(request); !closed {
			t.Errorf("%s: the connection stays open", name)
		}
	}
}

// W2, W4: there is no way out of HTTP but a handshake, whatever a backend says
// to a call.
func TestW4CallsCannotLeaveHTTP(t *testing.T) {
	for _, answer := range []string{
		"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\nfree",
		"HTTP/1.1 101 Switching Protocols\r\n\r\nfree",
		"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade:\r\n\r\nfree",
	} {
		h := openFor(t, newWire(t, answer).url(), onePublic)
		for _, request := range []string{
			"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n",
			"GET / HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: close\r\n\r\n",
		} {
			if status, _ := h.raw(request); status != 502 {
				t.Errorf("%q: %d, want 502", answer, status)
			}
		}
	}
}

// Promise 2: a backend's refusal of a handshake ends with the session, whether
// the client reads it or not.
func TestR2RefusalsBodyEndsWithTheSession(t *testing.T) {
	for _, reads := range []bool{true, false} {
		left := make(chan struct{})
		h := open(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			defer close(left)
			for {
				if _, err := w.Write(make([]byte, 64<<10)); err != nil {
					return
				}
			}
		}), everything)
		token := h.token("alice", issuer.TokenOptions{})
		began := time.Now()
		resp := h.send(handshake("/?token=" + token.Access)).answer()
		if resp.StatusCode != 200 {
			t.Fatalf("status %d", resp.StatusCode)
		}
		if err := h.issuer.LogoutSession(t.Context(), token.SID); err != nil {
			t.Fatal(err)
		}
		if reads {
			if _, err := io.Copy(io.Discard, resp.Body); err == nil {
				t.Error("the body ends as if it were whole")
			}
		}
		select {
		case <-left:
		case <-time.After(patience):
			t.Error("the backend's connection stays open")
		}
		if took := time.Since(began); took > 5*time.Second { // that is: not because of a time-out
			t.Errorf("reads %v: it took %v", reads, took)
		}
	}
}

// A refusal's body that breaks off is not made to look whole.
func TestRefusalsBodyThatBreaksOff(t *testing.T) {
	backend := newWire(t, "HTTP/1.1 409 Conflict\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nbegun\r\n")
	h := openFor(t, backend.url(), everything)
	c := h.send(handshake("/?token=" + h.token("alice", issuer.TokenOptions{}).Access))
	resp, err := http.ReadResponse(c.r, nil)
	if err != nil {
		return // nothing at all
	}
	if body, err := io.ReadAll(resp.Body); err == nil {
		t.Errorf("%d %q, as if that were all", resp.StatusCode, body)
	}
}

// asking begins a handshake with a backend that doesn't answer, and returns
// both ends.
func asking(t *testing.T) (h *house, c *client, backend *bufio.Reader) {
	t.Helper()
	l := listen(t)
	defer l.Close()
	h = openFor(t, "http://"+l.Addr().String(), everything)
	c = h.send(handshake("/?token=" + h.token("alice", issuer.TokenOptions{}).Access))
	nc, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = nc.Close() })
	_ = nc.SetDeadline(time.Now().Add(patience))
	backend = bufio.NewReader(nc)
	if _, err := readHead(backend); err != nil {
		t.Fatal(err)
	}
	return h, c, backend
}

// wantEnd wants the other side to have ended the connection.
func wantEnd(t *testing.T, r *bufio.Reader) {
	t.Helper()
	_, err := r.ReadByte()
	var ne net.Error
	if err == nil || errors.As(err, &ne) && ne.Timeout() {
		t.Errorf("the backend's connection: %v, want its end", err)
	}
}

// A client that leaves while the backend is asked takes that handshake along,
// and the backend isn't blamed.
func TestClientLeavesDuringTheHandshake(t *testing.T) {
	h, c, backend := asking(t)
	_ = c.Close()
	wantEnd(t, backend)
	_ = h.stop()
	if strings.Contains(h.log.String(), "backend failed") {
		t.Errorf("the backend is blamed:\n%s", h.log)
	}
}

// Promise 2: a session that ends while the backend is asked ends that too.
func TestR1SessionEndsDuringTheHandshake(t *testing.T) {
	h, c, backend := asking(t)
	if err := h.Guard().Revoke(t.Context(), portcullis.Revocation{Subject: "u-alice"}); err != nil {
		t.Fatal(err)
	}
	if got := c.answer().StatusCode; got != 401 {
		t.Errorf("status %d, want 401", got)
	}
	wantEnd(t, backend)
}

// What can't be hijacked is told so, instead of 200.
func TestHijackThatFails(t *testing.T) {
	h := open(t, newBackend(), everything)
	r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/?token="+h.token("alice", issuer.TokenOptions{}).Access, nil)
	r.Header = http.Header{
		"Connection": {"Upgrade"}, "Upgrade": {"websocket"}, "Sec-Websocket-Version": {"13"}, "Sec-Websocket-Key": {key},
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	if w.Code != http.StatusInternalServerError {
		t.Errorf("status %d, want 500", w.Code)
	}
}
