package listen_test

import (
	"bufio"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/big"
	"net"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/portcullis-auth/portcullis/gateway/listen"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m,
		// certmagic keeps one for each authority, for as long as the process lives.
		goleak.IgnoreTopFunction("github.com/caddyserver/certmagic.(*RingBufferRateLimiter).permit"),
		goleak.IgnoreTopFunction("github.com/caddyserver/certmagic.(*RingBufferRateLimiter).loop"),
		// It looks once in 5 s whether its lock is gone.
		goleak.IgnoreAnyFunction("github.com/caddyserver/certmagic.keepLockfileFresh"))
}

// patience bounds what must happen soon: only a failing test waits as long.
const patience = 30 * time.Second

// soon is a HeaderTime that is worth waiting for, and enough for a busy machine.
const soon = 3 * time.Second

var loopback = []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}

// A logbook is a log to be looked into.
type logbook struct {
	mu   sync.Mutex // guards text
	text strings.Builder
	more chan struct{}
}

func newLogbook() *logbook { return &logbook{more: make(chan struct{}, 1)} }

func (b *logbook) log() *slog.Logger { return slog.New(slog.NewTextHandler(b, nil)) }

func (b *logbook) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	select {
	case b.more <- struct{}{}:
	default:
	}
	return b.text.Write(p)
}

func (b *logbook) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.String()
}

func (b *logbook) count(what string) int { return strings.Count(b.String(), what) }

// await waits until it is logged for the nth time.
func (b *logbook) await(t *testing.T, n int, what string) {
	t.Helper()
	late := time.After(patience)
	for b.count(what) < n {
		select {
		case <-b.more:
		case <-late:
			t.Fatalf("%q isn't logged %d times:\n%s", what, n, b)
		}
	}
}

func open(t *testing.T, o listen.Options) *listen.Listener {
	t.Helper()
	if o.Address == "" {
		o.Address = "127.0.0.1:0"
	}
	l, err := listen.Open(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	return l
}

// serve answers with the client's address and the protocol, once it has the
// request's body.
func serve(t *testing.T, l *listen.Listener) {
	t.Helper()
	var open sync.WaitGroup // connections
	server := &http.Server{
		ConnState: func(_ net.Conn, state http.ConnState) {
			switch state {
			case http.StateNew:
				open.Add(1)
			case http.StateClosed:
				open.Done()
			}
		},
		Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if _, err := io.Copy(io.Discard, r.Body); err != nil {
				panic(http.ErrAbortHandler)
			}
			fmt.Fprint(w, r.RemoteAddr, " ", r.Proto)
		}),
		TLSConfig: l.TLS(),
		ErrorLog:  slog.NewLogLogger(slog.DiscardHandler, 0),
	}
	done := make(chan error, 1)
	go func() {
		if l.TLS() == nil {
			done <- server.Serve(l)
		} else {
			done <- server.ServeTLS(l, "", "")
		}
	}()
	t.Cleanup(func() {
		_ = server.Close()
		if err := <-done; !errors.Is(err, http.ErrServerClosed) && !errors.Is(err, net.ErrClosed) {
			t.Error(err)
		}
		open.Wait()
	})
}

// dial connects, from the address if there is one.
func dial(t *testing.T, l net.Listener, from string) net.Conn {
	t.Helper()
	d := net.Dialer{Timeout: patience}
	if from != "" {
		d.LocalAddr = &net.TCPAddr{IP: net.ParseIP(from)}
	}
	nc, err := d.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	_ = nc.SetDeadline(time.Now().Add(patience))
	t.Cleanup(func() { _ = nc.Close() })
	return nc
}

// ask sends text before a request, and returns what comes back: all of it, if
// that is no answer of HTTP.
func ask(t *testing.T, nc net.Conn, text string) string {
	t.Helper()
	if _, err := io.WriteString(nc, text+"GET / HTTP/1.1\r\nHost: a\r\n\r\n"); err != nil {
		return err.Error()
	}
	resp, err := http.ReadResponse(bufio.NewReader(nc), nil)
	if err != nil {
		return err.Error()
	}
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		return err.Error()
	}
	return fmt.Sprint(resp.StatusCode, " ", string(body))
}

