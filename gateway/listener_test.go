package gateway_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"github.com/gobwas/ws"
	"github.com/gobwas/ws/wsutil"

	"github.com/portcullis-auth/portcullis"
	"github.com/portcullis-auth/portcullis/gateway"
)

// secured serves a gateway over TLS as the configuration has it; everything else
// of that is in keys and routes. It returns its address and how to trust it.
func secured(t *testing.T, keys, routes string) (g *gateway.Gateway, addr string, trust *tls.Config) {
	t.Helper()
	some := httptest.NewTLSServer(nil) // for its certificate
	defer some.Close()
	der, err := x509.MarshalPKCS8PrivateKey(some.TLS.Certificates[0].PrivateKey)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	for name, block := range map[string]*pem.Block{
		"tls.crt": {Type: "CERTIFICATE", Bytes: some.Certificate().Raw}, "tls.key": {Type: "PRIVATE KEY", Bytes: der},
	} {
		if err := os.WriteFile(filepath.Join(dir, name), pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	tokens := start(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_, _ = io.WriteString(w, `{"active": `+map[bool]string{true: `true, "sub": "alice"`, false: `false`}[r.FormValue("token") == "good"]+`}`)
	}))
	g, err = gateway.New(loadConfig(t, "listen: 127.0.0.1:0\ntls: {certificates: {cert_file: "+dir+"/tls.crt, key_file: "+dir+"/tls.key}}\n"+keys+
		"verify: {introspection: {url: '"+tokens+"', client_id: a, client_secret_env: SECRET}}\n"+routes), slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AddCert(some.Certificate())
	addr, _ = listening(t, g)
	return g, addr, &tls.Config{RootCAs: roots}
}

// listening has g listen as configured, and serve until the test ends, or stop is
// called.
func listening(t *testing.T, g *gateway.Gateway) (addr string, stop func()) {
	t.Helper()
	l, err := g.Listen(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- g.Serve(ctx, l) }()
	stop = sync.OnceFunc(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("Serve: %v", err)
		}
		_ = g.Close()
	})
	t.Cleanup(stop)
	return l.Addr().String(), stop
}

// Over TLS there are HTTP/2 and WebSockets, whose authorization ends as it does
// in the clear.
func TestTLS(t *testing.T) {
	b := newBackend()
	g, addr, trust := secured(t, "", "routes: [{path: /, backend: '"+start(t, b)+"'}]\n")
	client := &http.Client{Transport: &http.Transport{TLSClientConfig: trust.Clone(), ForceAttemptHTTP2: true}}
	defer client.CloseIdleConnections()
	for token, want := range map[string]int{"good": 200, "bad": 401} {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "https://"+addr+"/api", nil)
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Authorization", "Bearer "+token)
		resp, err := client.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		_ = resp.Body.Close()
		if resp.StatusCode != want || resp.ProtoMajor != 2 {
			t.Errorf("token %s: %s %s, want %d over HTTP/2", token, resp.Proto, resp.Status, want)
		}
	}
	if got := b.header().Get("X-Forwarded-Proto"); got != "https" {
		t.Errorf("the backend is told %q", got)
	}

	nc, err := tls.Dial("tcp", addr, trust)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = nc.Close() }()
	_, _, _, err = (ws.Dialer{
		NetDial: func(context.Context, string, string) (net.Conn, error) { return nc, nil },
		Header:  ws.HandshakeHeaderHTTP(http.Header{"Authorization": {"Bearer good"}, "Origin": {"https://" + addr}}),
	}).Dial(t.Context(), "ws://"+addr+"/wsapi/")
	if err != nil {
		t.Fatal(err)
	}
	if err := wsutil.WriteClientText(nc, []byte("hi")); err != nil {
		t.Fatal(err)
	}
	if got, err := wsutil.ReadServerText(nc); err != nil || string(got) != ": hi" { // it has no name here
		t.Errorf("got %q, err %v", got, err)
	}
	if err := g.Guard().Revoke(t.Context(), portcullis.Revocation{Subject: "alice"}); err != nil {
		t.Fatal(err)
	}
	f, err := ws.ReadFrame(nc) //nolint:staticcheck // what it reads is ours, and small
	if code, reason := ws.ParseCloseFrameData(f.Payload); err != nil || code != 3003 || reason != "session_revoked" {
		t.Errorf("Close %d %q, err %v; want 3003", code, reason, err)
	}
}

// A PROXY header's address is what everybody is told, and the origin of limits.
func TestProxyProtocol(t *testing.T) {
	b := newBackend()
	g, err := gateway.New(loadConfig(t, "listen: 127.0.0.1:0\nproxy_protocol: 127.0.0.1\n"+
		"verify: {introspection: {url: 'http://127.0.0.1:1', client_id: a, client_secret_env: SECRET}}\n"+
		"routes: [{path: /, backend: '"+start(t, b)+"', public: true, limits: {sockets_per_address: 1}}]\n"), nil)
	if err != nil {
		t.Fatal(err)
	}
	addr, stop := listening(t, g)
	defer stop() // with sockets that are open
	h := &house{t: t, addr: addr}
	for _, tt := range []struct {
		header string
		want   int
	}{
		{"PROXY TCP4 203.0.113.9 10.0.0.1 4711 443\r\n", 101},
		{"PROXY TCP4 203.0.113.9 10.0.0.1 4712 443\r\n", 429},
		{"PROXY TCP6 2001:db8::1 2001:db8::2 4711 443\r\n", 101},
		{"PROXY TCP6 2001:db8::ffff 2001:db8::2 4711 443\r\n", 429}, // the same /64
	} {
		c := h.send(tt.header + handshake("/"))
		if got := c.answer().StatusCode; got != tt.want {
			t.Fatalf("%q: %d, want %d", tt.header, got, tt.want)
		}
		if tt.want == 101 { // in the event loop, or not: it works
			c.text("hi")
			c.want(": hi")
		}
	}
	if got := b.header().Get("X-Forwarded-For"); got != "2001:db8::1" {
		t.Errorf("the backend is told %q", got)
	}
	c := h.send(handshake("/"))
	if rest, err := io.ReadAll(c.r); len(rest) > 0 && err == nil {
		t.Errorf("without a PROXY header: %q, want the connection cut", rest)
	}
}
