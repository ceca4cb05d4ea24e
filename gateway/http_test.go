package gateway_test

import (
	"bytes"
	"encoding/pem"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httptrace"
	"net/textproto"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/coder/websocket"
	"github.com/gobwas/ws"

	"github.com/portcullis-auth/portcullis/dev/issuer"
)

// do makes a request as the user and returns the answer, whose body is open.
func (h *house) do(r *http.Request, token string) *http.Response {
	h.t.Helper()
	r.Header.Set("Authorization", "Bearer "+token)
	transport := &http.Transport{DisableCompression: true}
	h.t.Cleanup(transport.CloseIdleConnections)
	resp, err := transport.RoundTrip(r)
	if err != nil {
		h.t.Fatal(err)
	}
	h.t.Cleanup(func() { _ = resp.Body.Close() })
	return resp
}

func (h *house) request(method, target string, body io.Reader) *http.Request {
	h.t.Helper()
	r, err := http.NewRequestWithContext(h.t.Context(), method, h.url+target, body)
	if err != nil {
		h.t.Fatal(err)
	}
	return r
}

const everything = `
routes:
  - {path: /, backend: BACKEND}
`

// Both directions are unbuffered: the backend answers each line of a body that
// isn't over yet.
func TestStreamsBothWays(t *testing.T) {
	h := open(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c := http.NewResponseController(w)
		if err := c.EnableFullDuplex(); err != nil {
			t.Error(err)
		}
		_ = c.Flush()
		line := make([]byte, 5)
		for {
			if _, err := io.ReadFull(r.Body, line); err != nil {
				return
			}
			_, _ = w.Write(bytes.ToUpper(line))
			_ = c.Flush()
		}
	}), everything)
	in, out := io.Pipe()
	resp := h.do(h.request(http.MethodPost, "/", in), h.token("alice", issuer.TokenOptions{}).Access)
	got := make([]byte, 5)
	for _, line := range []string{"one..", "two..", "three"} {
		_, _ = io.WriteString(out, line)
		if _, err := io.ReadFull(resp.Body, got); err != nil || string(got) != strings.ToUpper(line) {
			t.Fatalf("%q, err %v; want %q", got, err, strings.ToUpper(line))
		}
	}
	_ = out.Close()
	if rest, err := io.ReadAll(resp.Body); err != nil || len(rest) > 0 {
		t.Errorf("then %q, err %v", rest, err)
	}
}

// An answer whose length is known isn't kept back until it is whole: neither its
// head nor what has come of it.
func TestStreamsWhatHasALength(t *testing.T) {
	more := make(chan struct{})
	h := open(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Length", "6")
		for _, part := range []string{"", "one", "two"} {
			_, _ = io.WriteString(w, part)
			_ = http.NewResponseController(w).Flush()
			select {
			case <-more:
			case <-r.Context().Done():
			}
		}
	}), everything)
	c := h.send("GET / HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer " + h.token("alice", issuer.TokenOptions{}).Access + "\r\n\r\n")
	resp := c.answer()
	if resp.StatusCode != 200 || resp.ContentLength != 6 {
		t.Errorf("status %d, length %d; want 200, 6", resp.StatusCode, resp.ContentLength)
	}
	part := make([]byte, 3)
	for _, want := range []string{"one", "two"} {
		more <- struct{}{}
		if _, err := io.ReadFull(resp.Body, part); err != nil || string(part) != want {
			t.Fatalf("%q, err %v; want %q", part, err, want)
		}
	}
	more <- struct{}{}
}

