package introspect_test

import (
	"context"
	"encoding/base64"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/portcullis-auth/portcullis"
	"github.com/portcullis-auth/portcullis/verify/introspect"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	token    = "t0ken.S3CR3T-+/=~"
	clientID = "gate:way & co"
	secret   = "cl13nt S3CR3T:%+"
	bearer   = "b34rer.S3CR3T"
)

var everyAuth = []introspect.AuthMethod{
	introspect.AuthBasic, introspect.AuthPost, introspect.AuthPrivateKeyJWT, introspect.AuthBearer,
}

// holdsSecret reports whether s shows the token or our credentials, in a
// spelling that they travel in. Every JWT begins with eyJ.
func holdsSecret(s string) bool {
	basic := base64.StdEncoding.EncodeToString([]byte(url.QueryEscape(clientID) + ":" + url.QueryEscape(secret)))
	for _, bad := range []string{token, url.QueryEscape(token), secret, url.QueryEscape(secret), basic, "S3CR3T", "eyJ"} {
		if strings.Contains(s, bad) {
			return true
		}
	}
	return false
}

// newVerifier adds the credentials for c.Auth.
func newVerifier(t testing.TB, c introspect.Config) *introspect.Verifier {
	t.Helper()
	c.ClientID = clientID
	switch c.Auth {
	case introspect.AuthPrivateKeyJWT:
		c.ClientKey = &introspect.ClientKey{Signer: edPrivate, KeyID: "ed"}
	case introspect.AuthBearer:
		c.BearerToken = bearer
	default:
		c.ClientSecret = secret
	}
	v, err := introspect.New(c)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// verify lets the handler answer for the token system.
func verify(t *testing.T, c introspect.Config, handler http.HandlerFunc) (*portcullis.Identity, error) {
	t.Helper()
	srv := httptest.NewServer(handler)
	defer srv.Close()
	c.URL = srv.URL + "/introspect"
	return check(t, newVerifier(t, c))
}

// check verifies the token, and checks what holds for every outcome.
func check(t testing.TB, v *introspect.Verifier) (*portcullis.Identity, error) {
	t.Helper()
	id, err := v.Verify(t.Context(), token)
	if err != nil && holdsSecret(err.Error()) {
		t.Errorf("the error holds a secret: %v", err)
	}
	if (id == nil) == (err == nil) {
		t.Errorf("identity %v and error %v", id, err)
	}
	return id, err
}

func reply(status int, media, body string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", media)
		w.WriteHeader(status)
		_, _ = io.WriteString(w, body)
	}
}

func answer(body string) http.HandlerFunc { return reply(200, "application/json", body) }

// checkError demands that err is of the kind wanted and not of the other.
func checkError(t testing.TB, err, want error) {
	t.Helper()
	if !errors.Is(err, want) && (want != nil || err != nil) {
		t.Errorf("err = %v, want %v", err, want)
	}
	if errors.Is(err, portcullis.ErrInvalid) && errors.Is(err, portcullis.ErrUnavailable) {
		t.Errorf("err = %v is both a no and an outage", err)
	}
}

// I2: the time is bounded, by us and by the caller.
func TestI2SlowServer(t *testing.T) {
	hang := func(_ http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		<-r.Context().Done()
	}
	_, err := verify(t, introspect.Config{Timeout: 10 * time.Millisecond}, hang)
	checkError(t, err, portcullis.ErrUnavailable)
	if err == nil || !strings.Contains(err.Error(), "10ms") {
		t.Errorf("err = %v, want one that names the timeout", err)
	}

	asked := make(chan struct{})
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		close(asked)
		hang(w, r)
	}))
	defer srv.Close()
	ctx, cancel := context.WithCancel(t.Context())
	go func() { <-asked; cancel() }()
	_, err = newVerifier(t, introspect.Config{URL: srv.URL, Timeout: time.Hour}).Verify(ctx, token)
	checkError(t, err, portcullis.ErrUnavailable)
	if !errors.Is(err, context.Canceled) {
		t.Errorf("err = %v, want context.Canceled in it", err)
	}
}

// J5: what can't be a token isn't asked about.
func TestJ5NoCallForWhatIsNoToken(t *testing.T) {
	srv := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { t.Error("asked") }))
	defer srv.Close()
	v := newVerifier(t, introspect.Config{URL: srv.URL})
	for _, bad := range []string{"", "a b", "a\n", "é", "\x00", strings.Repeat("x", 16<<10+1)} {
		_, err := v.Verify(t.Context(), bad)
		checkError(t, err, portcullis.ErrInvalid)
	}
}

// A site answers by URL, without a network. What it doesn't have is 404. Its
// handlers see the request's context end.
type site struct {
	mu    sync.Mutex
	pages map[string]http.HandlerFunc
	asked []string // method and URL of every request
}

func (s *site) set(url string, page http.HandlerFunc) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.pages == nil {
		s.pages = make(map[string]http.HandlerFunc)
	}
	s.pages[url] = page
}

// take returns what was asked for since the last call.
func (s *site) take() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	asked := s.asked
	s.asked = nil
	return asked
}

func (s *site) client() *http.Client { return &http.Client{Transport: s} }

func (s *site) RoundTrip(r *http.Request) (*http.Response, error) {
	s.mu.Lock()
	page, ok := s.pages[r.URL.String()]
	s.asked = append(s.asked, r.Method+" "+r.URL.String())
	s.mu.Unlock()
	if !ok {
		page = http.NotFound
	}
	w := httptest.NewRecorder()
	page(w, r)
	if err := r.Context().Err(); err != nil {
		return nil, err
	}
	return w.Result(), nil
}