// isCut waits until the peer has closed the connection, and reports whether it
// wrote nothing before that.
func isCut(nc net.Conn) bool {
	n, err := nc.Read(make([]byte, 100))
	var late net.Error
	return n == 0 && err != nil && !asTimeout(err, &late)
}

func asTimeout(err error, into *net.Error) bool {
	ne, ok := err.(net.Error) //nolint:errorlint // as it is
	*into = ne
	return ok && ne.Timeout()
}

// wantCut sends each of the texts on a connection of its own, and wants all of
// these to be cut.
func wantCut(t *testing.T, l net.Listener, texts ...string) {
	t.Helper()
	waiting := make(map[string]net.Conn)
	for _, sent := range texts {
		waiting[sent] = dial(t, l, "")
		if _, err := io.WriteString(waiting[sent], sent); err != nil {
			t.Fatal(err)
		}
	}
	for sent, nc := range waiting {
		if !isCut(nc) {
			t.Errorf("after %q: not cut", sent)
		}
	}
}

// accepted is what a listener accepts, in order.
func accepted(t *testing.T, l *listen.Listener) <-chan net.Conn {
	c := make(chan net.Conn, 100)
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			nc, err := l.Accept()
			if err != nil {
				return
			}
			c <- nc
		}
	}()
	t.Cleanup(func() {
		_ = l.Close()
		<-done
	})
	return c
}

func next[T any](t *testing.T, c <-chan T) T {
	t.Helper()
	select {
	case v := <-c:
		return v
	case <-time.After(patience):
		t.Fatal("nothing comes")
		panic("unreachable")
	}
}

// await waits for something that another goroutine is about to do.
func await(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for late := time.Now().Add(patience); !ok(); {
		if time.Now().After(late) {
			t.Fatalf("not in time: %s", what)
		}
		<-time.After(time.Millisecond)
	}
}

// An identity is a self-signed certificate and its key, in PEM.
type identity struct{ cert, key []byte }

// newIdentity makes one that is valid until then.
func newIdentity(t testing.TB, until time.Time, names ...string) identity {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	serial, _ := rand.Int(rand.Reader, big.NewInt(1<<62))
	template := &x509.Certificate{
		SerialNumber: serial, Subject: pkix.Name{CommonName: names[0]}, DNSNames: names,
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		NotBefore:   until.Add(-48 * time.Hour), NotAfter: until,
	}
	der, err1 := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	secret, err2 := x509.MarshalPKCS8PrivateKey(key)
	if err1 != nil || err2 != nil {
		t.Fatal(err1, err2)
	}
	return identity{
		pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}),
		pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: secret}),
	}
}

var tomorrow = time.Now().Add(24 * time.Hour)

// in writes both to the folder.
func (i identity) in(t testing.TB, dir string) listen.Certificate {
	t.Helper()
	c := listen.Certificate{CertFile: filepath.Join(dir, "tls.crt"), KeyFile: filepath.Join(dir, "tls.key")}
	write(t, c.CertFile, i.cert)
	write(t, c.KeyFile, i.key)
	return c
}

// write replaces a file as a whole.
func write(t testing.TB, file string, text []byte) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file+".new", text, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(file+".new", file); err != nil {
		t.Fatal(err)
	}
}

// sees returns the common name of the certificate that a client gets who asks for
// the name, and the protocol that is agreed on.
func sees(t testing.TB, l net.Listener, name string, protocols ...string) (cn, protocol string, err error) {
	t.Helper()
	d := tls.Dialer{NetDialer: &net.Dialer{Timeout: patience}, Config: &tls.Config{
		ServerName: name, InsecureSkipVerify: true, NextProtos: protocols,
	}}
	nc, err := d.DialContext(context.Background(), "tcp", l.Addr().String())
	if err != nil {
		return "", "", err
	}
	defer nc.Close()
	state := nc.(*tls.Conn).ConnectionState()
	return state.PeerCertificates[0].Subject.CommonName, state.NegotiatedProtocol, nil
}
