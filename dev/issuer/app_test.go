package issuer_test

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"

	"github.com/portcullis-auth/portcullis/dev/issuer"
)

var returnTos = []struct {
	raw  string
	want string // empty: refused
}{
	{"", appURL + "/"},
	{"/chat?room=1#top", appURL + "/chat?room=1#top"},
	{appURL, appURL},
	{appURL + "/chat", appURL + "/chat"},
	{strings.ToUpper(appURL) + "/chat", "http://127.0.0.1:1/chat"},
	{"https://evil.example.com/", ""},
	{"//evil.example.com/", ""},
	{`/\evil.example.com/`, ""},
	{`\\evil.example.com/`, ""},
	{"/\t/evil.example.com/", ""},
	{"\n//evil.example.com/", ""},
	{" //evil.example.com/", ""},
	{"http://127.0.0.1:2/", ""},
	{"http://127.0.0.1/", ""},
	{"https://127.0.0.1:1/", ""},
	{"http://127.0.0.1:1@evil.example.com/", ""},
	{"http://user@127.0.0.1:1/", ""},
	{`http://127.0.0.1:1\@evil.example.com/`, ""},
	{"http://127.0.0.1:1.evil.example.com/", ""},
	{"http:127.0.0.1:1/", ""},
	{"javascript:alert(1)", ""},
	{"data:text/html,x", ""},
	{"http://[::1", ""},
}

func TestReturnTo(t *testing.T) {
	f := start(t, nil)
	for _, tt := range returnTos {
		got, ok := issuer.ReturnTo(appURL, tt.raw)
		if ok != (tt.want != "") || got != tt.want {
			t.Errorf("return_to %q: got %q, %v; want %q", tt.raw, got, ok, tt.want)
		}
		if tt.want != "" {
			continue
		}
		q := "?return_to=" + url.QueryEscape(tt.raw)
		for _, path := range []string{"/app/login", "/app/logout"} {
			if resp, _ := f.browser().get(path + q); resp.StatusCode != http.StatusBadRequest {
				t.Errorf("GET %s%s: %s, want 400", path, q, resp.Status)
			}
		}
		if resp, _ := f.browser().post("/app/logout"+q, nil, nil); resp.StatusCode != http.StatusBadRequest {
			t.Errorf("POST /app/logout%s: %s, want 400", q, resp.Status)
		}
	}
	if resp, _ := f.browser().get("/app/login?kind=saml"); resp.StatusCode != http.StatusBadRequest {
		t.Errorf("unknown kind: %s, want 400", resp.Status)
	}
}

func FuzzReturnTo(f *testing.F) {
	for _, tt := range returnTos {
		f.Add(tt.raw)
	}
	f.Fuzz(func(t *testing.T, raw string) {
		got, ok := issuer.ReturnTo(appURL, raw)
		if !ok {
			return
		}
		// However sloppily it is read, it begins with the application's origin.
		rest, found := strings.CutPrefix(strings.ToLower(got), appURL)
		if !found || rest != "" && !strings.ContainsAny(rest[:1], "/?#") || strings.ContainsAny(got, "\\\t\r\n") {
			t.Errorf("return_to %q became %q", raw, got)
		}
	})
}

