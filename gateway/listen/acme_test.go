package listen_test

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/mholt/acmez/v3/acme"
	"golang.org/x/net/dns/dnsmessage"

	"github.com/portcullis-auth/portcullis/gateway/listen"
)

// tool builds one of those in tools/go.mod, and returns its path.
func tool(t *testing.T, pkg string) string {
	t.Helper()
	bin := filepath.Join(t.TempDir(), filepath.Base(pkg))
	if out, err := exec.Command("go", "build", "-C", "../../tools", "-o", bin, pkg).CombinedOutput(); err != nil {
		t.Fatalf("%v:\n%s", err, out)
	}
	return bin
}

// A pebble is a certificate authority for tests.
type pebble struct{ directory, caFile string }

// newPebble starts one that validates at the port, and knows no host but
// loopback.
func newPebble(t *testing.T, port int) pebble {
	t.Helper()
	dir := t.TempDir()
	own := newIdentity(t, tomorrow, "localhost").in(t, dir)
	at := freeAddress(t)
	conf, err := json.Marshal(map[string]any{"pebble": map[string]any{
		"listenAddress": at, "certificate": own.CertFile, "privateKey": own.KeyFile,
		"tlsPort": port, "httpPort": 1, "domainBlocklist": []string{"blocked.example.com"},
		"retryAfter": map[string]int{"authz": 1, "order": 1},
	}})
	if err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(dir, "pebble.json"), conf)
	cmd := exec.Command(tool(t, "github.com/letsencrypt/pebble/v2/cmd/pebble"), "-config", filepath.Join(dir, "pebble.json"), "-dnsserver", nameServer(t))
	cmd.Env = append(os.Environ(), "PEBBLE_VA_NOSLEEP=1", "PEBBLE_WFE_NONCEREJECT=0")
	log := newLogbook()
	cmd.Stdout, cmd.Stderr = log, log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		if t.Failed() {
			t.Logf("pebble:\n%s", log)
		}
	})
	log.await(t, 1, "ACME directory available at")
	await(t, "pebble listens", func() bool {
		nc, err := net.Dial("tcp", at)
		if err == nil {
			_ = nc.Close()
		}
		return err == nil
	})
	return pebble{"https://" + at + "/dir", own.CertFile}
}

// freeAddress returns one that nobody listens on, most likely.
func freeAddress(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// nameServer says that every host is at 127.0.0.1. It speaks DNS over TCP, one
// question for each connection.
func nameServer(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	t.Cleanup(func() {
		_ = l.Close()
		<-done
	})
	go func() {
		defer close(done)
		for {
			nc, err := l.Accept()
			if err != nil {
				return
			}
			_ = nc.SetDeadline(time.Now().Add(patience))
			if err := answer(nc); err != nil {
				t.Error(err)
			}
			_ = nc.Close()
		}
	}()
	return l.Addr().String()
}

func answer(nc net.Conn) error {
	question := make([]byte, 2, 1500)
	if _, err := io.ReadFull(nc, question); err != nil {
		return err
	}
	question = question[:binary.BigEndian.Uint16(question)]
	if _, err := io.ReadFull(nc, question); err != nil {
		return err
	}
	var m dnsmessage.Message
	if err := m.Unpack(question); err != nil {
		return err
	}
	m.Response = true
	if q := m.Questions[0]; q.Type == dnsmessage.TypeA {
		m.Answers = []dnsmessage.Resource{{
			Header: dnsmessage.ResourceHeader{Name: q.Name, Class: q.Class, Type: q.Type, TTL: 1},
			Body:   &dnsmessage.AResource{A: [4]byte{127, 0, 0, 1}},
		}}
	}
	out, err := m.Pack()
	if err != nil {
		return err
	}
	_, err = nc.Write(append(binary.BigEndian.AppendUint16(nil, uint16(len(out))), out...))
	return err
}

// Certificates come by themselves, by challenges to the same listener, and are
// kept for the next start, which needs no authority.
func TestACME(t *testing.T) {
	t.Parallel()
	at := freeAddress(t)
	port := 0
	_, _ = fmt.Sscanf(at[strings.LastIndexByte(at, ':')+1:], "%d", &port)
	ca := newPebble(t, port)
	storage := filepath.Join(t.TempDir(), "acme")
	log := newLogbook()
	o := listen.Options{
		Address: at, Log: log.log(),
		ACME: &listen.ACME{
			Domains: []string{"a.example.com", "B.example.com", "blocked.example.com"}, Directory: ca.directory, CAFile: ca.caFile,
			Email: "operator@example.com", TermsAgreed: true, Storage: storage,
		},
	}
	l := open(t, o)
	serve(t, l)
	log.await(t, 2, "certificate in use")
	log.await(t, 1, "the authority answers rejectedIdentifier")
	for ask, want := range map[string]string{
		"a.example.com": "a.example.com", "b.example.com": "b.example.com", "A.EXAMPLE.COM": "a.example.com",
		"other.example.com": "a.example.com", "127.0.0.1": "a.example.com",
	} {
		cert := leaf(t, l, ask)
		if len(cert.DNSNames) != 1 || cert.DNSNames[0] != want || !strings.Contains(cert.Issuer.CommonName, "Pebble") {
			t.Errorf("%s: got %s from %s, want %s", ask, cert.DNSNames, cert.Issuer, want)
		}
	}
	if _, protocol, err := sees(t, l, "a.example.com", "h2"); protocol != "h2" || err != nil {
		t.Errorf("got %q, %v", protocol, err)
	}
	if cn, _, err := sees(t, l, "a.example.com", "acme-tls/1"); err == nil {
		t.Errorf("answered a challenge that there isn't with %s", cn)
	}
	if log.count("policy") > 0 {
		t.Errorf("the log quotes the authority:\n%s", log)
	}
	onlyOwners(t, storage)
	first := leaf(t, l, "a.example.com")
	_ = l.Close()

	log = newLogbook()
	o.Log, o.ACME.Domains, o.ACME.Directory = log.log(), o.ACME.Domains[:1], ca.directory
	l = open(t, o)
	log.await(t, 1, "certificate in use")
	serve(t, l)
	if again := leaf(t, l, "a.example.com"); !again.Equal(first) {
		t.Errorf("got another certificate, number %x, want %x", again.SerialNumber, first.SerialNumber)
	}
	if log.count("certificate obtained") > 0 {
		t.Errorf("got it again:\n%s", log)
	}
}

// leaf returns the certificate that a client gets who asks for the name.
func leaf(t *testing.T, l net.Listener, name string) *x509.Certificate {
	t.Helper()
	c := tls.Client(dial(t, l, ""), &tls.Config{ServerName: name, InsecureSkipVerify: true})
	if err := c.Handshake(); err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	defer func() { _ = c.Close() }()
	return c.ConnectionState().PeerCertificates[0]
}

// onlyOwners fails if others could read the folder, or a key in it.
func onlyOwners(t *testing.T, dir string) {
	t.Helper()
	keys := 0
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		key := strings.HasSuffix(path, ".key")
		if (key || path == dir) && info.Mode().Perm()&0o077 != 0 {
			t.Errorf("%s has mode %s", path, info.Mode())
		}
		if key {
			keys++
		}
		return nil
	})
	if err != nil || keys < 2 {
		t.Errorf("%d keys in storage, %v", keys, err)
	}
}

