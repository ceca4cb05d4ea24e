package backchannel_test

import (
	"bytes"
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/hmac"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"log/slog"
	"maps"
	"math/big"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/portcullis-auth/portcullis"
	"github.com/portcullis-auth/portcullis/revoke/backchannel"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	issuer = "https://id.example.com"
	client = "app"
	event  = "http://schemas.openid.net/event/backchannel-logout"
)

var (
	edPublic, edPrivate, _ = ed25519.GenerateKey(rand.Reader)
	_, forger, _           = ed25519.GenerateKey(rand.Reader)
	rsaKey, _              = rsa.GenerateKey(rand.Reader, 2048)
	ecKey, _               = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
)

// fixed are keys that need no fetching. A kid names one; the algorithm must be
// the key's.
type fixed struct{ err error }

func (f fixed) Keys(_ context.Context, kid, alg string) ([]crypto.PublicKey, error) {
	if f.err != nil {
		return nil, f.err
	}
	switch kid + " " + alg {
	case "ed EdDSA", " EdDSA":
		return []crypto.PublicKey{edPublic}, nil
	case "rsa RS256", "rsa PS256":
		return []crypto.PublicKey{rsaKey.Public()}, nil
	case "ec ES256":
		return []crypto.PublicKey{ecKey.Public()}, nil
	case "two EdDSA":
		return []crypto.PublicKey{forger.Public(), edPublic}, nil
	}
	return nil, nil
}

type object = map[string]any

// claims are good ones, with changes; a value of gone removes the claim.
func claims(change object) object {
	now := time.Now().Unix()
	c := object{
		"iss": issuer, "aud": client, "iat": now, "exp": now + 120, "jti": rand.Text(),
		"events": object{event: object{}}, "sid": "s1", "sub": "u1",
	}
	maps.Copy(c, change)
	maps.DeleteFunc(c, func(_ string, v any) bool { return v == gone })
	return c
}

var gone = new(int)

// sign signs any bytes under any header, so that nothing keeps a test from
// making a bad token. The algorithm is that of the header.
func sign(t testing.TB, header object, payload []byte, key any) string {
	t.Helper()
	input := encode(marshal(t, header)) + "." + encode(payload)
	digest := sha256.Sum256([]byte(input))
	var signature []byte
	var err error
	switch header["alg"] {
	case "EdDSA":
		signature = ed25519.Sign(key.(ed25519.PrivateKey), []byte(input))
	case "RS256":
		signature, err = rsa.SignPKCS1v15(rand.Reader, rsaKey, crypto.SHA256, digest[:])
	case "PS256":
		signature, err = rsa.SignPSS(rand.Reader, rsaKey, crypto.SHA256, digest[:], &rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthEqualsHash})
	case "ES256":
		var r, s *big.Int
		r, s, err = ecdsa.Sign(rand.Reader, ecKey, digest[:])
		signature = append(r.FillBytes(make([]byte, 32)), s.FillBytes(make([]byte, 32))...)
	case "HS256":
		mac := hmac.New(sha256.New, key.([]byte))
		mac.Write([]byte(input))
		signature = mac.Sum(nil)
	}
	if err != nil {
		t.Fatal(err)
	}
	return input + "." + encode(signature)
}

// good signs claims with changes as the issuer would.
func good(t testing.TB, change object) string {
	t.Helper()
	return sign(t, object{"alg": "EdDSA", "kid": "ed", "typ": "logout+jwt"}, marshal(t, claims(change)), edPrivate)
}

func encode(b []byte) string { return base64.RawURLEncoding.EncodeToString(b) }

