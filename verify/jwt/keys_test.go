package jwt_test

import (
	"bytes"
	"context"
	"crypto"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/portcullis-auth/portcullis"
	"github.com/portcullis-auth/portcullis/verify/jwt"
)

// A keyServer is an issuer that answers without a network, counts, and can fail.
type keyServer struct {
	calls atomic.Int64
	mu    sync.Mutex
	body  []byte
	err   error
	delay time.Duration
}

func (k *keyServer) RoundTrip(r *http.Request) (*http.Response, error) {
	k.calls.Add(1)
	k.mu.Lock()
	body, err, delay := k.body, k.err, k.delay
	k.mu.Unlock()
	select {
	case <-time.After(delay):
	case <-r.Context().Done():
		return nil, r.Context().Err()
	}
	if err != nil {
		return nil, err
	}
	return &http.Response{
		StatusCode: 200, Header: http.Header{"Content-Type": {"application/json"}}, Body: io.NopCloser(bytes.NewReader(body)),
	}, nil
}

func (k *keyServer) fail(err error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.err = err
}

func (k *keyServer) verifier(t *testing.T) *jwt.Verifier {
	t.Helper()
	return newVerifier(t, jwt.Config{Issuer: issuer, JWKSURL: issuer + "/keys", Client: &http.Client{Transport: k}})
}

// wantClass verifies the token and expects that error.
func wantClass(t *testing.T, v *jwt.Verifier, token string, want error) {
	t.Helper()
	id, err := v.Verify(t.Context(), token)
	checkError(t, token, id, err)
	if !errors.Is(err, want) {
		t.Errorf("err = %v, want %v", err, want)
	}
}

// forgery is a token whose signature is nobody's, which costs nothing to make.
func forgery(kid string) string {
	return encode(header(object{"kid": kid})) + "." + encode(claims(nil)) + "." + strings.Repeat("A", 86)
}

// J3: 1,000 forged tokens with as many names of keys are refused for good, at
// the price of one fetch in a cool-down.
func TestJ3ForgedKeyNames(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := &keyServer{body: public(), delay: time.Second}
		v := k.verifier(t)
		storm := func() {
			t.Helper()
			var all sync.WaitGroup
			for i := range 1000 {
				token := forgery(fmt.Sprint("k", i))
				all.Go(func() { wantClass(t, v, token, portcullis.ErrInvalid) })
			}
			all.Wait()
		}
		for want := range int64(2) {
			storm()
			if got := k.calls.Load(); got != want+1 {
				t.Errorf("%d fetches, want %d", got, want+1)
			}
			time.Sleep(30 * time.Second)
			for i := range 100 {
				wantClass(t, v, forgery(fmt.Sprint("again", i)), portcullis.ErrInvalid)
			}
			if got := k.calls.Load(); got != want+1 {
				t.Errorf("%d fetches within the cool-down, want %d", got, want+1)
			}
			check(t, v, good(nil), "")
			time.Sleep(31 * time.Second)
		}
	})
}

// J3: while the keys can't be had, we cannot tell; about known keys we can.
func TestJ3IssuerDown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := &keyServer{body: public(), err: errors.New("down")}
		v := k.verifier(t)
		wantClass(t, v, good(nil), portcullis.ErrUnavailable)
		wantClass(t, v, forgery("x"), portcullis.ErrUnavailable)
		wantClass(t, v, good(object{"exp": 1}), portcullis.ErrExpired) // needs no key
		wantClass(t, v, good(object{"aud": "x"}), portcullis.ErrInvalid)
		if got := k.calls.Load(); got != 1 {
			t.Errorf("%d fetches, want 1", got)
		}
		k.fail(nil)
		time.Sleep(5 * time.Second)
		check(t, v, good(nil), "")

		k.fail(errors.New("down"))
		time.Sleep(time.Minute)
		wantClass(t, v, forgery("x"), portcullis.ErrUnavailable)
		wantClass(t, v, forgery("EdDSA"), portcullis.ErrInvalid)
		check(t, v, good(nil), "")
		time.Sleep(23 * time.Hour)
		check(t, v, good(nil), "")
		time.Sleep(3 * time.Hour) // more than MaxAge and MaxStale
		wantClass(t, v, good(nil), portcullis.ErrUnavailable)
	})
}

// One who gives up waiting for the keys cannot tell.
func TestCallerGivesUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		v := (&keyServer{body: public(), delay: time.Hour}).verifier(t)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		began := time.Now()
		_, err := v.Verify(ctx, good(nil))
		if !errors.Is(err, portcullis.ErrUnavailable) || !errors.Is(err, context.DeadlineExceeded) || time.Since(began) != time.Second {
			t.Errorf("err = %v after %v", err, time.Since(began))
		}
		time.Sleep(5 * time.Second) // the fetch goes on, for whoever comes next, until its timeout
	})
}