// Files go before the authority, for the names that they are for.
func TestACMEBesideFiles(t *testing.T) {
	t.Parallel()
	authority := httptest.NewTLSServer(http.NotFoundHandler()) // there won't be any
	defer authority.Close()
	log := newLogbook()
	l := open(t, listen.Options{
		Log: log.log(), Certificates: []listen.Certificate{newIdentity(t, tomorrow, "a.example.com").in(t, t.TempDir())},
		ACME: &listen.ACME{Domains: []string{"B.example.com"}, Directory: authority.URL, TermsAgreed: true, Storage: t.TempDir()},
	})
	serve(t, l)
	for _, name := range []string{"a.example.com", "other.example.com"} {
		if got, _, err := sees(t, l, name); got != "a.example.com" || err != nil {
			t.Errorf("%s: got %s, %v", name, got, err)
		}
	}
	if got, _, err := sees(t, l, "b.example.com"); err == nil {
		t.Errorf("got the certificate of %s for what the authority is asked for", got)
	}
	log.await(t, 1, "the authority's own certificate: x509: certificate signed by unknown authority")
}

// Nothing that an authority, or what answers in its place, has written is logged.
func TestWhy(t *testing.T) {
	tests := []struct {
		err  error
		want string
	}{
		{acme.Problem{Type: "urn:ietf:params:acme:error:rateLimited", Detail: "secret"}, "the authority answers rateLimited"},
		{fmt.Errorf("x: %w", acme.Problem{Type: "urn:ietf:params:acme:error:dns", Detail: "secret"}), "the authority answers dns"},
		{acme.Problem{Type: "urn:ietf:params:acme:error:secret text"}, "the authority answers that something is wrong"},
		{acme.Problem{Type: "https://secret.example.com"}, "the authority answers that something is wrong"},
		{&net.OpError{Op: "dial", Net: "tcp", Err: errors.New("refused")}, "dial tcp: refused"},
		{&tls.CertificateVerificationError{Err: x509.UnknownAuthorityError{}}, "the authority's own certificate: x509: certificate signed by unknown authority"},
		{os.ErrDeadlineExceeded, "the authority's answer is none of ACME, or the storage fails"},
		{errors.New("secret"), "the authority's answer is none of ACME, or the storage fails"},
		{nil, "the authority's answer is none of ACME, or the storage fails"},
	}
	for _, tt := range tests {
		if got := listen.Why(tt.err); got != tt.want {
			t.Errorf("%v: got %q, want %q", tt.err, got, tt.want)
		}
	}
}
