package gateway_test

import (
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/portcullis-auth/portcullis/dev/issuer"
)

const twoRoutes = `
routes:
  - {path: /, backend: BACKEND}
  - {path: /public/, backend: BACKEND, public: true}
`

// raw sends a request and returns the status and whether the connection closed.
func (h *house) raw(request string) (status int, closed bool) {
	h.t.Helper()
	c := h.send(request)
	defer c.Close()
	resp := c.answer()
	_, _ = io.Copy(io.Discard, resp.Body)
	return resp.StatusCode, resp.Close
}

// P1: what two parsers could read differently is 400, and the connection is
// closed; the backend never hears of it.
func TestP1AmbiguousTargets(t *testing.T) {
	b := newBackend()
	h := open(t, b, twoRoutes)
	token := h.token("alice", issuer.TokenOptions{}).Access
	for _, tt := range []struct {
		request string
		want    int
	}{
		{"GET /api/me HTTP/1.1", 200},
		{"GET /a%20b?q=%2F..%2f&x=a%zz HTTP/1.1", 200},
		{"GET //api HTTP/1.1", 400},
		{"GET /api//me HTTP/1.1", 400},
		{"GET /public/../api HTTP/1.1", 400},
		{"GET /public/.. HTTP/1.1", 400},
		{"GET /public/./x HTTP/1.1", 400},
		{"GET /public/%2e%2e/api HTTP/1.1", 400},
		{"GET /public/%2E./api HTTP/1.1", 400},
		{"GET /public/..;/api HTTP/1.1", 400},
		{"GET /public/..;v=1/api HTTP/1.1", 400},
		{"GET /public/;/../api HTTP/1.1", 400},
		{"GET /;/api HTTP/1.1", 400},
		{"GET /api;v=1/me HTTP/1.1", 400},
		{"GET /api%3Bv=1/me HTTP/1.1", 400},
		{"GET /public/..%2fapi HTTP/1.1", 400},
		{"GET /public%2F..%2Fapi HTTP/1.1", 400},
		{"GET /public/..%5capi HTTP/1.1", 400},
		{"GET /public\\..\\api HTTP/1.1", 400},
		{"GET /api%00 HTTP/1.1", 400},
		{"GET /api#x HTTP/1.1", 400},
		{"GET /api?a=1;b=2 HTTP/1.1", 400},
		{"GET /api\xc3\xa9 HTTP/1.1", 400},
		{"GET http://app.example.com/api HTTP/1.1", 400},
		{"GET http://other.example.com/api HTTP/1.1", 400},
		{"OPTIONS * HTTP/1.1", 400},
		{"CONNECT app.example.com:80 HTTP/1.1", 400},
		{"GET /%zz HTTP/1.1", 400},
	} {
		before := b.calls.Load()
		status, closed := h.raw(tt.request + "\r\nHost: app.example.com\r\nAuthorization: Bearer " + token + "\r\n\r\n")
		if status != tt.want || closed != (tt.want == 400) {
			t.Errorf("%q: status %d, closed %v; want %d", tt.request, status, closed, tt.want)
		}
		if asked := b.calls.Load() > before; asked != (tt.want == 200) {
			t.Errorf("%q: the backend was asked: %v", tt.request, asked)
		}
	}
	for name, request := range map[string]string{
		"two Hosts":            "GET / HTTP/1.1\r\nHost: a.example.com\r\nHost: b.example.com\r\n\r\n",
		"no Host":              "GET / HTTP/1.1\r\n\r\n",
		"no Host, old":         "GET / HTTP/1.0\r\n\r\n",
		"two lengths":          "POST / HTTP/1.1\r\nHost: a.example.com\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nxx",
		"space before colon":   "GET / HTTP/1.1\r\nHost : a.example.com\r\n\r\n",
		"h2c":                  "GET / HTTP/1.1\r\nHost: a.example.com\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\n\r\n",
		"unknown encoding":     "POST / HTTP/1.1\r\nHost: a.example.com\r\nTransfer-Encoding: xchunked\r\n\r\n",
		"upgrade to something": "GET / HTTP/1.1\r\nHost: a.example.com\r\nConnection: Upgrade\r\nUpgrade: tls/1.0\r\n\r\n",
	} {
		before := b.calls.Load()
		if status, _ := h.raw(request); status != 400 && status != 501 {
			t.Errorf("%s: status %d, want 400", name, status)
		}
		if b.calls.Load() != before {
			t.Errorf("%s: the backend was asked", name)
		}
	}
}