// TestCrossOrigin: pages of other origins can't act for the user, the application can.
func TestCrossOrigin(t *testing.T) {
	f := start(t, nil)
	b := f.browser()
	access := b.login("bob", "opaque")
	resp, _ := b.get("/app/login")
	id := resp.Request.URL.Query().Get("id")

	for _, h := range []http.Header{
		{"Sec-Fetch-Site": {"cross-site"}, "Origin": {"https://evil.example.com"}},
		{"Sec-Fetch-Site": {"same-site"}, "Origin": {"http://127.0.0.1:2"}},
		{"Sec-Fetch-Site": {"cross-site"}, "Origin": {"null"}},
		{"Sec-Fetch-Site": {"cross-site"}},
		{"Origin": {"https://evil.example.com"}},
		{"Origin": {"null"}},
	} {
		for _, path := range []string{"/app/refresh", "/app/logout", "/login"} {
			resp, _ := b.post(path, url.Values{"id": {id}, "user": {"alice"}}, h)
			if resp.StatusCode != http.StatusForbidden {
				t.Errorf("POST %s from %v: %s, want 403", path, h, resp.Status)
			}
			if got := resp.Header.Get("Access-Control-Allow-Origin"); got != "" {
				t.Errorf("POST %s from %v: Access-Control-Allow-Origin %q", path, h, got)
			}
		}
	}
	f.wantActive(access, true)
	if b.cookie("session") != access {
		t.Error("the cookie has changed")
	}
	// The login page is submitted by itself only, not by the application.
	fromApp := http.Header{"Sec-Fetch-Site": {"same-site"}, "Origin": {appURL}, "Sec-Fetch-Mode": {"cors"}}
	if resp, _ := b.post("/login", url.Values{"id": {id}, "user": {"alice"}}, fromApp); resp.StatusCode != http.StatusForbidden {
		t.Errorf("POST /login from the application: %s, want 403", resp.Status)
	}
	for _, path := range []string{"/app/refresh", "/app/logout"} {
		resp, _ := b.post(path, nil, fromApp)
		if resp.StatusCode != http.StatusNoContent ||
			resp.Header.Get("Access-Control-Allow-Origin") != appURL ||
			resp.Header.Get("Access-Control-Allow-Credentials") != "true" {
			t.Errorf("POST %s from the application: %s %v", path, resp.Status, resp.Header)
		}
	}
	for origin, want := range map[string]int{appURL: 204, "https://evil.example.com": 403, "null": 403} {
		req, _ := http.NewRequest("OPTIONS", f.url+"/app/refresh", nil)
		req.Header.Set("Origin", origin)
		req.Header.Set("Access-Control-Request-Method", "POST")
		if resp, _ := b.do(req); resp.StatusCode != want {
			t.Errorf("preflight from %s: %s, want %d", origin, resp.Status, want)
		}
	}
	// op's endpoints are for servers and top-level navigation: no CORS at all.
	req, _ := http.NewRequest("POST", f.url+"/oauth/token", nil)
	req.Header.Set("Origin", "https://evil.example.com")
	if resp, _ := b.do(req); resp.Header.Get("Access-Control-Allow-Origin") != "" {
		t.Errorf("token endpoint: %v", resp.Header)
	}
}

func TestCookies(t *testing.T) {
	f := start(t, func(c *issuer.Config) { c.CookieName = "tok" })
	b := f.browser()
	resp, _ := b.get("/app/login")
	id := resp.Request.URL.Query().Get("id")
	var set []string
	b.CheckRedirect = func(r *http.Request, _ []*http.Request) error {
		set = append(set, r.Response.Header["Set-Cookie"]...)
		if r.URL.Host == "127.0.0.1:1" {
			return http.ErrUseLastResponse
		}
		return nil
	}
	b.post("/login", url.Values{"id": {id}, "user": {"bob"}}, nil)
	if len(set) != 2 {
		t.Fatalf("cookies set: %d, want 2", len(set))
	}
	token, rest, _ := strings.Cut(set[0], ";")
	if !strings.HasPrefix(token, "tok=") || rest != " Path=/; SameSite=Lax" {
		t.Errorf("token cookie has attributes %q", rest)
	}
	if _, rest, _ := strings.Cut(set[1], ";"); rest != " Path=/app/; HttpOnly; SameSite=Lax" {
		t.Errorf("session cookie has attributes %q", rest)
	}
}

