package gateway_test

import (
	"io"
	"net/http"
	"net/url"
	"path"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode"

	"github.com/portcullis-auth/portcullis/dev/issuer"
)

// FuzzFront holds the front to P1: the target and the Host of whatever it lets
// through reach the backend byte by byte, as a call and as a handshake, the
// rule saw the path that the backend will see, and nobody who decodes, cuts
// parameters off or cleans in another order finds another path in it.
func FuzzFront(f *testing.F) {
	for _, target := range []string{
		"/", "/api/me", "/a%20b?q=%2F..%2f&x=a%zz", "//api", "/api//me", "/public/../api", "/public/..", "/public/./x",
		"/public/%2e%2e/api", "/public/%2E./api", "/public/..;/api", "/public/..;v=1/api", "/public/..%2fapi",
		"/public%2F..%2Fapi", "/public/..%5capi", "/public\\..\\api", "/api%00", "/api#x", "/api?a=1;b=2", "/api\xc3\xa9",
		"http://app.example.com/api", "*", "app.example.com:80", "/%zz", "/a|b^c`d{e}\"<f>[g]", "/a?", "/a??b=?", "/%41%c3%a9",
		"/;/admin", "/admin;x/y", "/admin%3bx/y", "/a%3Fb", "/a+b%2b", "/%252e%252e/", "/a:b@c", "/'()*!$&,=~",
	} {
		f.Add(target, "app.example.com")
	}
	for _, host := range []string{
		"", "APP.example.com", "app.example.com.", "app.example.com:80", "app.example.com:", "app.example.com:80@b", "u@app.example.com",
		"[::1]", "[::1]:80", "[fe80::1%25eth0]", "app.example.com:x", "app.example.com:1:2", "a/b", "%61pp.example.com", "a,b", "xn--nxasmq6b", "a_b",
	} {
		f.Add("/", host)
	}

	var h *house
	judged := make(chan []string, 1) // the paths that were judged: this one, and some whose sessions aren't quite over
	backend := newWire(f, noContent, func() {
		var paths []string
		for s := range h.Guard().Sessions() {
			paths = append(paths, s.Path)
		}
		judged <- paths
	})
	h = openFor(f, backend.url(), "\nroutes:\n  - {path: /, backend: BACKEND}\n")
	bearer := "Authorization: Bearer " + h.token("alice", issuer.TokenOptions{Lifetime: 24 * time.Hour}).Access + "\r\n"
	f.Fuzz(func(t *testing.T, target, host string) {
		if strings.ContainsAny(target+host, "\r\n") || len(target)+len(host) > 4096 || strings.ContainsAny(host, " \t") {
			return // another request altogether
		}
		h.t = t
		for _, request := range []string{
			"GET " + target + " HTTP/1.1\r\nHost: " + host + "\r\n" + bearer + "Connection: close\r\n\r\n",
			strings.Replace(strings.Replace(handshake(target, bearer[:len(bearer)-2]), "Host: app.example.com", "Host: "+host, 1), "Upgrade\r\n", "close, Upgrade\r\n", 1),
		} {
			c := h.send(request)
			resp := c.answer()
			_, _ = io.Copy(io.Discard, resp.Body)
			_ = c.Close()
			if resp.StatusCode == http.StatusBadRequest {
				continue
			}
			if resp.StatusCode == http.StatusNotFound && strings.HasPrefix(target, "/.portcullis") || resp.StatusCode == http.StatusMethodNotAllowed {
				continue // the gateway's own
			}
			if resp.StatusCode != http.StatusNoContent {
				t.Fatalf("%q, Host %q: %s", target, host, resp.Status)
			}
			got, rest, _ := strings.Cut(<-backend.heads, "\r\n")
			if want := "GET " + target + " HTTP/1.1"; got != want && !takesToken(target) {
				t.Fatalf("the backend got %q, want %q", got, want)
			}
			if gotHost, _, _ := strings.Cut(rest, "\r\n"); gotHost != "Host: "+host {
				t.Fatalf("the backend got %q, want Host: %s", gotHost, host)
			}
			raw, _, _ := strings.Cut(target, "?")
			if decoded, err := url.PathUnescape(raw); err != nil || !slices.Contains(<-judged, decoded) {
				t.Fatalf("%q was judged as another path", target)
			}
			wantPlain(t, target)
		}
	})
}

// takesToken reports whether a source takes something out of the target.
func takesToken(target string) bool {
	u, err := url.ParseRequestURI(target)
	return err == nil && u.Query().Has("token")
}

// wantPlain wants the target's path to be the same for everybody.
func wantPlain(t *testing.T, target string) {
	t.Helper()
	raw, _, _ := strings.Cut(target, "?")
	decoded, err := url.PathUnescape(raw)
	if err != nil {
		t.Fatalf("%q doesn't decode: %v", raw, err)
	}
	if strings.Count(raw, "/") != strings.Count(decoded, "/") || strings.ContainsAny(decoded, ";\\\x00") {
		t.Fatalf("%q decodes to %q", raw, decoded)
	}
	if clean := path.Clean(decoded); clean != decoded && clean+"/" != decoded {
		t.Fatalf("%q becomes %q", raw, clean)
	}
	if strings.ContainsFunc(target, func(r rune) bool { return r > unicode.MaxASCII || r <= ' ' }) {
		t.Fatalf("%q holds what must be encoded", target)
	}
}