// W1: a handshake that isn't well-formed is refused before anybody is asked.
func TestW1BadHandshakes(t *testing.T) {
	b := newBackend()
	h := open(t, b, twoRoutes)
	token := h.token("alice", issuer.TokenOptions{}).Access
	good := handshake("/wsapi/", "Authorization: Bearer "+token)
	for _, tt := range []struct {
		name, old, new string
		status         int
	}{
		{"good", "", "", 101},
		{"Connection is a list", "Connection: Upgrade", "Connection: keep-alive, UPGRADE", 101},
		{"POST", "GET ", "POST ", 400},
		{"HTTP/1.0", "HTTP/1.1", "HTTP/1.0", 400},
		{"version 777", "Version: 13", "Version: 777", 426},
		{"two versions", "Version: 13", "Version: 13\r\nSec-WebSocket-Version: 8", 426},
		{"no version", "Sec-WebSocket-Version: 13\r\n", "", 426},
		{"no key", "Sec-WebSocket-Key: " + key + "\r\n", "", 400},
		{"short key", key, "c2hvcnQ=", 400},
		{"key isn't base64", key, "*&^%$#@!", 400},
		{"two keys", "Sec-WebSocket-Key: " + key, "Sec-WebSocket-Key: " + key + "\r\nSec-WebSocket-Key: " + key, 400},
		{"a body", "Upgrade: websocket", "Upgrade: websocket\r\nContent-Length: 3", 400},
		{"other protocol", "Upgrade: websocket", "Upgrade: websocket2", 400},
	} {
		t.Run(tt.name, func(t *testing.T) {
			before := b.calls.Load()
			c := h.send(strings.Replace(good, tt.old, tt.new, 1))
			resp := c.answer()
			if resp.StatusCode != tt.status {
				t.Errorf("status %d, want %d", resp.StatusCode, tt.status)
			}
			if tt.status == 426 && resp.Header.Get("Sec-WebSocket-Version") != "13" {
				t.Error("426 doesn't say which version")
			}
			if asked := b.calls.Load() > before; asked != (tt.status == 101) {
				t.Errorf("the backend was asked: %v", asked)
			}
			_ = c.Close()
		})
	}
}

