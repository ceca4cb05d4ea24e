package interop

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"
)

// oidcProvider is npm oidc-provider, in a process of its own.
type oidcProvider struct {
	issuer string
	stop   func() error
}

// theOIDCProvider is started by the first test that needs it, for all of them,
// and stopped by TestMain.
var theOIDCProvider struct {
	once sync.Once
	*oidcProvider
	err error
}

func getOIDCProvider(t *testing.T) *oidcProvider {
	t.Helper()
	p := &theOIDCProvider
	p.once.Do(func() { p.oidcProvider, p.err = startOIDCProvider() })
	if p.err != nil {
		t.Fatalf("this test needs Node and the packages of interop/oidc-provider; run make setup: %v", p.err)
	}
	return p.oidcProvider
}

func startOIDCProvider() (*oidcProvider, error) {
	keys := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/jwk-set+json")
		_, _ = io.WriteString(w, clientKeySet())
	}))
	node, err := startProgram("oidc-provider", []string{"JWKS_URI=" + keys.URL, "GATEWAY_SECRET=" + gatewaySecret}, "server.js")
	if err != nil {
		keys.Close()
		return nil, err
	}
	stop := func() error {
		defer keys.Close()
		_ = node.stdin.Close()
		return node.ended()
	}
	var ready struct{ Issuer string }
	node.lines.Scan()
	if err := json.Unmarshal(node.lines.Bytes(), &ready); err != nil {
		return nil, errors.Join(err, stop())
	}
	return &oidcProvider{ready.Issuer, stop}, nil
}

// minting says what token is wanted.
type minting struct {
	Client   string `json:"client"` // "": app
	User     string `json:"user"`   // "": u1
	Scope    string `json:"scope"`  // "": openid profile chat
	Lifetime int    `json:"lifetime"`
	Audience string `json:"audience,omitempty"` // a resource (RFC 8707); "": none, as for userinfo
	Alg      string `json:"alg,omitempty"`      // "": opaque
}

// mint returns a new token. Its jti, of an opaque one, is the token.
func (p *oidcProvider) mint(t testing.TB, m minting) (token, jti string) {
	t.Helper()
	for field, value := range map[*string]string{&m.Client: "app", &m.User: "u1", &m.Scope: "openid profile chat"} {
		if *field == "" {
			*field = value
		}
	}
	if m.Lifetime == 0 {
		m.Lifetime = 600
	}
	raw, err := json.Marshal(m)
	if err != nil {
		t.Fatal(err)
	}
	var made struct{ Token, JTI string }
	body, err := post(t.Context(), p.issuer+"/test/mint", "application/json", bytes.NewReader(raw), nil)
	if err == nil {
		err = json.Unmarshal(body, &made)
	}
	if err != nil || made.Token == "" {
		t.Fatalf("no token: %v", err)
	}
	return said.secret("a token of oidc-provider", made.Token), made.JTI
}

// revoke gives a token back (RFC 7009).
func (p *oidcProvider) revoke(t testing.TB, token string) {
	t.Helper()
	if _, err := post(t.Context(), p.issuer+"/token/revocation", "application/x-www-form-urlencoded",
		strings.NewReader(url.Values{"token": {token}}.Encode()), url.UserPassword("gateway", gatewaySecret)); err != nil {
		t.Fatal(err)
	}
}

// post wants 200, and returns the body.
func post(ctx context.Context, target, media string, body io.Reader, as *url.Userinfo) ([]byte, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, target, body)
	if err != nil {
		return nil, err
	}
	r.Header.Set("Content-Type", media)
	r.Close = true
	if as != nil {
		password, _ := as.Password()
		r.SetBasicAuth(as.Username(), password)
	}
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(resp.Body)
	if err == nil && resp.StatusCode != http.StatusOK {
		err = fmt.Errorf("POST: %s\n%s", resp.Status, answer)
	}
	return answer, err
}

// eventually waits for what others are about to do.
func eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for end := time.Now().Add(patience); !ok(); <-tick.C {
		if time.Now().After(end) {
			t.Fatalf("%s: never", what)
		}
	}
}
