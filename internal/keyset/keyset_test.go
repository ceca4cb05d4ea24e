package keyset_test

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"encoding/json"
	"errors"
	"io"
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
	for _, alg := range []string{"none", "HS256", "HS512", "", "RSA-OAEP", "rs256"} {
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
	mu    sync.Mutex
	body  string        // of the key set
	err   error         // instead
	delay time.Duration // before
	calls int
}

func (i *issuer) RoundTrip(r *http.Request) (*http.Response, error) {
	i.mu.Lock()
	i.calls++
	body, err, delay := i.body, i.err, i.delay
	i.mu.Unlock()
	select {
	case <-time.After(delay):
	case <-r.Context().Done():
		return nil, r.Context().Err()
	}
	if err != nil {
		return nil, err
	}
	return &http.Response{
		StatusCode: 200, Header: http.Header{"Content-Type": {"application/json"}},
		Body: io.NopCloser(strings.NewReader(body)),
	}, nil
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

// J3: unknown names cause one fetch in a cool-down, however many there are.
func TestJ3Cooldown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		i := &issuer{body: set(t, jwk(t, edPublic, object{"kid": "old"}))}
		s := newSet(t, keyset.Config{URL: "https://id/", Client: &http.Client{Transport: i}})
		wantLook(t, s, "old", "found")
		i.wantCalls(t, 1)
		time.Sleep(time.Second)
		for range 100 {
			wantLook(t, s, "forged", "too soon")
		}
		i.wantCalls(t, 1)

		// The issuer rotates its keys.
		i.set(set(t, jwk(t, edPublic, object{"kid": "new"})), nil, 0)
		wantLook(t, s, "new", "too soon")
		i.wantCalls(t, 0)
		time.Sleep(time.Minute)
		wantLook(t, s, "new", "found")
		time.Sleep(time.Second)
		wantLook(t, s, "old", "too soon")
		i.wantCalls(t, 1)
		time.Sleep(time.Minute)
		wantLook(t, s, "old", "none") // asked just now
		i.wantCalls(t, 2)
		time.Sleep(time.Minute)
		wantLook(t, s, "", "found") // without a name: no fetch
		i.wantCalls(t, 2)
	})
}

// J3: one fetch at a time, for all who wait; one that gives up doesn't end it
// for the others.
func TestJ3SingleFlight(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		i := &issuer{body: set(t, jwk(t, edPublic, object{"kid": "k"})), delay: 2 * time.Second}
		s := newSet(t, keyset.Config{URL: "https://id/", Client: &http.Client{Transport: i}})
		began := time.Now()
		first, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		var all sync.WaitGroup
		all.Go(func() {
			if _, err := s.Keys(first, "k", "EdDSA"); !errors.Is(err, context.DeadlineExceeded) || time.Since(began) != time.Second {
				t.Errorf("err = %v after %v", err, time.Since(began))
			}
		})
		synctest.Wait()
		for range 100 {
			all.Go(func() { wantLook(t, s, "k", "found") })
		}
		all.Wait()
		if took := time.Since(began); took != 2*time.Second {
			t.Errorf("took %v", took)
		}
		i.wantCalls(t, 1)
	})
}

// J3: old keys are fetched again, and kept if that fails, without everybody
// waiting for an issuer that is down.
func TestJ3StaleIfError(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		i := &issuer{body: set(t, jwk(t, edPublic, object{"kid": "k"}))}
		s := newSet(t, keyset.Config{URL: "https://id/", Client: &http.Client{Transport: i}})
		wantLook(t, s, "k", "found")
		time.Sleep(59 * time.Minute)
		wantLook(t, s, "k", "found")
		i.wantCalls(t, 1)

		i.set("", nil, time.Hour) // hangs
		time.Sleep(2 * time.Minute)
		began := time.Now()
		wantLook(t, s, "k", "found")
		if took := time.Since(began); took != 5*time.Second {
			t.Errorf("took %v, want the timeout, once", took)
		}
		for range 10 {
			time.Sleep(2 * time.Minute)
			began = time.Now()
			wantLook(t, s, "k", "found")
			if took := time.Since(began); took != 0 {
				t.Errorf("took %v while the issuer is down", took)
			}
		}
		i.wantCalls(t, 11)
		time.Sleep(10 * time.Second)
		wantLook(t, s, "unknown", "error") // cannot tell, not "none"

		// It comes back without the key: withdrawn.
		i.set(set(t, jwk(t, edPublic, object{"kid": "k2"})), nil, 0)
		time.Sleep(time.Minute)
		wantLook(t, s, "k2", "found")
		time.Sleep(time.Minute)
		wantLook(t, s, "k", "none")
	})
}