// D1, D2: whatever the client sends under the names of our headers is gone,
// over HTTP and for sockets, on public routes too; and what we don't know is
// absent.
func TestD1D2HeadersAreOursAlone(t *testing.T) {
	b := newBackend()
	h := open(t, b, twoRoutes)
	carol := "Authorization: Bearer " + h.token("carol", issuer.TokenOptions{Omit: []string{"email", "preferred_username"}}).Access
	forged := strings.Join([]string{
		"X-Forwarded-User: root", "x_forwarded_user: root", "X-Forwarded_User: root", "X-FORWARDED-USER: root",
		"X-Forwarded-Email: root@example.com", "X-Forwarded-Groups: admin", "X-Forwarded-Preferred-Username: root",
		"X-Portcullis-Userinfo: {}", "X_Portcullis_Userinfo: {}", "X-Portcullis-Assertion: x",
		"X-Forwarded-For: 10.0.0.1", "X-Forwarded-Host: evil.example.com", "X-Forwarded-Proto: https", "X-Forwarded-Port: 1",
		"Forwarded: for=10.0.0.1", "X-Real-IP: 10.0.0.1", "X-Original-URL: /admin", "X-Original-Host: evil.example.com",
		"Connection: X-Forwarded-User, X-Portcullis-Userinfo",
	}, "\r\n")
	for _, tt := range []struct {
		name, request string
		public        bool
	}{
		{"HTTP", "GET /x HTTP/1.1\r\nHost: app.example.com\r\n" + carol + "\r\n" + forged + "\r\n\r\n", false},
		{"HTTP, public", "GET /public/ HTTP/1.1\r\nHost: app.example.com\r\n" + forged + "\r\n\r\n", true},
		{"socket", handshake("/x", carol, forged), false},
		{"socket, public", handshake("/public/", forged), true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c := h.send(tt.request)
			if got := c.answer().StatusCode; got != 200 && got != 101 {
				t.Fatalf("status %d", got)
			}
			got := b.header().Clone()
			_ = c.Close()
			want := map[string]string{"X-Forwarded-For": "127.0.0.1", "X-Forwarded-Host": "app.example.com", "X-Forwarded-Proto": "http"}
			if !tt.public {
				want["X-Forwarded-User"] = "u-carol"
				want["X-Forwarded-Groups"] = "guest"
			}
			for name, values := range got {
				alias := strings.ToLower(strings.ReplaceAll(name, "_", "-"))
				switch {
				case alias == "x-portcullis-userinfo" && !tt.public:
					if len(values) != 1 || !strings.Contains(values[0], `"sub":"u-carol"`) {
						t.Errorf("userinfo %q", values)
					}
				case strings.HasPrefix(alias, "x-forwarded-"), strings.HasPrefix(alias, "x-original"),
					strings.HasPrefix(alias, "x-portcullis"), alias == "forwarded", alias == "x-real-ip":
					if len(values) != 1 || values[0] != want[name] {
						t.Errorf("%s: %q, want %q", name, values, want[name])
					}
					delete(want, name)
				}
			}
			if len(want) > 0 {
				t.Errorf("missing: %v", want)
			}
		})
	}
}

// Page loads are sent to the login page; everything else gets its status.
func TestLoginRedirect(t *testing.T) {
	h := open(t, newBackend(), `
routes:
  - {path: /, backend: BACKEND, login: 'https://login.example.com/?then={url}', allow: '"chat" in identity.scopes'}
`)
	html := []string{"Accept", "text/html,application/xhtml+xml"}
	carol := []string{"Cookie", "session=" + h.token("carol", issuer.TokenOptions{}).Access}
	for _, tt := range []struct {
		name     string
		headers  []string
		status   int
		location string
	}{
		{"page", html, 303, "https://login.example.com/?then=" + "http%3A%2F%2F" + strings.Replace(h.addr, ":", "%3A", 1) + "%2Fa%3Fb%3Dc"},
		{"page, bad token", append([]string{"Cookie", "session=bad"}, html...), 303, "https://login.example.com/?then=" + "http%3A%2F%2F" + strings.Replace(h.addr, ":", "%3A", 1) + "%2Fa%3Fb%3Dc"},
		{"page, not allowed", append(carol, html...), 403, ""},
		{"call", []string{"Accept", "application/json"}, 401, ""},
		{"script that accepts HTML", append([]string{"Sec-Fetch-Mode", "cors"}, html...), 401, ""},
		{"navigation", []string{"Sec-Fetch-Mode", "navigate"}, 303, "https://login.example.com/?then=" + "http%3A%2F%2F" + strings.Replace(h.addr, ":", "%3A", 1) + "%2Fa%3Fb%3Dc"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			h.t = t
			target := "/a?b=c"
			if tt.name == "page, bad token" {
				target = "/a?token=secret&b=c"
			}
			status, header, _ := h.get(target, tt.headers...)
			if status != tt.status || header.Get("Location") != tt.location {
				t.Errorf("%d to %q, want %d to %q", status, header.Get("Location"), tt.status, tt.location)
			}
		})
	}
}

