package demo_test

import (
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/portcullis-auth/portcullis/dev/demo"
)

// as returns the headers that the gateway would send for a user.
func as(name string) http.Header {
	return http.Header{
		"X-Forwarded-User":               {"u-" + name},
		"X-Forwarded-Preferred-Username": {name},
		"X-Forwarded-Email":              {name + "@example.com"},
		"X-Forwarded-Groups":             {"chat,admin"},
		"X-Portcullis-Userinfo":          {`{"sub":"u-` + name + `","preferred_username":"` + name + `","scope":"openid chat","exp":1763900000}`},
	}
}

// with returns h with one header set to values, or gone.
func with(h http.Header, name string, values ...string) http.Header {
	h = h.Clone()
	h[name] = values
	if len(values) == 0 {
		delete(h, name)
	}
	return h
}

// start returns a backend and its base URL; both end with the test.
func start(t *testing.T, o demo.Options) (*demo.Server, string) {
	t.Helper()
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	s, err := demo.New(o)
	if err != nil {
		t.Fatal(err)
	}
	srv := httptest.NewServer(s)
	t.Cleanup(func() {
		_ = s.Close()
		srv.Close()
		http.DefaultClient.CloseIdleConnections()
	})
	return s, srv.URL
}

func get(t *testing.T, url string, h http.Header) (*http.Response, string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header = h.Clone()
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = res.Body.Close() }()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return res, string(body)
}

type me struct {
	Subject   string
	Name      string
	Email     string
	Groups    []string
	Userinfo  map[string]any
	VouchedBy map[string]string `json:"vouched_by"`
	Received  []string
	Now       int64
}

func TestMeIsWhomTheGatewayVouchesFor(t *testing.T) {
	_, base := start(t, demo.Options{})
	res, body := get(t, base+"/api/me", as("alice"))
	if res.StatusCode != http.StatusOK {
		t.Fatalf("got status %d, want 200: %s", res.StatusCode, body)
	}
	var got me
	if err := json.Unmarshal([]byte(body), &got); err != nil {
		t.Fatal(err)
	}
	if got.Subject != "u-alice" || got.Name != "alice" || got.Email != "alice@example.com" {
		t.Errorf("got %+v", got)
	}
	if !slices.Equal(got.Groups, []string{"chat", "admin"}) {
		t.Errorf("got groups %q", got.Groups)
	}
	if got.Userinfo["scope"] != "openid chat" || got.Userinfo["exp"] != 1763900000.0 {
		t.Errorf("got userinfo %v", got.Userinfo)
	}
	if got.VouchedBy["X-Forwarded-User"] != "u-alice" || !slices.Contains(got.Received, "X-Portcullis-Userinfo") {
		t.Errorf("got vouched_by %v, received %q", got.VouchedBy, got.Received)
	}
	if got.Now == 0 {
		t.Error("got no time")
	}
}

func TestMeDecodesHeaders(t *testing.T) {
	_, base := start(t, demo.Options{})
	h := with(as("zoe"), "X-Forwarded-Preferred-Username", "Zo%C3%AB%20<b>")
	h = with(h, "X-Forwarded-Groups", "caf%C3%A9, a%2Cb ,,50%25")
	_, body := get(t, base+"/api/me", h)
	var got me
	if err := json.Unmarshal([]byte(body), &got); err != nil {
		t.Fatal(err)
	}
	if want := "Zoë <b>"; got.Name != want {
		t.Errorf("got name %q, want %q", got.Name, want)
	}
	if want := []string{"café", "a,b", "50%"}; !slices.Equal(got.Groups, want) {
		t.Errorf("got groups %q, want %q", got.Groups, want)
	}
}

func TestMeWithoutOptionalHeaders(t *testing.T) {
	_, base := start(t, demo.Options{})
	h := with(with(with(as("alice"), "X-Forwarded-Preferred-Username"), "X-Forwarded-Email"), "X-Forwarded-Groups")
	res, body := get(t, base+"/api/me", h)
	if res.StatusCode != http.StatusOK || !strings.Contains(body, `"name":"u-alice"`) || !strings.Contains(body, `"groups":[]`) {
		t.Errorf("got %d %s, want the subject as name and no groups", res.StatusCode, body)
	}
}

