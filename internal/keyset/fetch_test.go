package keyset_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/portcullis-auth/portcullis/internal/keyset"
)

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

// J3: a token without name of a key causes no fetch, and a key without name is
// not one of any name.
func TestJ3Nameless(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		i := &issuer{body: set(t, jwk(t, edPublic, nil), jwk(t, edPublic, object{"kid": "k"}))}
		s := newSet(t, keyset.Config{URL: "https://id/", Client: &http.Client{Transport: i}})
		wantLook(t, s, "", "none") // two would fit
		time.Sleep(10 * time.Minute)
		wantLook(t, s, "", "none")
		i.wantCalls(t, 1)
		wantLook(t, s, "k", "found")
		wantLook(t, s, "other", "none")
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

// RFC 8414: an issuer of access tokens alone may know nothing of OpenID Connect.
func TestDiscoveryOAuth(t *testing.T) {
	mux := http.NewServeMux()
	srv := httptest.NewServer(mux)
	defer srv.Close()
	mux.Handle("/.well-known/oauth-authorization-server/a", write("application/json", `{"issuer":"`+srv.URL+`/a","jwks_uri":"`+srv.URL+`/keys"}`))
	mux.Handle("/keys", write("application/json", set(t, jwk(t, edPublic, object{"kid": "k"}))))
	wantLook(t, newSet(t, keyset.Config{Issuer: srv.URL + "/a"}), "k", "found")
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
		{"negative too", keyset.Config{URL: "https://id/", MaxStale: -1}, false},
	} {
		if _, err := keyset.New(tt.config); (err == nil) != tt.ok {
			t.Errorf("%s: err = %v", tt.name, err)
		}
	}
}

// FuzzKeySet: whatever a key server sends, or a file holds, what comes out is
// public keys of the type that the algorithm takes.
func FuzzKeySet(f *testing.F) {
	f.Add(set(f, jwk(f, edPublic, nil), jwk(f, ecKey.Public(), nil), jwk(f, rsaKey.Public(), nil)))
	f.Add(set(f, jwk(f, edPrivate, nil), jwk(f, weakKey.Public(), nil), jwk(f, ec384Key, nil)))
	f.Add(`{"keys":[{"kty":"oct","k":"AAAA","alg":"ES256"},{"kty":"RSA","n":"AQ","e":"AQAB"}]}`)
	f.Add(string(pkix(f, edPublic)) + string(pkix(f, weakKey.Public())))
	f.Fuzz(func(t *testing.T, body string) {
		remote := newSet(t, keyset.Config{URL: "https://id/", Client: &http.Client{Transport: &issuer{body: body}}})
		local, err := keyset.New(keyset.Config{Local: []byte(body)})
		for _, alg := range keyset.DefaultAlgorithms {
			keys, _ := remote.Keys(t.Context(), "", alg)
			if err == nil {
				more, _ := local.Keys(t.Context(), "", alg)
				keys = append(keys, more...)
			}
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
