package issuer_test

import (
	"bytes"
	"crypto/rand"
	"crypto/rsa"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"go.uber.org/goleak"

	"github.com/portcullis-auth/portcullis/dev/issuer"
)

const (
	secret = "gateway-secret: 100% odd&chars"
	// The application itself is not running; browsers stop when they are sent there.
	appURL = "http://127.0.0.1:1"
)

// key spares each test a key of its own.
var key = sync.OnceValue(func() *rsa.PrivateKey {
	k, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		panic(err)
	}
	return k
})

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// clock is a time.Now that a test can move.
type clock struct {
	mu  sync.Mutex
	now time.Time
}

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *clock) advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

// fixture is a running issuer and a receiver of its logout tokens.
type fixture struct {
	*issuer.Issuer
	t      *testing.T
	url    string
	clock  *clock
	gotten *receiver
}

// start runs an issuer; edit may change its configuration.
func start(t *testing.T, edit func(*issuer.Config)) *fixture {
	t.Helper()
	rec := newReceiver(t)
	ln, err := issuer.Listen("127.0.0.1:0", false)
	if err != nil {
		t.Fatal(err)
	}
	cfg := issuer.Config{
		URL:                   "http://" + ln.Addr().String(),
		AppURL:                appURL,
		IntrospectionSecret:   secret,
		BackchannelLogoutURIs: []string{rec.url},
		SigningKey:            key(),
		Log:                   slog.New(slog.DiscardHandler),
	}
	if edit != nil {
		edit(&cfg)
	}
	// Whole seconds, so that claims and instants compare.
	c := &clock{now: time.Now().Truncate(time.Second)}
	iss, err := issuer.NewAt(cfg, c.Now)
	if err != nil {
		ln.Close()
		t.Fatal(err)
	}
	srv := &httptest.Server{Listener: ln, Config: &http.Server{Handler: iss}}
	srv.Start()
	t.Cleanup(func() { srv.Close(); iss.Close() })
	return &fixture{iss, t, cfg.URL, c, rec}
}

// receiver plays the gateway's back-channel logout endpoint.
type receiver struct {
	url string

	mu      sync.Mutex
	answers []int // what to answer next; then 200
	tokens  []string
	before  func() // called before each answer
}

func newReceiver(t *testing.T) *receiver {
	rec := &receiver{}
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodPost || r.Header.Get("Content-Type") != "application/x-www-form-urlencoded" {
			t.Errorf("logout token came by %s as %q", r.Method, r.Header.Get("Content-Type"))
		}
		rec.mu.Lock()
		defer rec.mu.Unlock()
		if rec.before != nil {
			rec.before()
		}
		rec.tokens = append(rec.tokens, r.PostFormValue("logout_token"))
		status := http.StatusOK
		if len(rec.answers) > 0 {
			status, rec.answers = rec.answers[0], rec.answers[1:]
		}
		w.WriteHeader(status)
	}))
	t.Cleanup(srv.Close)
	rec.url = srv.URL + "/logout"
	return rec
}

// take returns the logout tokens received since the last call.
func (r *receiver) take() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	got := r.tokens
	r.tokens = nil
	return got
}

// browser has cookies, follows redirects as far as the application, and remembers where it
// ended.
type browser struct {
	*http.Client
	f *fixture
}

func (f *fixture) browser() *browser {
	jar, err := cookiejar.New(nil)
	if err != nil {
		f.t.Fatal(err)
	}
	tr := &http.Transport{}
	f.t.Cleanup(tr.CloseIdleConnections)
	return &browser{&http.Client{
		Jar:       jar,
		Transport: tr,
		CheckRedirect: func(req *http.Request, _ []*http.Request) error {
			if "http://"+req.URL.Host != f.url {
				return http.ErrUseLastResponse
			}
			return nil
		},
	}, f}
}

// cookie returns the value of a cookie that the browser would send to the application.
func (b *browser) cookie(name string) string {
	u, _ := url.Parse(appURL + "/")
	for _, c := range b.Jar.Cookies(u) {
		if c.Name == name {
			return c.Value
		}
	}
	return ""
}