// What the Config says about keys is what happens.
func TestKeyConfig(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := &keyServer{body: public()}
		v := newVerifier(t, jwt.Config{
			Issuer: issuer, JWKSURL: issuer + "/keys", Client: &http.Client{Transport: k},
			Timeout: 3 * time.Second, Cooldown: 10 * time.Second, MaxAge: 5 * time.Minute, MaxStale: 20 * time.Minute,
		})
		wantCalls := func(want int64) {
			t.Helper()
			synctest.Wait()
			if got := k.calls.Swap(0); got != want {
				t.Errorf("%d fetches, want %d", got, want)
			}
		}
		check(t, v, good(nil), "")
		time.Sleep(9 * time.Second)
		check(t, v, forgery("x"), "no such key")
		wantCalls(1)
		time.Sleep(time.Second)
		check(t, v, forgery("x"), "no such key")
		wantCalls(1)
		time.Sleep(5*time.Minute + time.Second)
		k.fail(errors.New("down"))
		check(t, v, good(nil), "")
		wantCalls(1)
		time.Sleep(18 * time.Minute)
		check(t, v, good(object{"exp": time.Now().Unix() + 9999}), "")
		time.Sleep(2 * time.Minute)
		began := time.Now()
		k.mu.Lock()
		k.delay = time.Hour
		k.mu.Unlock()
		wantClass(t, v, good(object{"exp": time.Now().Unix() + 9999}), portcullis.ErrUnavailable)
		if took := time.Since(began); took != 3*time.Second {
			t.Errorf("took %v", took)
		}
	})
}

// What no signature can save makes for no fetch.
func TestJ3CheapRefusalsFetchNothing(t *testing.T) {
	k := &keyServer{body: public()}
	v := k.verifier(t)
	for _, tt := range append(tokens(t, "https://elsewhere.example.com/"), assertions()...) {
		if tt.want != "" && !strings.Contains(tt.want, "signature") && !strings.Contains(tt.want, "no such key") && !strings.Contains(tt.want, `"alg"`) {
			check(t, v, tt.token, tt.want)
		}
	}
	if got := k.calls.Load(); got != 0 {
		t.Errorf("%d fetches", got)
	}
}

// A site counts its visitors.
type site struct {
	*httptest.Server
	visits atomic.Int64
}

func counter(t testing.TB) *site {
	s := &site{}
	s.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		s.visits.Add(1)
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write(marshal(object{"keys": []object{jwk(forger.Public(), object{"kid": "forged"})}}))
	}))
	t.Cleanup(s.Close)
	return s
}

func (s *site) want(t *testing.T, want int64) {
	t.Helper()
	if got := s.visits.Load(); got != want {
		t.Errorf("%d visits, want %d", got, want)
	}
}

// J3: two issuers side by side, found by discovery. The keys of one verify
// nothing of the other, whatever a token calls itself or its key.
func TestJ3KeysOfOneIssuer(t *testing.T) {
	type party struct {
		key    crypto.Signer
		server *httptest.Server
		*jwt.Verifier
	}
	start := func(key crypto.Signer) *party {
		mux := http.NewServeMux()
		srv := httptest.NewServer(mux)
		t.Cleanup(srv.Close)
		answer := func(v any) http.HandlerFunc {
			return func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Content-Type", "application/json")
				_, _ = w.Write(marshal(v))
			}
		}
		mux.HandleFunc("/.well-known/openid-configuration", answer(object{"issuer": srv.URL, "jwks_uri": srv.URL + "/keys"}))
		mux.HandleFunc("/keys", answer(object{"keys": []object{jwk(key.Public(), object{"kid": "k"})}}))
		return &party{key, srv, newVerifier(t, jwt.Config{Issuer: srv.URL})}
	}
	a, b := start(edPrivate), start(forger)
	for _, tt := range []struct {
		verifier, iss, signer *party
		want                  string
	}{
		{a, a, a, ""},
		{b, b, b, ""},
		{a, a, b, "signature"},
		{b, b, a, "signature"},
		{a, b, b, "iss"},
		{a, b, a, "iss"},
		{b, a, a, "iss"},
		{b, a, b, "iss"},
	} {
		for _, kid := range []any{"k", gone} {
			token := sign(header(object{"kid": kid}), claims(object{"iss": tt.iss.server.URL}), tt.signer.key)
			check(t, tt.verifier.Verifier, token, tt.want)
		}
	}
}

// Local keys in PEM have no name and fit any.
func TestLocalPEM(t *testing.T) {
	rotating := append(pemOf(t, forger.Public()), pemOf(t, edPublic)...)
	v := newVerifier(t, jwt.Config{Issuer: issuer, Keys: append(rotating, pemOf(t, rsaKey.Public())...)})
	for _, kid := range []any{gone, "whatever"} {
		check(t, v, sign(header(object{"kid": kid}), claims(nil), edPrivate), "")
		check(t, v, sign(header(object{"kid": kid}), claims(nil), forger), "")
		check(t, v, sign(header(object{"kid": kid, "alg": "RS256"}), claims(nil), rsaKey), "")
		check(t, v, sign(header(object{"kid": kid, "alg": "PS256"}), claims(nil), rsaKey), "no such key")
		check(t, v, sign(header(object{"kid": kid, "alg": "ES256"}), claims(nil), p256), "no such key")
		check(t, v, sign(header(object{"kid": kid}), claims(nil), []byte(edPublic)), "signature")
	}
}
