package backchannel_test

import (
	"context"
	"crypto"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/portcullis-auth/portcullis"
	"github.com/portcullis-auth/portcullis/revoke/backchannel"
)

// R3, J3: with a real issuer, that is down, comes up, and rotates its keys.
func TestR3Discovery(t *testing.T) {
	var down atomic.Bool
	var fetches atomic.Int64
	mux := http.NewServeMux()
	idp := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fetches.Add(1)
		if down.Load() {
			http.Error(w, "down", http.StatusBadGateway)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		mux.ServeHTTP(w, r)
	}))
	defer idp.Close()
	mux.HandleFunc("/.well-known/openid-configuration", func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprintf(w, `{"issuer":%q,"jwks_uri":%q}`, idp.URL, idp.URL+"/keys")
	})
	mux.HandleFunc("/keys", func(w http.ResponseWriter, _ *http.Request) {
		_, _ = w.Write(marshal(t, jose.JSONWebKeySet{Keys: []jose.JSONWebKey{{Key: edPublic, KeyID: "ed", Use: "sig", Algorithm: "EdDSA"}}}))
	})

	var revoked []portcullis.Revocation
	post := func(r http.Handler, token string) int {
		t.Helper()
		req := httptest.NewRequest(http.MethodPost, "/", strings.NewReader(url.Values{"logout_token": {token}}.Encode()))
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		w := httptest.NewRecorder()
		r.ServeHTTP(w, req)
		return w.Code
	}
	newReceiver := func() http.Handler {
		t.Helper()
		r, err := backchannel.New(backchannel.Config{
			Issuer: idp.URL, Audience: client, Client: idp.Client(),
			Revoke: func(_ context.Context, rev portcullis.Revocation) error { revoked = append(revoked, rev); return nil },
		})
		if err != nil {
			t.Fatal(err)
		}
		return r
	}
	token := good(t, object{"iss": idp.URL})

	down.Store(true)
	if got := post(newReceiver(), token); got != 503 || len(revoked) != 0 {
		t.Errorf("issuer down: status %d, revoked %v", got, revoked)
	}
	down.Store(false)
	r := newReceiver()
	if got := post(r, token); got != 200 || len(revoked) != 1 {
		t.Errorf("status %d, revoked %v", got, revoked)
	}
	// A key that was not there a moment ago may be there now: not a no, since
	// the logout would be lost, and not a fetch either.
	before := fetches.Load()
	for range 10 {
		unknown := sign(t, object{"alg": "EdDSA", "kid": "new"}, marshal(t, claims(object{"iss": idp.URL})), forger)
		if got := post(r, unknown); got != 503 {
			t.Errorf("unknown key: status %d", got)
		}
	}
	if got := fetches.Load() - before; got != 0 {
		t.Errorf("unknown keys made for %d fetches", got)
	}
}

// L1: a body that doesn't come is not waited for longer than 10 s, whatever the
// server's own limits; and the limit doesn't outlive the body.
func TestL1SlowBody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newReceiver(t, backchannel.Config{Keys: slow{}})
		token := "logout_token=" + good(t, object{"exp": gone})
		for _, tt := range []struct {
			sent   string
			pause  time.Duration
			status string
			took   time.Duration
		}{
			{token[:20], 0, "400", 10 * time.Second},
			{token, 9 * time.Second, "200", 18 * time.Second},
		} {
			client, server := net.Pipe()
			l := &oneConn{conn: make(chan net.Conn, 1), closed: make(chan struct{})}
			l.conn <- server
			srv := &http.Server{Handler: r}
			served := make(chan struct{})
			go func() { defer close(served); _ = srv.Serve(l) }()
			began := time.Now()
			go func() {
				_, _ = fmt.Fprintf(client, "POST / HTTP/1.1\r\nHost: a\r\nContent-Type: application/x-www-form-urlencoded\r\nContent-Length: %d\r\nConnection: close\r\n\r\n", len(token))
				time.Sleep(tt.pause)
				_, _ = io.WriteString(client, tt.sent)
			}()
			answer, _ := io.ReadAll(client)
			if !strings.HasPrefix(string(answer), "HTTP/1.1 "+tt.status) || time.Since(began) != tt.took {
				t.Errorf("after %v: %.40q, want %s after %v", time.Since(began), answer, tt.status, tt.took)
			}
			_ = client.Close()
			_ = srv.Close()
			<-served
		}
	})
}

// slow takes 9 s to find a key.
type slow struct{}

func (slow) Keys(ctx context.Context, kid, alg string) ([]crypto.PublicKey, error) {
	time.Sleep(9 * time.Second)
	return fixed{ctx.Err()}.Keys(ctx, kid, alg)
}

type oneConn struct {
	conn   chan net.Conn
	closed chan struct{}
}

func (l *oneConn) Accept() (net.Conn, error) {
	select {
	case c := <-l.conn:
		return c, nil
	case <-l.closed:
		return nil, net.ErrClosed
	}
}
func (l *oneConn) Close() error   { close(l.closed); return nil }
func (l *oneConn) Addr() net.Addr { return &net.TCPAddr{} }
