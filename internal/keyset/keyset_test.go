package keyset_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"encoding/json"
	"errors"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-jose/go-jose/v4"
	"go.uber.org/goleak"

	"github.com/portcullis-auth/portcullis/internal/keyset"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var (
	rsaKey, _           = rsa.GenerateKey(rand.Reader, 2048)
	weakKey, _          = rsa.GenerateKey(rand.Reader, 1024)
	ecKey, _            = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	ec384Key, _         = ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	edPublic, edPrivate = newEd()
)

func newEd() (ed25519.PublicKey, ed25519.PrivateKey) {
	public, private, _ := ed25519.GenerateKey(rand.Reader)
	return public, private
}

// jwk returns a JWK with more members, or fewer: those with a nil value go.
func jwk(t testing.TB, key any, more map[string]any) map[string]any {
	t.Helper()
	raw, err := json.Marshal(jose.JSONWebKey{Key: key})
	if err != nil {
		t.Fatal(err)
	}
	var m map[string]any
	if err := json.Unmarshal(raw, &m); err != nil {
		t.Fatal(err)
	}
	for name, value := range more {
		m[name] = value
	}
	return m
}

func set(t testing.TB, keys ...any) string {
	t.Helper()
	raw, err := json.Marshal(map[string]any{"keys": keys})
	if err != nil {
		t.Fatal(err)
	}
	return string(raw)
}

type object = map[string]any

// J1: a key is for the one algorithm that it states or that its type has; "use"
// and "key_ops" are obeyed.
func TestJ1KeyFitsAlgorithm(t *testing.T) {
	all := []string{"RS256", "PS256", "ES256", "EdDSA", "HS256", "none", "RS512", "ES384", ""}
	for _, tt := range []struct {
		name       string
		algorithms []string
		key        any
		want       string // the algorithm that it is good for; "": none
	}{
		{"RSA", nil, jwk(t, rsaKey.Public(), nil), "RS256"},
		{"RSA, states PS256", nil, jwk(t, rsaKey.Public(), object{"alg": "PS256"}), "PS256"},
		{"RSA, states RS512, not in the list", nil, jwk(t, rsaKey.Public(), object{"alg": "RS512"}), ""},
		{"RSA, states RS512, in the list", []string{"RS512"}, jwk(t, rsaKey.Public(), object{"alg": "RS512"}), "RS512"},
		{"RSA, another first in the list", []string{"PS256", "RS256"}, jwk(t, rsaKey.Public(), nil), "PS256"},
		{"RSA, none in the list", []string{"ES256"}, jwk(t, rsaKey.Public(), nil), ""},
		{"RSA, states ES256", nil, jwk(t, rsaKey.Public(), object{"alg": "ES256"}), ""},
		{"RSA, states HS256", nil, jwk(t, rsaKey.Public(), object{"alg": "HS256"}), ""},
		{"RSA, states none", nil, jwk(t, rsaKey.Public(), object{"alg": "none"}), ""},
		{"RSA, states an encryption algorithm", nil, jwk(t, rsaKey.Public(), object{"alg": "RSA-OAEP"}), ""},
		{"RSA, weak", nil, jwk(t, weakKey.Public(), nil), ""},
		{"P-256", nil, jwk(t, ecKey.Public(), nil), "ES256"},
		{"P-384, not in the list", nil, jwk(t, ec384Key.Public(), nil), ""},
		{"P-384, in the list", []string{"ES256", "ES384"}, jwk(t, ec384Key.Public(), nil), "ES384"},
		{"P-384, states ES256", []string{"ES256", "ES384"}, jwk(t, ec384Key.Public(), object{"alg": "ES256"}), ""},
		{"Ed25519", nil, jwk(t, edPublic, nil), "EdDSA"},
		{"Ed25519, states its name by RFC 9864", nil, jwk(t, edPublic, object{"alg": "Ed25519"}), "EdDSA"},
		{"P-256, states Ed25519", nil, jwk(t, ecKey.Public(), object{"alg": "Ed25519"}), ""},
		{"use sig", nil, jwk(t, edPublic, object{"use": "sig"}), "EdDSA"},
		{"use enc", nil, jwk(t, edPublic, object{"use": "enc"}), ""},
		{"use SIG", nil, jwk(t, edPublic, object{"use": "SIG"}), ""},
		{"use null", nil, jwk(t, edPublic, object{"use": nil}), ""},
		{"Use enc", nil, jwk(t, edPublic, object{"Use": "enc"}), "EdDSA"},
		{"ops verify", nil, jwk(t, edPublic, object{"key_ops": []string{"verify"}}), "EdDSA"},
		{"ops encrypt", nil, jwk(t, edPublic, object{"key_ops": []string{"encrypt"}}), ""},
		{"ops empty", nil, jwk(t, edPublic, object{"key_ops": []string{}}), ""},
		{"ops of the wrong type", nil, jwk(t, edPublic, object{"key_ops": "verify"}), ""},
		{"ops verify, use enc", nil, jwk(t, edPublic, object{"key_ops": []string{"verify"}, "use": "enc"}), ""},
		{"secret", nil, object{"kty": "oct", "k": "AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr_T-1qS0gZH75aKtMN3Yj0iPS4hcgUuTwjAzZr1Z9CAow", "alg": "HS256"}, ""},
		{"private", nil, jwk(t, edPrivate, nil), ""},
		{"unknown type", nil, object{"kty": "XYZ"}, ""},
		{"no key", nil, 17, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if m, ok := tt.key.(map[string]any); ok {
				m["kid"] = "k"
			}
			srv := serve(set(t, tt.key))
			defer srv.Close()
			s := newSet(t, keyset.Config{URL: srv.URL, Algorithms: tt.algorithms})
			for _, kid := range []string{"k", ""} {
				for _, alg := range all {
					keys, err := s.Keys(t.Context(), kid, alg)
					if err != nil && !errors.Is(err, keyset.ErrTooSoon) {
						t.Fatal(err)
					}
					if got := len(keys) == 1; got != (alg == tt.want && alg != "") {
						t.Errorf("kid %q, alg %q: %d keys", kid, alg, len(keys))
					}
				}
			}
		})
	}
	for _, alg := range []string{"none", "HS256", "HS512", "", "RSA-OAEP", "rs256", "Ed25519"} {
		if _, err := keyset.New(keyset.Config{URL: "https://a/", Algorithms: []string{"ES256", alg}}); err == nil {
			t.Errorf("algorithm %q is accepted", alg)
		}
	}
}