func marshal(t testing.TB, v any) []byte {
	t.Helper()
	raw, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

// A receiver under test, with all that it revoked and logged.
type receiver struct {
	*backchannel.Receiver
	revoked []portcullis.Revocation
	err     error // what Revoke returns
	log     bytes.Buffer
}

func newReceiver(t testing.TB, c backchannel.Config) *receiver {
	t.Helper()
	r := &receiver{}
	c.Issuer, c.Audience = issuer, client
	if c.Keys == nil {
		c.Keys = fixed{}
	}
	if c.Revoke == nil {
		c.Revoke = func(_ context.Context, rev portcullis.Revocation) error {
			r.revoked = append(r.revoked, rev)
			return r.err
		}
	}
	c.Log = slog.New(slog.NewTextHandler(&r.log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	var err error
	if r.Receiver, err = backchannel.New(c); err != nil {
		t.Fatal(err)
	}
	return r
}

// post sends the logout token and checks what holds for every answer.
func (r *receiver) post(t testing.TB, token string) *httptest.ResponseRecorder {
	t.Helper()
	req := httptest.NewRequest(http.MethodPost, "/backchannel-logout", strings.NewReader(url.Values{"logout_token": {token}}.Encode()))
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	return r.serve(t, req, token)
}

func (r *receiver) serve(t testing.TB, req *http.Request, token string) *httptest.ResponseRecorder {
	t.Helper()
	w := httptest.NewRecorder()
	r.ServeHTTP(w, req)
	if got := w.Header().Get("Cache-Control"); got != "no-store" {
		t.Errorf("Cache-Control %q", got)
	}
	if w.Code == http.StatusOK {
		if w.Body.Len() != 0 {
			t.Errorf("200 with body %q", w.Body)
		}
	} else {
		var body struct {
			Error       string `json:"error"`
			Description string `json:"error_description"`
		}
		if err := json.Unmarshal(w.Body.Bytes(), &body); err != nil || body.Error == "" || body.Description == "" {
			t.Errorf("body %q: %v", w.Body, err)
		}
		if w.Code == http.StatusBadRequest && body.Error != "invalid_request" {
			t.Errorf("400 with error %q", body.Error)
		}
	}
	if (w.Code == http.StatusServiceUnavailable) != (w.Header().Get("Retry-After") != "") {
		t.Errorf("status %d with Retry-After %q", w.Code, w.Header().Get("Retry-After"))
	}
	// Neither the token nor its parts may be told.
	for _, part := range append(strings.Split(token, "."), token) {
		if len(part) > 8 && (strings.Contains(r.log.String(), part) || strings.Contains(w.Body.String(), part)) {
			t.Errorf("the token shows in the log or the answer:\n%s%s", &r.log, w.Body)
		}
	}
	return w
}

func wantStatus(t testing.TB, w *httptest.ResponseRecorder, want int) {
	t.Helper()
	if w.Code != want {
		t.Errorf("status %d, want %d: %s", w.Code, want, w.Body)
	}
}

func TestNew(t *testing.T) {
	revoke := func(context.Context, portcullis.Revocation) error { return nil }
	ok := backchannel.Config{Issuer: issuer, Audience: client, Revoke: revoke}
	for _, tt := range []struct {
		name   string
		change func(*backchannel.Config)
		want   string
	}{
		{"discovery", func(*backchannel.Config) {}, ""},
		{"JWKS URL", func(c *backchannel.Config) { c.JWKSURL = "https://id/keys" }, ""},
		{"name that is no URL, with keys", func(c *backchannel.Config) { c.Issuer, c.Keys = "home", fixed{} }, ""},
		{"name that is no URL", func(c *backchannel.Config) { c.Issuer = "home" }, "URL"},
		{"plain issuer", func(c *backchannel.Config) { c.Issuer = "http://id.example.com" }, "InsecurePlainHTTP"},
		{"plain issuer, permitted", func(c *backchannel.Config) { c.Issuer, c.InsecurePlainHTTP = "http://id.example.com", true }, ""},
		{"no issuer", func(c *backchannel.Config) { c.Issuer = "" }, "Issuer"},
		{"no audience", func(c *backchannel.Config) { c.Audience = "" }, "Audience"},
		{"no Revoke", func(c *backchannel.Config) { c.Revoke = nil }, "Revoke"},
		{"none", func(c *backchannel.Config) { c.Algorithms = []string{"none"} }, "algorithm"},
		{"HMAC", func(c *backchannel.Config) { c.Algorithms, c.Keys = []string{"RS256", "HS256"}, fixed{} }, "algorithm"},
		{"negative", func(c *backchannel.Config) { c.MaxAge = -1 }, "MaxAge"},
	} {
		c := ok
		tt.change(&c)
		_, err := backchannel.New(c)
		if (err == nil) != (tt.want == "") || err != nil && !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: err = %v, want %q", tt.name, err, tt.want)
		}
	}
}