// Trailers and informational answers pass, and so does a large body, as it is.
func TestTrailersAndHints(t *testing.T) {
	const size = 64 << 20
	h := open(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Link", "</style.css>; rel=preload")
		w.WriteHeader(http.StatusEarlyHints)
		n, err := io.Copy(io.Discard, r.Body)
		w.Header().Set("Trailer", "X-Checksum")
		w.Header().Set("Content-Encoding", "made-up")
		fmt.Fprintf(w, "%d %v %s", n, err, r.Trailer.Get("X-Client-Checksum"))
		w.Header().Set("X-Checksum", "17")
	}), everything)
	r := h.request(http.MethodPut, "/", io.LimitReader(zeros{}, size))
	r.ContentLength = -1
	r.Trailer = http.Header{"X-Client-Checksum": {"18"}}
	var hints int
	r = r.WithContext(httptrace.WithClientTrace(r.Context(), &httptrace.ClientTrace{
		Got1xxResponse: func(code int, _ textproto.MIMEHeader) error { hints = code; return nil },
	}))
	resp := h.do(r, h.token("alice", issuer.TokenOptions{}).Access)
	body, err := io.ReadAll(resp.Body)
	if want := fmt.Sprint(size, " <nil> 18"); err != nil || string(body) != want {
		t.Errorf("%q, err %v; want %q", body, err, want)
	}
	if !resp.Close {
		t.Error("W4: the connection isn't closed behind chunks")
	}
	if resp.Trailer.Get("X-Checksum") != "17" || hints != http.StatusEarlyHints || resp.Header.Get("Content-Encoding") != "made-up" {
		t.Errorf("trailer %v, hints %d, header %v", resp.Trailer, hints, resp.Header)
	}
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) { clear(p); return len(p), nil }

// An https backend is believed if its certificate comes from the configured
// ones, for HTTP and for sockets.
func TestBackendOverTLS(t *testing.T) {
	b := newBackend()
	backend := httptest.NewTLSServer(b)
	t.Cleanup(backend.Close)
	ca := filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(ca, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: backend.Certificate().Raw}), 0o600); err != nil {
		t.Fatal(err)
	}
	h := openFor(t, backend.URL, `
routes:
  - {path: /trusted/, backend: BACKEND, backend_ca_file: `+ca+`}
  - {path: /, backend: BACKEND}
`)
	token := h.token("alice", issuer.TokenOptions{}).Access
	if status, _, body := h.get("/trusted/", "Authorization", "Bearer "+token); status != 200 || body != "alice" {
		t.Errorf("HTTP: %d %q", status, body)
	}
	c := h.socket("/trusted/?token=" + token)
	c.text("hello")
	c.want("alice: hello")
	_ = c.Close()
	if status, _, _ := h.get("/", "Authorization", "Bearer "+token); status != 502 {
		t.Errorf("HTTP, certificate of nobody: %d, want 502", status)
	}
	if status, _ := h.raw(handshake("/?token=" + token)); status != 502 {
		t.Errorf("socket, certificate of nobody: %d, want 502", status)
	}
}

// A backend that isn't there is 502, over HTTP and for sockets; one that
// refuses a socket is heard; one that fakes a 101 is not (W2).
func TestBackendsFailures(t *testing.T) {
	gone := httptest.NewServer(nil)
	gone.Close()
	refusing := start(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("X-Why", "full")
		http.Error(w, "the room is full", http.StatusConflict)
	}))
	faking := start(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Connection", "Upgrade")
		h.Set("Upgrade", "websocket")
		h.Set("Sec-WebSocket-Accept", "wrong")
		w.WriteHeader(http.StatusSwitchingProtocols)
	}))
	h := openFor(t, gone.URL, `
routes:
  - {path: /, backend: BACKEND}
  - {path: /refusing/, backend: `+refusing+`}
  - {path: /faking/, backend: `+faking+`}
`)
	token := h.token("alice", issuer.TokenOptions{}).Access
	if status, _, _ := h.get("/", "Authorization", "Bearer "+token); status != 502 {
		t.Errorf("gone: %d, want 502", status)
	}
	for target, want := range map[string]int{"/": 502, "/refusing/": 409, "/faking/": 502} {
		if status, closed := h.raw(handshake(target + "?token=" + token)); status != want || !closed {
			t.Errorf("socket to %s: %d, closed %v; want %d", target, status, closed, want)
		}
	}
	eventually(t, "the sessions are gone", func() bool {
		for range h.Guard().Sessions() {
			return false
		}
		return true
	})
}