// Whatever the gateway did not vouch for gets nothing, wherever it knocks.
func TestFailsClosedWithoutTheGateway(t *testing.T) {
	_, base := start(t, demo.Options{})
	ok := as("alice")
	tests := []struct {
		name string
		h    http.Header
	}{
		{"no headers", http.Header{}},
		{"credentials of its own", http.Header{"Authorization": {"Bearer x"}, "Cookie": {"session=x"}}},
		{"no user", with(ok, "X-Forwarded-User")},
		{"empty user", with(ok, "X-Forwarded-User", "")},
		{"two users", with(ok, "X-Forwarded-User", "u-alice", "u-mallory")},
		{"two names", with(ok, "X-Forwarded-Preferred-Username", "alice", "mallory")},
		{"two emails", with(ok, "X-Forwarded-Email", "a@example.com", "b@example.com")},
		{"two groups headers", with(ok, "X-Forwarded-Groups", "a", "b")},
		{"bad encoding", with(ok, "X-Forwarded-User", "u%zz")},
		{"bad encoding of a group", with(ok, "X-Forwarded-Groups", "a,b%")},
		{"no userinfo", with(ok, "X-Portcullis-Userinfo")},
		{"two userinfos", with(ok, "X-Portcullis-Userinfo", "{}", "{}")},
		{"userinfo no object", with(ok, "X-Portcullis-Userinfo", "[]")},
		{"userinfo no JSON", with(ok, "X-Portcullis-Userinfo", "{sub}")},
	}
	for _, tt := range tests {
		for _, path := range []string{"/", "/assets/app.js", "/api/me", "/wsapi/", "/wsapi/cookie/", "/nowhere"} {
			t.Run(tt.name+path, func(t *testing.T) {
				res, body := get(t, base+path, tt.h)
				if res.StatusCode != http.StatusInternalServerError || !strings.Contains(body, `"not_behind_gateway"`) {
					t.Errorf("got %d %s, want 500 not_behind_gateway", res.StatusCode, body)
				}
				if strings.Contains(body, "mallory") || strings.Contains(body, "example.com") {
					t.Errorf("the refusal repeats a header's value: %s", body)
				}
			})
		}
	}
}

func TestPageAndAssets(t *testing.T) {
	_, base := start(t, demo.Options{LoginURL: "http://127.0.0.1:9100/"})
	tests := []struct {
		path, kind, body string
		status           int
	}{
		{"/", "text/html; charset=utf-8", `data-login="http://127.0.0.1:9100"`, 200},
		{"/assets/app.js", "text/javascript; charset=utf-8", "import", 200},
		{"/assets/style.css", "text/css; charset=utf-8", ":root", 200},
		{"/assets/mark.svg", "image/svg+xml", "<svg", 200},
		{"/assets/index.html", "text/plain; charset=utf-8", "not found", 404},
		{"/assets/", "text/plain; charset=utf-8", "not found", 404},
		{"/wsapi/elsewhere/", "text/plain; charset=utf-8", "not found", 404},
		{"/nowhere", "text/plain; charset=utf-8", "not found", 404},
		{"/wsapi/cookie/", "text/plain; charset=utf-8", "WebSocket", 426},
	}
	for _, tt := range tests {
		t.Run(tt.path, func(t *testing.T) {
			res, body := get(t, base+tt.path, as("alice"))
			if res.StatusCode != tt.status || !strings.Contains(body, tt.body) {
				t.Errorf("got %d %.200s, want %d with %q", res.StatusCode, body, tt.status, tt.body)
			}
			if got := res.Header.Get("Content-Type"); got != tt.kind {
				t.Errorf("got type %q, want %q", got, tt.kind)
			}
			if got := res.Header.Get("Cache-Control"); got != "no-store" {
				t.Errorf("got Cache-Control %q", got)
			}
			csp := res.Header.Get("Content-Security-Policy")
			if !strings.HasPrefix(csp, "default-src 'self'; connect-src 'self' ws: wss: http://127.0.0.1:9100;") || strings.Contains(csp, "unsafe") {
				t.Errorf("got Content-Security-Policy %q", csp)
			}
		})
	}
}

// The policy forbids inline script and style; the page must not have any.
func TestPageHasNothingInline(t *testing.T) {
	_, base := start(t, demo.Options{})
	_, body := get(t, base+"/", as("alice"))
	if m := regexp.MustCompile(`(?i)<script[^>]*>[^<]|<style|\sstyle=|\son[a-z]+=|javascript:`).FindString(body); m != "" {
		t.Errorf("the page has something inline: %q", m)
	}
}

func TestNewRefusesBadLoginURL(t *testing.T) {
	for _, raw := range []string{
		"127.0.0.1:9100", "//host", "ftp://host", "http://", "http://u:p@host", "http://host?x", "http://host#x",
		"http://host;script-src", "http://*", "http://ho st", "javascript:alert(1)", "http://host,x",
	} {
		if _, err := demo.New(demo.Options{LoginURL: raw}); err == nil {
			t.Errorf("New with LoginURL %q: got no error", raw)
		}
	}
}

// The point of the demo: a backend that has no line about tokens.
func TestBackendKnowsNothingOfTokens(t *testing.T) {
	files, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	word := regexp.MustCompile(`(?i)token|jwt|bearer|Authorization|\.Cookie|URL\.Query|RawQuery\b.*r\.|Protocol`)
	for _, f := range files {
		if strings.HasSuffix(f, "_test.go") {
			continue
		}
		src, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		for i, l := range strings.Split(string(src), "\n") {
			if m := word.FindString(l); m != "" && !strings.Contains(l, `"subprotocol"`) {
				t.Errorf("%s:%d has %q", f, i+1, m)
			}
		}
	}
}