// Without any keys we try again soon, but not at every call.
func TestFirstFetchFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		i := &issuer{err: errors.New("down")}
		s := newSet(t, keyset.Config{URL: "https://id/", Client: &http.Client{Transport: i}})
		for range 10 {
			wantLook(t, s, "k", "error")
			time.Sleep(time.Millisecond)
		}
		i.wantCalls(t, 1)
		i.set(set(t, jwk(t, edPublic, object{"kid": "k"})), nil, 0)
		wantLook(t, s, "k", "error")
		time.Sleep(5 * time.Second)
		wantLook(t, s, "k", "found")
		i.wantCalls(t, 1)
	})
}

// J3: what isn't a key set, and where not to go. The keys that are there stay.
func TestJ3HostileKeyServer(t *testing.T) {
	good := set(t, jwk(t, edPublic, object{"kid": "k"}))
	elsewhere := serve(good)
	defer elsewhere.Close()
	for _, tt := range []struct {
		name    string
		handler http.HandlerFunc
	}{
		{"redirect", func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, elsewhere.URL, http.StatusFound) }},
		{"too large", write("application/json", strings.Repeat(" ", 300<<10)+good)},
		{"HTML", write("text/html", good)},
		{"duplicate keys", write("application/json", strings.Replace(good, "{", `{"keys":[],`, 1))},
		{"keys is an object", write("application/json", `{"keys":{}}`)},
		{"keys is null", write("application/json", `{"keys":null}`)},
		{"Keys", write("application/json", strings.Replace(good, "keys", "Keys", 1))},
		{"array", write("application/json", `[]`)},
		{"500", func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			w.WriteHeader(500)
			write("application/json", good)(w, r)
		}},
		{"hung up", func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }},
	} {
		t.Run(tt.name, func(t *testing.T) {
			srv := httptest.NewServer(tt.handler)
			defer srv.Close()
			s := newSet(t, keyset.Config{URL: srv.URL})
			wantLook(t, s, "k", "error")
		})
	}
}

func write(media, body string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", media)
		_, _ = io.WriteString(w, body)
	}
}

// J3: the keys of the issuer configured and of no other.
func TestJ3Discovery(t *testing.T) {
	keys := set(t, jwk(t, edPublic, object{"kid": "k"}))
	for _, tt := range []struct {
		name   string
		issuer string // what is configured, less the server's URL
		doc    string // SELF stands for the server's URL
		want   string
	}{
		{"good", "", `{"issuer":"SELF","jwks_uri":"SELF/keys"}`, "found"},
		{"good, with a path", "/realms/a", `{"issuer":"SELF/realms/a","jwks_uri":"SELF/keys"}`, "found"},
		{"good, with a slash", "/", `{"issuer":"SELF/","jwks_uri":"SELF/keys"}`, "found"},
		{"another slash", "", `{"issuer":"SELF/","jwks_uri":"SELF/keys"}`, "error"},
		{"a slash less", "/", `{"issuer":"SELF","jwks_uri":"SELF/keys"}`, "error"},
		{"another issuer", "", `{"issuer":"https://evil.example.com","jwks_uri":"SELF/keys"}`, "error"},
		{"no issuer", "", `{"jwks_uri":"SELF/keys"}`, "error"},
		{"Issuer", "", `{"Issuer":"SELF","jwks_uri":"SELF/keys"}`, "error"},
		{"two issuers", "", `{"issuer":"https://evil","issuer":"SELF","jwks_uri":"SELF/keys"}`, "error"},
		{"issuer array", "", `{"issuer":["SELF"],"jwks_uri":"SELF/keys"}`, "error"},
		{"no keys", "", `{"issuer":"SELF"}`, "error"},
		{"keys on plain http", "", `{"issuer":"SELF","jwks_uri":"http://id.example.com/keys"}`, "error"},
		{"keys in a file", "", `{"issuer":"SELF","jwks_uri":"file:///etc/passwd"}`, "error"},
		{"keys relative", "", `{"issuer":"SELF","jwks_uri":"/keys"}`, "error"},
		{"not JSON", "", `<html>`, "error"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			mux := http.NewServeMux()
			srv := httptest.NewServer(mux)
			defer srv.Close()
			path := strings.TrimSuffix(tt.issuer, "/") + "/.well-known/openid-configuration"
			mux.Handle(path, write("application/json", strings.ReplaceAll(tt.doc, "SELF", srv.URL)))
			mux.Handle("/keys", write("application/jwk-set+json", keys))
			wantLook(t, newSet(t, keyset.Config{Issuer: srv.URL + tt.issuer}), "k", tt.want)
		})
	}
}