// First frames that ride in the handshake's segment are not lost, either way.
func TestFirstFramesInTheHandshakesSegment(t *testing.T) {
	greeting := "\x81\x07welcome"
	backend := start(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		nc, rw, err := http.NewResponseController(w).Hijack()
		if err != nil {
			t.Error(err)
			return
		}
		defer nc.Close()
		_, _ = io.WriteString(nc, "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"+
			"Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n"+greeting)
		f, err := ws.ReadFrame(rw) //nolint:staticcheck // what it reads is ours, and small
		if err != nil {
			t.Error(err)
			return
		}
		_ = ws.WriteFrame(nc, ws.NewTextFrame(ws.UnmaskFrame(f).Payload))
		_, _ = io.Copy(io.Discard, rw)
	}))
	h := openFor(t, backend, everything)
	token := h.token("alice", issuer.TokenOptions{}).Access
	early := "\x81\x85\x01\x02\x03\x04dcqhx" // "early", masked
	for i := range 300 {
		c := h.send(handshake("/?token="+token) + early)
		if got := c.answer().StatusCode; got != 101 {
			t.Fatalf("round %d: %d", i, got)
		}
		want := greeting + "\x81\x05early"
		got := make([]byte, len(want))
		if _, err := io.ReadFull(c.r, got); err != nil || string(got) != want {
			t.Fatalf("round %d: %q, err %v", i, got, err)
		}
		_ = c.Close()
	}
}

// Compression and subprotocols are between client and backend.
func TestOffersPass(t *testing.T) {
	h := open(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c, err := websocket.Accept(w, r, &websocket.AcceptOptions{Subprotocols: []string{"chat.v2"}, CompressionMode: websocket.CompressionContextTakeover, InsecureSkipVerify: true})
		if err != nil {
			t.Error(err)
			return
		}
		defer c.CloseNow()
		_, p, err := c.Read(r.Context())
		if err == nil {
			err = c.Write(r.Context(), websocket.MessageText, p)
		}
		if err != nil {
			t.Error(err)
		}
		_ = c.Close(websocket.StatusNormalClosure, "bye")
	}), everything)
	token := h.token("alice", issuer.TokenOptions{}).Access
	c, resp, err := websocket.Dial(t.Context(), "ws"+strings.TrimPrefix(h.url, "http"), &websocket.DialOptions{
		Subprotocols: []string{"bearer", token, "chat.v1", "chat.v2"}, CompressionMode: websocket.CompressionContextTakeover,
	})
	if err != nil {
		t.Fatal(err)
	}
	defer c.CloseNow()
	if c.Subprotocol() != "chat.v2" || !strings.Contains(resp.Header.Get("Sec-WebSocket-Extensions"), "permessage-deflate") {
		t.Errorf("subprotocol %q, extensions %q", c.Subprotocol(), resp.Header.Get("Sec-WebSocket-Extensions"))
	}
	message := strings.Repeat("compress me ", 1000)
	if err := c.Write(t.Context(), websocket.MessageText, []byte(message)); err != nil {
		t.Fatal(err)
	}
	if _, p, err := c.Read(t.Context()); err != nil || string(p) != message {
		t.Errorf("%d bytes, err %v", len(p), err)
	}
	if _, _, err := c.Read(t.Context()); websocket.CloseStatus(err) != websocket.StatusNormalClosure {
		t.Errorf("err %v, want the backend's own Close", err)
	}
}

// A backend that takes a call and says nothing is 504.
func TestSilentBackend(t *testing.T) {
	done := make(chan struct{})
	silent := start(t, http.HandlerFunc(func(http.ResponseWriter, *http.Request) { <-done }))
	defer close(done)
	h := openFor(t, silent, "\nroutes:\n  - {path: /, backend: BACKEND, public: true, answer_time: 50ms}\n")
	if status, _, _ := h.get("/"); status != http.StatusGatewayTimeout {
		t.Errorf("status %d, want 504", status)
	}
}
