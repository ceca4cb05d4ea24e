package listen_test

import (
	"crypto/tls"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/portcullis-auth/portcullis/gateway/listen"
)

func TestTLSChoosesByServerName(t *testing.T) {
	l := open(t, listen.Options{Certificates: []listen.Certificate{
		newIdentity(t, tomorrow, "a.example.com").in(t, t.TempDir()),
		newIdentity(t, tomorrow, "b.example.com", "*.b.example.com").in(t, t.TempDir()),
	}})
	serve(t, l)
	tests := []struct{ name, want string }{
		{"a.example.com", "a.example.com"},
		{"b.example.com", "b.example.com"},
		{"B.example.com", "b.example.com"},
		{"x.b.example.com", "b.example.com"},
		{"x.a.example.com", "a.example.com"},
		{"127.0.0.1", "a.example.com"}, // no name is sent
	}
	for _, tt := range tests {
		if got, _, err := sees(t, l, tt.name); got != tt.want || err != nil {
			t.Errorf("%s: got %s, %v; want %s", tt.name, got, err, tt.want)
		}
	}
}

func TestTLSProtocols(t *testing.T) {
	l := open(t, listen.Options{Certificates: []listen.Certificate{newIdentity(t, tomorrow, "a.example.com").in(t, t.TempDir())}})
	serve(t, l)
	tests := []struct {
		offer []string
		want  string // "none": refused
	}{
		{nil, ""},
		{[]string{"http/1.1"}, "http/1.1"},
		{[]string{"http/1.1", "h2"}, "h2"},
		{[]string{"acme-tls/1"}, "none"}, // there is no authority
		{[]string{"h3"}, "none"},
	}
	for _, tt := range tests {
		_, got, err := sees(t, l, "a.example.com", tt.offer...)
		if (err != nil) != (tt.want == "none") || err == nil && got != tt.want {
			t.Errorf("%v: got %q, %v; want %q", tt.offer, got, err, tt.want)
		}
	}
}

func TestTLSVersions(t *testing.T) {
	files := newIdentity(t, tomorrow, "a.example.com").in(t, t.TempDir())
	tests := []struct {
		least, most uint16
		good        bool
	}{
		{0, tls.VersionTLS11, false},
		{0, tls.VersionTLS12, true},
		{tls.VersionTLS13, tls.VersionTLS12, false},
		{tls.VersionTLS13, tls.VersionTLS13, true},
	}
	for _, tt := range tests {
		l := open(t, listen.Options{MinVersion: tt.least, Certificates: []listen.Certificate{files}})
		serve(t, l)
		c := tls.Client(dial(t, l, ""), &tls.Config{InsecureSkipVerify: true, MinVersion: tls.VersionTLS10, MaxVersion: tt.most})
		if err := c.Handshake(); (err == nil) != tt.good {
			t.Errorf("from %x on, up to %x: %v", tt.least, tt.most, err)
		}
	}
}

// A handshake that isn't over in time is cut; one that is, isn't.
func TestL1SlowHandshake(t *testing.T) {
	t.Parallel()
	l := open(t, listen.Options{HeaderTime: soon, Certificates: []listen.Certificate{newIdentity(t, tomorrow, "a.example.com").in(t, t.TempDir())}})
	serve(t, l)
	kept := tls.Client(dial(t, l, ""), &tls.Config{InsecureSkipVerify: true})
	if got := ask(t, kept, ""); !strings.HasPrefix(got, "200") {
		t.Fatalf("got %q", got)
	}
	wantCut(t, l, "", "\x16\x03\x01\x02\x00\x01\x00")
	halfway := dial(t, l, "")
	stopped := tls.Client(halfway, &tls.Config{InsecureSkipVerify: true, VerifyConnection: func(tls.ConnectionState) error {
		if _, err := io.Copy(io.Discard, halfway); err != nil && !errors.Is(err, syscall.ECONNRESET) { // until we are cut
			t.Error(err)
		}
		return io.EOF
	}})
	if err := stopped.Handshake(); !errors.Is(err, io.EOF) {
		t.Error(err)
	}
	if got := ask(t, kept, ""); !strings.HasPrefix(got, "200") {
		t.Errorf("whose handshake was in time got %q", got)
	}
	await(t, "no handshake is waited for", func() bool { return l.Shaking() == 0 })
}

