package gateway_test

import (
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/portcullis-auth/portcullis/dev/issuer"
)

// D1, D2: a rule sees no header that the client put under our names, and none
// that the backend won't get.
func TestD1D2RulesSeeNoForgedHeaders(t *testing.T) {
	h := open(t, newBackend(), `
routes:
  - {path: /, backend: BACKEND, allow: '"x-forwarded-for" in request.headers || "x_forwarded_user" in request.headers || "x-tenant" in request.headers'}
`)
	bearer := "Authorization: Bearer " + h.token("alice", issuer.TokenOptions{}).Access
	for headers, want := range map[string]int{
		"X-Tenant: a": 200,
		"X-Tenant: a\r\nConnection: keep-alive, x-tenant": 403,
		"X-Forwarded-For: 10.0.0.1":                       403,
		"x_forwarded_user: root":                          403,
	} {
		if status, _ := h.raw("GET / HTTP/1.1\r\nHost: app.example.com\r\n" + bearer + "\r\n" + headers + "\r\n\r\n"); status != want {
			t.Errorf("%q: %d, want %d", headers, status, want)
		}
	}
}

// D1: CGI knows letters and digits, and has one character for all others.
func TestD1EveryAlias(t *testing.T) {
	backend := newWire(t, noContent)
	h := openFor(t, backend.url(), onePublic)
	forged := strings.Join([]string{
		"X.Forwarded.User: root", "X~Forwarded~User: root", "x_forwarded.user: root", "X-Forwarded: for=root",
		"X.Portcullis.Userinfo: root", "X.Real.IP: root", "X-Rewrite-URL: /root",
	}, "\r\n")
	for _, request := range []string{"GET / HTTP/1.1\r\nHost: a\r\n" + forged + "\r\n\r\n", handshake("/", forged)} {
		if status, _ := h.raw(request); status != 204 {
			t.Fatalf("status %d", status)
		}
		if head := <-backend.heads; strings.Contains(head, "root") {
			t.Errorf("the backend got\n%s", head)
		}
	}
}

// D1: trailers are headers to some backends. Those that are ours, that carry
// credentials, or that weren't announced don't pass.
func TestD1Trailers(t *testing.T) {
	trailers := make(chan http.Header, 1)
	h := open(t, http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		trailers <- r.Trailer
	}), twoRoutes)
	if status, _ := h.raw("POST /public/ HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n" +
		"Trailer: X-Sum, X-Forwarded-User, X_Forwarded_User, Authorization, Cookie, Host\r\n\r\n1\r\nx\r\n0\r\n" +
		"X-Sum: 17\r\nX-Forwarded-User: root\r\nX_Forwarded_User: root\r\nAuthorization: Bearer root\r\nCookie: session=root\r\nHost: root\r\n" +
		"X-Portcullis-Userinfo: {}\r\nX-Late: 1\r\n\r\n"); status != 200 {
		t.Fatalf("status %d", status)
	}
	if got := <-trailers; len(got) != 1 || got.Get("X-Sum") != "17" {
		t.Errorf("the backend got %v, want X-Sum alone", got)
	}
}

// The token doesn't go on from a public route either, and nothing there depends
// on what is in it.
func TestPublicRoutesRemoveTokensToo(t *testing.T) {
	backend := newWire(t, noContent)
	h := openFor(t, backend.url(), onePublic)
	credentials := "Cookie: theme=public; session=SECRET\r\nAuthorization: Bearer SECRET\r\nSec-WebSocket-Protocol: bearer, SECRET"
	for _, request := range []string{
		"GET /?a=1&token=SECRET HTTP/1.1\r\nHost: a\r\n" + credentials + "\r\n\r\n",
		handshake("/?a=1&token=SECRET", credentials),
	} {
		if status, _ := h.raw(request); status != 204 {
			t.Fatalf("status %d, want 204", status)
		}
		head := <-backend.heads
		if strings.Contains(head, "SECRET") || !strings.Contains(head, "GET /?a=1 ") || !strings.Contains(head, "Cookie: theme=public\r\n") {
			t.Errorf("the backend got\n%s", head)
		}
	}
}