// J3: an https issuer can't send us to http, not even on this machine.
func TestJ3DiscoveryDowngrade(t *testing.T) {
	plain := serve(set(t, jwk(t, edPublic, object{"kid": "k"})))
	defer plain.Close()
	mux := http.NewServeMux()
	srv := httptest.NewTLSServer(mux)
	defer srv.Close()
	mux.Handle("/", write("application/json", `{"issuer":"`+srv.URL+`","jwks_uri":"`+plain.URL+`"}`))
	wantLook(t, newSet(t, keyset.Config{Issuer: srv.URL, Client: srv.Client()}), "k", "error")
}

func TestNew(t *testing.T) {
	for _, tt := range []struct {
		name   string
		config keyset.Config
		ok     bool
	}{
		{"issuer", keyset.Config{Issuer: "https://id.example.com"}, true},
		{"URL", keyset.Config{URL: "https://id.example.com/keys?tenant=1"}, true},
		{"nothing", keyset.Config{}, false},
		{"plain issuer", keyset.Config{Issuer: "http://id.example.com"}, false},
		{"plain URL beside a good issuer", keyset.Config{Issuer: "https://id.example.com", URL: "http://id.example.com"}, false},
		{"plain, permitted", keyset.Config{URL: "http://id/", InsecurePlainHTTP: true}, true},
		{"issuer with a query", keyset.Config{Issuer: "https://id.example.com?x"}, false},
		{"negative", keyset.Config{URL: "https://id/", Cooldown: -1}, false},
	} {
		if _, err := keyset.New(tt.config); (err == nil) != tt.ok {
			t.Errorf("%s: err = %v", tt.name, err)
		}
	}
}

// FuzzKeySet: whatever a key server sends, what comes out is public keys of the
// type that the algorithm takes.
func FuzzKeySet(f *testing.F) {
	f.Add(set(f, jwk(f, edPublic, nil), jwk(f, ecKey.Public(), nil), jwk(f, rsaKey.Public(), nil)))
	f.Add(set(f, jwk(f, edPrivate, nil), jwk(f, weakKey.Public(), nil), jwk(f, ec384Key, nil)))
	f.Add(`{"keys":[{"kty":"oct","k":"AAAA","alg":"ES256"},{"kty":"RSA","n":"AQ","e":"AQAB"}]}`)
	f.Fuzz(func(t *testing.T, body string) {
		s, err := keyset.New(keyset.Config{URL: "https://id/", Client: &http.Client{Transport: &issuer{body: body}}})
		if err != nil {
			t.Fatal(err)
		}
		for _, alg := range keyset.DefaultAlgorithms {
			keys, _ := s.Keys(t.Context(), "", alg)
			for _, k := range keys {
				ok := false
				switch k := k.(type) {
				case *rsa.PublicKey:
					ok = alg[1] == 'S' && alg[0] != 'E' && k.N.BitLen() >= 2048
				case *ecdsa.PublicKey:
					ok = alg == "ES256" && k.Curve == elliptic.P256()
				case ed25519.PublicKey:
					ok = alg == "EdDSA" && len(k) == ed25519.PublicKeySize
				}
				if !ok {
					t.Errorf("%T for %s", k, alg)
				}
			}
		}
	})
}