func TestOpenErrors(t *testing.T) {
	dir := t.TempDir()
	good := newIdentity(t, tomorrow, "a.example.com").in(t, dir)
	other := newIdentity(t, tomorrow, "b.example.com").in(t, t.TempDir())
	broken, missing := filepath.Join(dir, "broken.pem"), filepath.Join(dir, "missing.pem")
	write(t, broken, []byte("-----BEGIN sesame-----"))
	acme := func(change func(*listen.ACME)) listen.Options {
		a := &listen.ACME{Domains: []string{"a.example.com"}, Directory: "https://ca.example.com/directory", TermsAgreed: true, Storage: filepath.Join(dir, "acme")}
		change(a)
		return listen.Options{ACME: a}
	}
	pair := func(cert, key string) listen.Options {
		return listen.Options{Certificates: []listen.Certificate{good, {CertFile: cert, KeyFile: key}}}
	}
	tests := []struct {
		name string
		o    listen.Options
		want []string
	}{
		{"no such certificate", pair(missing, good.KeyFile), []string{missing}},
		{"no such key", pair(good.CertFile, missing), []string{missing}},
		{"broken certificate", pair(broken, good.KeyFile), []string{broken}},
		{"broken key", pair(good.CertFile, broken), []string{broken}},
		{"another's key", pair(good.CertFile, other.KeyFile), []string{good.CertFile, other.KeyFile, "does not match"}},
		{"old version", listen.Options{MinVersion: tls.VersionTLS11}, []string{"TLS 1.1"}},
		{"version to come", listen.Options{MinVersion: 0x0305}, []string{"0x0305"}},
		{"address", listen.Options{Address: "127.0.0.1:70000"}, []string{"70000"}},
		{"acme without domains", acme(func(a *listen.ACME) { a.Domains = nil }), []string{"no domains"}},
		{"acme with an empty one", acme(func(a *listen.ACME) { a.Domains = []string{""} }), []string{"empty"}},
		{"acme in the clear", acme(func(a *listen.ACME) { a.Directory = "http://ca.example.com/" }), []string{"no https URL"}},
		{"acme without a host", acme(func(a *listen.ACME) { a.Directory = "https:directory" }), []string{"no https URL"}},
		{"acme nowhere", acme(func(a *listen.ACME) { a.Directory = "" }), []string{"no https URL"}},
		{"acme without agreement", acme(func(a *listen.ACME) { a.TermsAgreed = false }), []string{"terms of service"}},
		{"acme without storage", acme(func(a *listen.ACME) { a.Storage = "" }), []string{"no storage"}},
		{"acme with a file for storage", acme(func(a *listen.ACME) { a.Storage = broken }), []string{broken}},
		{"acme without its root", acme(func(a *listen.ACME) { a.CAFile = missing }), []string{missing}},
		{"acme with a broken root", acme(func(a *listen.ACME) { a.CAFile = broken }), []string{broken}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if tt.o.Address == "" {
				tt.o.Address = "127.0.0.1:0"
			}
			l, err := listen.Open(t.Context(), tt.o)
			if err == nil {
				_ = l.Close()
				t.Fatal("no error")
			}
			for _, want := range tt.want {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("error %q doesn't say %q", err, want)
				}
			}
			if strings.Contains(err.Error(), "sesame") {
				t.Errorf("error %q quotes the file", err)
			}
		})
	}
}

// A listener that is closed frees its address, twice.
func TestClose(t *testing.T) {
	l := open(t, listen.Options{})
	for range 2 {
		if err := l.Close(); err != nil {
			t.Error(err)
		}
	}
	if _, err := l.Accept(); err == nil {
		t.Error("accepted something")
	}
	open(t, listen.Options{Address: l.Addr().String()})
}