// D3: what the token system says about a user passes only as what it is, and
// as nothing that breaks out of a header.
func TestD3ClaimsOfTheWrongKind(t *testing.T) {
	claims := ""
	check := start(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_, _ = io.WriteString(w, claims)
	}))
	b := newBackend()
	h := openWith(t, start(t, b), "http_check: {url: "+check+"/}\n  cache: {max_age: 0s}", everything)
	for _, tt := range []struct {
		claims string
		want   map[string]string
	}{
		{`{"sub":"u","email":"a@b","email_verified":true}`, map[string]string{"Email": "a@b"}},
		{`{"sub":"u","email":"a@b","email_verified":"true"}`, map[string]string{"Email": "a@b"}},
		{`{"sub":"u","email":"a@b"}`, map[string]string{"Email": "a@b"}},
		{`{"sub":"u","email":"a@b","email_verified":false}`, nil},
		{`{"sub":"u","email":"a@b","email_verified":"false"}`, nil},
		{`{"sub":"u","email":"a@b","email_verified":0}`, nil},
		{`{"sub":"u","email":"a@b","email_verified":null}`, nil},
		{`{"sub":"u","email":["a@b"],"preferred_username":17}`, nil},
		{`{"sub":"u","groups":["a,b","c d\u2028"]}`, map[string]string{"Groups": "a%2Cb,c%20d%E2%80%A8"}},
		{`{"sub":"u","groups":["staff",17]}`, nil},
		{`{"sub":"u","groups":"admin"}`, nil},
		{`{"sub":"u","groups":{"admin":1}}`, nil},
		{
			`{"sub":"u","preferred_username":"a\r\nX-Forwarded-Groups: admin\u0000\u007f%","lone":"\ud800","raw":"` + "\u2028\u007f😀" + `"}`,
			map[string]string{"Preferred-Username": "a%0D%0AX-Forwarded-Groups:%20admin%00%7F%25"},
		},
	} {
		claims = tt.claims
		if status, _, body := h.get("/", "Authorization", "Bearer x"); status != 200 {
			t.Fatalf("%s: %d %s", tt.claims, status, body)
		}
		for _, name := range []string{"Email", "Groups", "Preferred-Username"} {
			if got := b.header().Get("X-Forwarded-" + name); got != tt.want[name] {
				t.Errorf("%s: %s is %q, want %q", tt.claims, name, got, tt.want[name])
			}
		}
		info := b.header().Get("X-Portcullis-Userinfo")
		if info == "" {
			t.Errorf("%s: no userinfo", tt.claims)
		}
		for i, c := range []byte(info) {
			if c < ' ' || c >= 0x7F {
				t.Errorf("%s: userinfo byte %d is %#x", tt.claims, i, c)
			}
		}
	}
}

// What a backend's Connection lists is for us, in a refused handshake as in a
// call (RFC 9110, section 7.6.1). Of one that also lists "close", net/http tells
// nothing.
func TestAnswersLoseWhatConnectionLists(t *testing.T) {
	backend := newWire(t, "HTTP/1.1 403 Forbidden\r\nConnection: X-Other, x-hop\r\nX-Hop: 1\r\nX-End: 1\r\nContent-Length: 0\r\n\r\n")
	h := openFor(t, backend.url(), onePublic)
	for _, request := range []string{"GET / HTTP/1.1\r\nHost: a\r\n\r\n", handshake("/")} {
		got := h.send(request).answer()
		if got.StatusCode != 403 || got.Header.Get("X-Hop") != "" || got.Header.Get("X-End") != "1" {
			t.Errorf("%.40q: %d %v; want X-End and no X-Hop", request, got.StatusCode, got.Header)
		}
	}
}
