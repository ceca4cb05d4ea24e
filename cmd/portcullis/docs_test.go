package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"io/fs"
	"math/big"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/portcullis-auth/portcullis/gateway"
	"github.com/portcullis-auth/portcullis/gateway/config"
)

// A block is a fenced example in a document.
type block struct{ language, text string }

var fence = regexp.MustCompile("(?ms)^```([a-z]+)\n(.*?)^```$")

// blocks returns the examples of a document of the project.
func blocks(t *testing.T, file string) (list []block) {
	t.Helper()
	raw, err := os.ReadFile(filepath.Join("../..", file))
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range fence.FindAllStringSubmatch(string(raw), -1) {
		list = append(list, block{m[1], m[2]})
	}
	return list
}

// Every Go program, configuration and piece of JavaScript in the documents
// does what it looks like.
func TestExamplesInDocuments(t *testing.T) {
	for _, file := range []string{"README.md", "docs/backends.md", "docs/token-systems.md", "docs/lifetime.md", "docs/edge.md", "examples/node-ws/README.md"} {
		tried := 0
		for i, b := range blocks(t, file) {
			t.Run(fmt.Sprintf("%s/%d %s", file, i, b.language), func(t *testing.T) {
				switch b.language {
				case "go":
					compiles(t, b.text)
				case "yaml":
					loads(t, b.text)
				case "js":
					if strings.Contains(b.text, "new WebSocket(") {
						opens(t, b.text)
					} else {
						runs(t, b.text)
					}
				case "json":
					if !json.Valid([]byte(b.text)) {
						t.Error("not JSON")
					}
				case "console":
					return // TestOperatorsAPIAsDocumented, or what CI itself calls
				default:
					t.Fatalf("nobody tries examples in %s", b.language)
				}
				tried++
			})
		}
		if tried == 0 {
			t.Errorf("%s: no example was tried", file)
		}
	}
}

func compiles(t *testing.T, source string) {
	t.Helper()
	file := filepath.Join(t.TempDir(), "main.go")
	if err := os.WriteFile(file, []byte(source), 0o600); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command("go", "vet", file).CombinedOutput(); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}

func loads(t *testing.T, yaml string) {
	t.Helper()
	dir := t.TempDir()
	secret := filepath.Join(dir, "secret")
	key := filepath.Join(dir, "key.pem")
	file := filepath.Join(dir, "portcullis.yaml")
	certificate := filepath.Join(dir, "tls.crt")
	yaml = strings.NewReplacer(
		"/run/secrets/gateway-key.pem", key, "/run/secrets/gateway", secret,
		"/etc/portcullis/app.crt", certificate, "/etc/portcullis/app.key", key,
	).Replace(yaml)
	cert, private := testKey(t)
	for name, text := range map[string]string{secret: "a-secret-of-the-gateway", key: private, certificate: cert, file: yaml} {
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	c, err := config.Load(file, nil)
	if err != nil {
		t.Fatal(err)
	}
	g, err := gateway.New(c, nil)
	if err != nil {
		t.Fatal(err)
	}
	_ = g.Close()
}

// testKey returns a private key, and a certificate for it, in PEM.
func testKey(t *testing.T) (cert, private string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	self := &x509.Certificate{SerialNumber: big.NewInt(1)}
	signed, err := x509.CreateCertificate(rand.Reader, self, self, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: signed})),
		string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}))
}

// runs runs JavaScript that reads a backend's request.
func runs(t *testing.T, script string) {
	t.Helper()
	script = `const req = {headers: {'x-forwarded-user': 'u%2017', 'x-portcullis-userinfo': '{"name":"\\u00c4da"}'}};` +
		script + `console.log(user, claims.name);`
	out, err := exec.Command("node", "-e", script).CombinedOutput()
	if err != nil || string(out) != "u 17 Äda\n" {
		t.Errorf("%v: %s", err, out)
	}
}

// opens runs JavaScript of a page that gets a ticket and opens a socket.
func opens(t *testing.T, script string) {
	t.Helper()
	script = `globalThis.fetch = async (path, {method, headers, body}) => ({json: async () => (
		{ticket: [path, method, headers['Content-Type'], JSON.parse(body).path].join(' '), session: 's', valid_for: 1})});
		globalThis.WebSocket = class { constructor(url) { console.log(url); } };` + script
	out, err := exec.Command("node", "--input-type=module", "-e", script).CombinedOutput()
	want := "wss://app.example.com/wsapi/?ticket=/.portcullis/ticket POST application/json /wsapi/\n"
	if err != nil || string(out) != want {
		t.Errorf("%v: %s", err, out)
	}
}

// The operator's API answers as the document shows.
func TestOperatorsAPIAsDocumented(t *testing.T) {
	out, _ := command(t, nil, "demo", "--listen", "127.0.0.1:0")
	api := eventually(t, out, `(http://127\.0\.0\.1:\d+)/v1/sessions`)
	call := regexp.MustCompile(`(?m)^\$ curl http://127\.0\.0\.1:8081(\S+)(?: -d '(.*)')?\n(\{.*\n)?`)
	tried := 0
	for _, b := range blocks(t, "docs/backends.md") {
		for _, m := range call.FindAllStringSubmatch(b.text, -1) {
			tried++
			method := http.MethodGet
			if m[2] != "" {
				method = http.MethodPost
			}
			r, err := http.NewRequestWithContext(t.Context(), method, api+m[1], strings.NewReader(m[2]))
			if err != nil {
				t.Fatal(err)
			}
			resp, err := http.DefaultClient.Do(r)
			if err != nil {
				t.Fatal(err)
			}
			body, _ := io.ReadAll(resp.Body)
			_ = resp.Body.Close()
			if resp.StatusCode != 200 || m[3] != "" && string(body) != m[3] {
				t.Errorf("%s %s: %d %s, want %s", method, m[1], resp.StatusCode, body, m[3])
			}
		}
	}
	if tried != 3 {
		t.Errorf("%d calls were tried, want 3", tried)
	}
}

// The tests that the threat model names are there. A name that ends in … stands
// for all that begin so.
func TestThreatModelNamesTests(t *testing.T) {
	text, err := os.ReadFile("../../docs/threat-model.md")
	if err != nil {
		t.Fatal(err)
	}
	var all strings.Builder
	err = filepath.WalkDir("../..", func(path string, d fs.DirEntry, err error) error {
		if d.IsDir() && (d.Name() == "node_modules" || d.Name() == "bin" || d.Name() == ".git") {
			return fs.SkipDir
		}
		if err != nil || !strings.HasSuffix(path, "_test.go") {
			return err
		}
		source, err := os.ReadFile(path)
		all.Write(source)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	names := regexp.MustCompile(`\b(?:Test|Fuzz)[A-Za-z0-9]+…?`).FindAllString(string(text), -1)
	if len(names) < 40 {
		t.Fatalf("it names %d tests", len(names))
	}
	for _, name := range names {
		start, several := strings.CutSuffix(name, "…")
		if !several {
			start += "("
		}
		if !strings.Contains(all.String(), "\nfunc "+start) {
			t.Errorf("there is no %s", name)
		}
	}
}