// login goes through the whole login by way of /app/login and returns the access token.
func (b *browser) login(user, kind string) string {
	b.f.t.Helper()
	resp, page := b.get("/app/login?kind=" + kind + "&return_to=" + url.QueryEscape(appURL+"/chat?room=1"))
	if resp.StatusCode != http.StatusOK || !strings.Contains(page, "This is a demo login") {
		b.f.t.Fatalf("login page: %s\n%s", resp.Status, page)
	}
	id := resp.Request.URL.Query().Get("id")
	resp, _ = b.post("/login", url.Values{"id": {id}, "user": {user}}, nil)
	if got, want := resp.Header.Get("Location"), appURL+"/chat?room=1"; got != want {
		b.f.t.Fatalf("after the login: %s, Location %q, want %q", resp.Status, got, want)
	}
	token := b.cookie("session")
	if token == "" {
		b.f.t.Fatal("no session cookie after the login")
	}
	return token
}

func (b *browser) get(path string) (*http.Response, string) {
	b.f.t.Helper()
	req, err := http.NewRequest("GET", b.f.url+path, nil)
	if err != nil {
		b.f.t.Fatal(err)
	}
	return b.do(req)
}

func (b *browser) post(path string, form url.Values, header http.Header) (*http.Response, string) {
	b.f.t.Helper()
	req, err := http.NewRequest("POST", b.f.url+path, strings.NewReader(form.Encode()))
	if err != nil {
		b.f.t.Fatal(err)
	}
	for k, v := range header {
		req.Header[k] = v
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	return b.do(req)
}

func (b *browser) do(req *http.Request) (*http.Response, string) {
	b.f.t.Helper()
	resp, err := b.Do(req)
	if err != nil {
		b.f.t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		b.f.t.Fatal(err)
	}
	return resp, string(body)
}

// introspect asks as the gateway would.
func (f *fixture) introspect(token string) map[string]any {
	f.t.Helper()
	auth := http.Header{}
	r := http.Request{Header: auth}
	r.SetBasicAuth("gateway", url.QueryEscape(secret))
	resp, body := f.browser().post("/oauth/introspect", url.Values{"token": {token}}, auth)
	if resp.StatusCode != http.StatusOK {
		f.t.Fatalf("introspection: %s %s", resp.Status, body)
	}
	return decode(f.t, body)
}

func (f *fixture) wantActive(token string, want bool) {
	f.t.Helper()
	got := f.introspect(token)
	if got["active"] != want {
		f.t.Errorf("introspection: active = %v, want %v", got["active"], want)
	}
	if !want && len(got) != 1 {
		f.t.Errorf("introspection of an ended token tells %v", got)
	}
}

func (f *fixture) userinfo(token string) (*http.Response, string) {
	f.t.Helper()
	req, err := http.NewRequest("GET", f.url+"/userinfo", nil)
	if err != nil {
		f.t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+token)
	return f.browser().do(req)
}

func decode(t *testing.T, body string) map[string]any {
	t.Helper()
	var m map[string]any
	if err := json.Unmarshal([]byte(body), &m); err != nil {
		t.Fatalf("%v in %q", err, body)
	}
	return m
}

// verify checks a JWT against the published keys and returns its typ and claims.
func (f *fixture) verify(token string) (typ string, claims map[string]any) {
	f.t.Helper()
	_, doc := f.browser().get("/.well-known/openid-configuration")
	uri, _ := decode(f.t, doc)["jwks_uri"].(string)
	_, body := f.browser().get(strings.TrimPrefix(uri, f.url))
	var set jose.JSONWebKeySet
	if err := json.Unmarshal([]byte(body), &set); err != nil {
		f.t.Fatal(err)
	}
	jws, err := jose.ParseSignedCompact(token, []jose.SignatureAlgorithm{jose.RS256})
	if err != nil {
		f.t.Fatal(err)
	}
	h := jws.Signatures[0].Protected
	keys := set.Key(h.KeyID)
	if len(keys) != 1 || keys[0].Algorithm != "RS256" || keys[0].Use != "sig" || !keys[0].IsPublic() {
		f.t.Fatalf("keys for kid %q: %v", h.KeyID, keys)
	}
	payload, err := jws.Verify(keys[0])
	if err != nil {
		f.t.Fatal(err)
	}
	typ, _ = h.ExtraHeaders[jose.HeaderType].(string)
	return typ, decode(f.t, string(payload))
}

// lockedBuffer collects log output.
type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}