func serve(body string) *httptest.Server {
	return httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_, _ = io.WriteString(w, body)
	}))
}

func newSet(t *testing.T, c keyset.Config) *keyset.Set {
	t.Helper()
	s, err := keyset.New(c)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestKeysByName(t *testing.T) {
	srv := serve(set(t, jwk(t, edPublic, object{"kid": "a"}), jwk(t, ecKey.Public(), object{"kid": "b"}),
		jwk(t, rsaKey.Public(), object{"kid": "c"}), jwk(t, rsaKey.Public(), object{"kid": "d"}), "junk"))
	defer srv.Close()
	s := newSet(t, keyset.Config{URL: srv.URL})
	for _, tt := range []struct {
		kid, alg string
		want     crypto.PublicKey
	}{
		{"a", "EdDSA", edPublic},
		{"b", "ES256", ecKey.Public()},
		{"A", "EdDSA", nil},
		{"b", "EdDSA", nil},
		{"", "EdDSA", edPublic},
		{"", "RS256", nil}, // two would fit
	} {
		keys, err := s.Keys(t.Context(), tt.kid, tt.alg)
		if tt.want == nil {
			if len(keys) != 0 {
				t.Errorf("%q, %s: %d keys, want none", tt.kid, tt.alg, len(keys))
			}
			continue
		}
		if err != nil || len(keys) != 1 || !tt.want.(interface{ Equal(crypto.PublicKey) bool }).Equal(keys[0]) {
			t.Errorf("%q, %s: %v, %v", tt.kid, tt.alg, keys, err)
		}
	}
}

// An issuer that answers without a network, counts, and can be told what to do.
type issuer struct {
	mu     sync.Mutex
	body   string        // of the key set
	header http.Header   // beside the media type
	err    error         // instead
	delay  time.Duration // before
	calls  int
}

func (i *issuer) RoundTrip(r *http.Request) (*http.Response, error) {
	i.mu.Lock()
	i.calls++
	body, header, err, delay := i.body, http.Header{}, i.err, i.delay
	maps.Copy(header, i.header)
	i.mu.Unlock()
	select {
	case <-time.After(delay):
	case <-r.Context().Done():
		return nil, r.Context().Err()
	}
	if err != nil {
		return nil, err
	}
	header.Set("Content-Type", "application/json")
	return &http.Response{StatusCode: 200, Header: header, Body: io.NopCloser(strings.NewReader(body))}, nil
}

func (i *issuer) set(body string, err error, delay time.Duration) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.body, i.err, i.delay, i.calls = body, err, delay, 0
}

func (i *issuer) wantCalls(t *testing.T, want int) {
	t.Helper()
	synctest.Wait() // for fetches that nobody waits for
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.calls != want {
		t.Errorf("%d fetches, want %d", i.calls, want)
	}
}

// look asks for a key by its name and says in a word what came of it.
func look(t *testing.T, s *keyset.Set, kid string) string {
	t.Helper()
	keys, err := s.Keys(t.Context(), kid, "EdDSA")
	switch {
	case err == nil && len(keys) == 1:
		return "found"
	case err == nil && len(keys) == 0:
		return "none"
	case errors.Is(err, keyset.ErrTooSoon):
		return "too soon"
	}
	return "error"
}

func wantLook(t *testing.T, s *keyset.Set, kid, want string) {
	t.Helper()
	if got := look(t, s, kid); got != want {
		t.Errorf("key %q: %s, want %s", kid, got, want)
	}
}