func TestSecureCookies(t *testing.T) {
	iss, err := issuer.New(issuer.Config{URL: "https://login.example.com", IntrospectionSecret: secret, SigningKey: key()})
	if err != nil {
		t.Fatal(err)
	}
	defer iss.Close()
	w := httptest.NewRecorder()
	iss.ServeHTTP(w, httptest.NewRequest("GET", "https://login.example.com/app/login", nil))
	if got := w.Header().Get("Set-Cookie"); !strings.Contains(got, "; Secure") || !strings.Contains(got, "; HttpOnly") {
		t.Errorf("Set-Cookie %q, want Secure and HttpOnly", got)
	}
}

func TestCallbackIsBoundToTheBrowser(t *testing.T) {
	f := start(t, nil)
	attacker := f.browser()
	resp, _ := attacker.get("/app/login")
	id := resp.Request.URL.Query().Get("id")
	attacker.CheckRedirect = func(r *http.Request, _ []*http.Request) error {
		if r.URL.Path == "/app/callback" {
			return http.ErrUseLastResponse
		}
		return nil
	}
	resp, _ = attacker.post("/login", url.Values{"id": {id}, "user": {"alice"}}, nil)
	loc, err := resp.Location()
	if err != nil {
		t.Fatal(err)
	}
	victim := f.browser()
	if resp, _ := victim.get(loc.RequestURI()); resp.StatusCode != http.StatusBadRequest || victim.cookie("session") != "" {
		t.Errorf("another browser's callback: %s, want 400", resp.Status)
	}
	for _, q := range []string{"", "?state=x&code=y"} {
		if resp, _ := attacker.get("/app/callback" + q); resp.StatusCode != http.StatusBadRequest {
			t.Errorf("callback%s: %s, want 400", q, resp.Status)
		}
	}
}

func TestTwoTabs(t *testing.T) {
	f := start(t, nil)
	b := f.browser()
	// Two logins under way at once both end well.
	var ids []string
	for range 2 {
		resp, _ := b.get("/app/login")
		ids = append(ids, resp.Request.URL.Query().Get("id"))
	}
	var tokens []string
	for n, user := range []string{"alice", "bob"} {
		resp, _ := b.post("/login", url.Values{"id": {ids[n]}, "user": {user}}, nil)
		if resp.Header.Get("Location") != appURL+"/" {
			t.Fatalf("login %d: %s", n, resp.Status)
		}
		tokens = append(tokens, b.cookie("session"))
	}
	// The second login ended the session of the first, and the gateway was told.
	f.wantActive(tokens[0], false)
	f.wantActive(tokens[1], true)
	if n := len(f.gotten.take()); n != 1 {
		t.Errorf("%d logout tokens, want 1", n)
	}
	// Two refreshes at once both succeed, though a refresh token is good for one use.
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			if resp, _ := b.post("/app/refresh", nil, nil); resp.StatusCode != http.StatusNoContent {
				t.Errorf("refresh: %s", resp.Status)
			}
		})
	}
	wg.Wait()
	f.wantActive(b.cookie("session"), true)
}

func TestLogoutAnswers(t *testing.T) {
	f := start(t, nil)
	b := f.browser()
	resp, page := b.get("/app/logout?return_to=/bye")
	if resp.StatusCode != http.StatusOK || !strings.Contains(page, `value="http://127.0.0.1:1/bye"`) {
		t.Errorf("confirmation: %s\n%s", resp.Status, page)
	}
	for name, tt := range map[string]struct {
		header http.Header
		want   int
	}{
		"navigation":  {http.Header{"Sec-Fetch-Mode": {"navigate"}, "Sec-Fetch-Site": {"same-origin"}}, 303},
		"old browser": {http.Header{"Accept": {"text/html,*/*"}}, 303},
		"fetch":       {http.Header{"Sec-Fetch-Mode": {"cors"}, "Sec-Fetch-Site": {"same-origin"}, "Accept": {"*/*"}}, 204},
		"curl":        {http.Header{"Accept": {"application/json"}}, 204},
	} {
		b := f.browser()
		access := b.login("bob", "jwt")
		resp, _ := b.post("/app/logout", url.Values{"return_to": {"/bye"}}, tt.header)
		if resp.StatusCode != tt.want || tt.want == 303 && resp.Header.Get("Location") != appURL+"/bye" {
			t.Errorf("%s: %s %q, want %d", name, resp.Status, resp.Header.Get("Location"), tt.want)
		}
		f.wantActive(access, false)
	}
	// Nobody is logged in: that is what was asked for.
	if resp, _ := f.browser().post("/app/logout", nil, nil); resp.StatusCode != http.StatusNoContent {
		t.Errorf("logout of nobody: %s", resp.Status)
	}
}