// Files that are replaced are read again, and what is broken leaves the old
// certificate where it is.
func TestReload(t *testing.T) {
	t.Parallel()
	log := newLogbook()
	dir := t.TempDir()
	files := newIdentity(t, tomorrow, "one.example.com").in(t, dir)
	l := open(t, listen.Options{Certificates: []listen.Certificate{files}, Log: log.log()})
	serve(t, l)
	is := func(want string) {
		t.Helper()
		if got, _, err := sees(t, l, "x.example.com"); got != want || err != nil {
			t.Errorf("got %s, %v; want %s", got, err, want)
		}
	}
	is("one.example.com")
	newIdentity(t, tomorrow, "two.example.com").in(t, dir)
	log.await(t, 1, "certificate reloaded")
	is("two.example.com")

	write(t, files.CertFile, []byte("sesame"))
	log.await(t, 1, "not reloaded")
	is("two.example.com")
	write(t, files.CertFile, newIdentity(t, tomorrow, "three.example.com").cert) // whose key isn't there
	log.await(t, 2, "not reloaded")
	is("two.example.com")
	if err := os.Remove(files.KeyFile); err != nil {
		t.Fatal(err)
	}
	log.await(t, 3, "not reloaded")
	is("two.example.com")

	four := newIdentity(t, tomorrow, "four.example.com")
	for file, text := range map[string][]byte{files.CertFile: four.cert, files.KeyFile: four.key} { // in place
		if err := os.WriteFile(file, text, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	log.await(t, 2, "certificate reloaded")
	is("four.example.com")
	if log.count("sesame") > 0 {
		t.Errorf("the log quotes the file:\n%s", log)
	}
}

// Kubernetes turns one link, which the files are behind.
func TestReloadTurnedLink(t *testing.T) {
	t.Parallel()
	log := newLogbook()
	dir := t.TempDir()
	turn := func(to, name string) {
		newIdentity(t, tomorrow, name).in(t, filepath.Join(dir, to))
		if err := os.Symlink(to, filepath.Join(dir, "..new")); err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(filepath.Join(dir, "..new"), filepath.Join(dir, "..data")); err != nil {
			t.Fatal(err)
		}
	}
	turn("..1", "one.example.com")
	files := listen.Certificate{CertFile: filepath.Join(dir, "tls.crt"), KeyFile: filepath.Join(dir, "tls.key")}
	for _, file := range []string{files.CertFile, files.KeyFile} {
		if err := os.Symlink(filepath.Join("..data", filepath.Base(file)), file); err != nil {
			t.Fatal(err)
		}
	}
	l := open(t, listen.Options{Certificates: []listen.Certificate{files}, Log: log.log()})
	serve(t, l)
	for i, name := range []string{"two.example.com", "three.example.com"} {
		turn("..of-"+name, name)
		log.await(t, i+1, "certificate reloaded")
		if got, _, err := sees(t, l, name); got != name || err != nil {
			t.Errorf("got %s, %v; want %s", got, err, name)
		}
	}
}

// Of several certificates one that is broken doesn't keep the others old.
func TestReloadOneOfTwo(t *testing.T) {
	t.Parallel()
	log := newLogbook()
	dirs := []string{t.TempDir(), t.TempDir()}
	var list []listen.Certificate
	for i, name := range []string{"a.example.com", "b.example.com"} {
		list = append(list, newIdentity(t, tomorrow, name).in(t, dirs[i]))
	}
	l := open(t, listen.Options{Certificates: list, Log: log.log()})
	serve(t, l)
	write(t, list[0].CertFile, []byte("broken"))
	log.await(t, 1, "not reloaded")
	newIdentity(t, tomorrow, "c.example.com").in(t, dirs[1])
	log.await(t, 1, "certificate reloaded")
	for _, name := range []string{"a.example.com", "c.example.com"} {
		if got, _, err := sees(t, l, name); got != name || err != nil {
			t.Errorf("%s: got %s, %v", name, got, err)
		}
	}
	if n := log.count(`stays" err="certificate ` + list[0].CertFile); n != 1 {
		t.Errorf("that it is broken was logged %d times:\n%s", n, log)
	}
}

func TestExpiredCertificateIsLogged(t *testing.T) {
	t.Parallel()
	log := newLogbook()
	dir, dir2 := t.TempDir(), t.TempDir()
	files := newIdentity(t, time.Now().Add(-time.Hour), "a.example.com").in(t, dir)
	other := newIdentity(t, tomorrow, "b.example.com").in(t, dir2)
	l := open(t, listen.Options{Certificates: []listen.Certificate{files, other}, Log: log.log()})
	serve(t, l)
	log.await(t, 1, "certificate has expired")
	if log.count(files.CertFile) == 0 {
		t.Errorf("the log doesn't name the file:\n%s", log)
	}
	if got, _, err := sees(t, l, "a.example.com"); got != "a.example.com" || err != nil {
		t.Errorf("got %s, %v", got, err)
	}
	newIdentity(t, tomorrow, "b.example.com").in(t, dir2)
	log.await(t, 1, "certificate reloaded")
	if n := log.count("certificate has expired"); n != 1 {
		t.Errorf("it was logged %d times", n)
	}
	newIdentity(t, time.Now().Add(50*time.Hour), "a.example.com").in(t, dir)
	log.await(t, 1, "certificate is not valid yet")
}