// Routes go by host and path, the longest match first.
func TestRoutes(t *testing.T) {
	named := func(name string) string {
		return start(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, name) }))
	}
	h := openFor(t, named("fallback"), `
routes:
  - {path: /, backend: BACKEND, public: true}
  - {path: /a/, backend: `+named("a")+`, public: true}
  - {path: /a/b, backend: `+named("ab")+`, public: true}
  - {host: api.example.com, path: /a/, backend: `+named("api")+`, public: true}
`)
	for target, want := range map[string]string{
		"|/": "fallback", "|/a": "fallback", "|/a/": "a", "|/a/x": "a", "|/a/b": "ab", "|/a/bc": "a", "|/a/b/c": "ab",
		"api.example.com|/a/x": "api", "API.example.com:8080|/a/b": "api", "api.example.com|/x": "fallback",
	} {
		host, path, _ := strings.Cut(target, "|")
		if host == "" {
			host = "www.example.com"
		}
		c := h.send("GET " + path + " HTTP/1.1\r\nHost: " + host + "\r\nConnection: close\r\n\r\n")
		body, _ := io.ReadAll(c.answer().Body)
		if string(body) != want {
			t.Errorf("%s: %q, want %q", target, body, want)
		}
	}
}

// P1, D4: a Host that is more than a name or an address and a port is 400,
// since who cuts it differs from who doesn't.
func TestP1Hosts(t *testing.T) {
	backend := newWire(t, noContent)
	h := openFor(t, backend.url(), onePublic)
	for host, want := range map[string]int{
		"app.example.com": 204, "APP.Example.com:80": 204, "app.example.com.": 204, "[::1]": 204, "[::1]:8080": 204,
		"127.0.0.1:80": 204, "my_service": 204, "xn--nxasmq6b.example": 204,
		"": 400, "app.example.com:": 400, "app.example.com:x": 400, "app.example.com:80@b": 400, "u@app.example.com": 400,
		"app.example.com:1:2": 400, "app.example.com:65536": 400, "app.example.com:-1": 400, "::1": 400, "[::1": 400,
		"[::1]x": 400, "[127.0.0.1]": 400, "[fe80::1%25eth0]": 400, "%61pp.example.com": 400, "a,b": 400, "a/b": 400, "a b": 400,
		".example.com": 400, "app..example.com": 400, ":80": 400, "app.example.com;x": 400, "app.example.com\xc3\xa9": 400,
	} {
		for _, request := range []string{
			"GET / HTTP/1.1\r\nHost: " + host + "\r\n\r\n",
			strings.Replace(handshake("/"), "app.example.com", host, 1),
		} {
			status, _ := h.raw(request)
			if status != want {
				t.Errorf("Host %q: %d, want %d", host, status, want)
			}
			if status == 204 {
				if head := <-backend.heads; !strings.Contains(head, "\r\nHost: "+host+"\r\n") {
					t.Errorf("Host %q: the backend got %q", host, head)
				}
			}
		}
	}
}

// D4: the rule would see one method, and the backend another.
func TestD4MethodOverride(t *testing.T) {
	b := newBackend()
	h := open(t, b, twoRoutes)
	for _, name := range []string{"X-HTTP-Method-Override", "x_http_method_override", "X-HTTP-Method", "X-Method-Override"} {
		if status, _ := h.raw("POST /public/ HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n" + name + ": DELETE\r\n\r\n"); status != 400 {
			t.Errorf("%s: %d, want 400", name, status)
		}
	}
	if b.calls.Load() != 0 {
		t.Error("the backend was asked")
	}
}

// A login page that needs a login would send the browser round in circles.
func TestLoginRedirectDoesNotLoop(t *testing.T) {
	for _, login := range []string{"/login?then={url}", "http://APP.example.com/login"} {
		h := open(t, newBackend(), "\nroutes:\n  - {path: /, backend: BACKEND, login: '"+login+"'}\n")
		for target, want := range map[string]int{"/": 303, "/login?then=x": 401} {
			if status, _ := h.raw("GET " + target + " HTTP/1.1\r\nHost: app.example.com\r\nAccept: text/html\r\nConnection: close\r\n\r\n"); status != want {
				t.Errorf("login %s: GET %s: %d, want %d", login, target, status, want)
			}
		}
	}
}