func TestLogoutEverywhere(t *testing.T) {
	f := start(t, nil)
	here, there := f.browser(), f.browser()
	here.login("bob", "opaque")
	elsewhere := there.login("bob", "jwt")
	here.post("/app/logout", url.Values{"everywhere": {"true"}}, nil)
	f.wantActive(elsewhere, false)
	got := f.gotten.take()
	if len(got) != 1 {
		t.Fatalf("%d logout tokens, want 1", len(got))
	}
	if _, claims := f.verify(got[0]); claims["sub"] != "u-bob" || claims["sid"] != nil {
		t.Errorf("logout token names %v, want sub u-bob only", claims)
	}
	if resp, _ := there.post("/app/refresh", nil, nil); resp.StatusCode != http.StatusUnauthorized {
		t.Errorf("refresh elsewhere: %s, want 401", resp.Status)
	}
}

// TestLogoutStandsWithoutReceiver: a gateway that is down does not keep anybody logged in.
func TestLogoutStandsWithoutReceiver(t *testing.T) {
	f := start(t, func(c *issuer.Config) { c.BackchannelLogoutURIs = []string{"http://127.0.0.1:1/"} })
	b := f.browser()
	access := b.login("bob", "opaque")
	if resp, _ := b.post("/app/logout", nil, nil); resp.StatusCode != http.StatusNoContent {
		t.Errorf("logout: %s", resp.Status)
	}
	f.wantActive(access, false)
}

func TestPages(t *testing.T) {
	f := start(t, nil)
	b := f.browser()
	resp, page := b.get("/")
	for _, want := range []string{"Alice Adams", "bob@example.com", "This is a demo login", `action="/login"`} {
		if !strings.Contains(page, want) {
			t.Errorf("the login page lacks %q", want)
		}
	}
	for name, want := range map[string]string{
		"Content-Security-Policy": "frame-ancestors 'none'",
		"Cache-Control":           "no-store",
		"X-Content-Type-Options":  "nosniff",
		"Referrer-Policy":         "same-origin",
	} {
		if got := resp.Header.Get(name); !strings.Contains(got, want) {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
	}
	if resp, css := b.get("/style.css"); resp.StatusCode != http.StatusOK || !strings.Contains(css, "prefers-color-scheme") {
		t.Errorf("style sheet: %s", resp.Status)
	}
	id := resp.Request.URL.Query().Get("id")
	if resp, _ := b.post("/login", url.Values{"id": {id}, "user": {"mallory"}}, nil); resp.StatusCode != http.StatusBadRequest {
		t.Errorf("unknown user: %s, want 400", resp.Status)
	}
	if resp, _ := b.get("/login?id=" + url.QueryEscape(`"><script>`)); resp.StatusCode != http.StatusBadRequest {
		t.Errorf("unknown login: %s, want 400", resp.Status)
	}
	// By another name: DNS rebinding.
	req, _ := http.NewRequest("GET", f.url+"/app/login", nil)
	req.Host = "evil.example.com"
	if resp, _ := b.do(req); resp.StatusCode != http.StatusMisdirectedRequest {
		t.Errorf("other Host: %s, want 421", resp.Status)
	}
}
