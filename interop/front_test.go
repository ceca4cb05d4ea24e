package interop

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/portcullis-auth/portcullis"
	"github.com/portcullis-auth/portcullis/admin"
	"github.com/portcullis-auth/portcullis/dev/issuer"
)

// A front is a gateway with a token system and an admin API, before a backend.
type front struct {
	testing.TB
	url    string
	admin  string
	issuer *issuer.Issuer
}

// openFront starts a front whose one route is to that backend; more is what else
// the route says.
func openFront(t *testing.T, backend, more string) *front {
	t.Helper()
	l := listen(t)
	f := &front{TB: t, url: "http://" + l.Addr().String(), issuer: startZitadel(t)}
	g := serveGateway(t, l, fmt.Sprintf(`
verify: {introspection: {url: %s/oauth/introspect, client_id: gateway, client_secret_env: SECRET}}
routes: [{path: /, backend: %s%s}]
`, f.issuer.URL(), backend, more))
	api := httptest.NewServer(admin.New(admin.Config{Guard: g.Guard()}))
	t.Cleanup(api.Close)
	f.admin = api.URL
	return f
}

// token returns a fresh token of the user, for a login of its own.
func (f *front) token(user string, lifetime time.Duration) string {
	f.Helper()
	return issue(f, f.issuer, user, issuer.TokenOptions{Lifetime: lifetime}).Access
}

// sessions are those that the operator sees.
func (f *front) sessions() []portcullis.SessionInfo {
	f.Helper()
	resp, err := http.Get(f.admin + "/v1/sessions?limit=1000")
	if err != nil {
		f.Fatal(err)
	}
	defer resp.Body.Close()
	var list struct{ Sessions []portcullis.SessionInfo }
	if err := json.NewDecoder(resp.Body).Decode(&list); err != nil || resp.StatusCode != http.StatusOK {
		f.Fatalf("sessions: %s, %v", resp.Status, err)
	}
	return list.Sessions
}

// wantSessions waits until there are so many.
func (f *front) wantSessions(n int) {
	f.Helper()
	eventually(f, fmt.Sprint(n, " sessions"), func() bool { return len(f.sessions()) == n })
}

// revoke has the operator end what a user has.
func (f *front) revoke(user string) {
	f.Helper()
	body, err := json.Marshal(map[string]string{"iss": f.issuer.URL(), "sub": "u-" + user})
	if err != nil {
		f.Fatal(err)
	}
	resp, err := http.Post(f.admin+"/v1/revocations", "application/json", bytes.NewReader(body))
	if err != nil {
		f.Fatal(err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		f.Fatalf("revocation: %s", resp.Status)
	}
}

// A certificate is for 127.0.0.1, and vouches for itself. Its members are what
// Node wants.
type certificate struct {
	Cert string `json:"cert"`
	Key  string `json:"key"`
}

func newCertificate(t testing.TB) *certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()), IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageDigitalSignature,
	}
	cert, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return &certificate{
		string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: cert})),
		string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private})),
	}
}

// file writes what clients are to trust.
func (c *certificate) file(t testing.TB) string {
	t.Helper()
	name := filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(name, []byte(c.Cert), 0o600); err != nil {
		t.Fatal(err)
	}
	return name
}
