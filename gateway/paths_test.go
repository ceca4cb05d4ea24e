package gateway_test

import (
	"strings"
	"testing"

	"github.com/portcullis-auth/portcullis/dev/issuer"
)

// P1: an odd path passes only where the route says so, and only if everybody,
// however he reads it, comes to the same route. Rule and backend see it raw.
func TestP1InsecurePaths(t *testing.T) {
	backend := newWire(t, noContent)
	h := openFor(t, backend.url(), `
routes:
  - {path: /, backend: BACKEND, public: true}
  - {path: /files/, backend: BACKEND, public: true, insecure_paths: [encoded_slash, double_slash, semicolon]}
  - {path: /files/secret/, backend: BACKEND, insecure_paths: encoded_slash}
  - {path: /slash/, backend: BACKEND, insecure_paths: encoded_slash, allow: 'request.path == "/slash/a%2Fb"'}
  - {path: /café/, backend: BACKEND, insecure_paths: [encoded_slash]}
`)
	bearer := "Authorization: Bearer " + h.token("alice", issuer.TokenOptions{}).Access
	for target, want := range map[string]int{
		"/files/a%2Fb": 204, "/files/a%2fb?x=1": 204, "/files/a//b": 204, "/files/a;v=1/b": 204, "/files/a%3bb": 204, "/files/a?x=1;y=2": 204,
		"/slash/a%2Fb": 204, "/slash/a%2Fc": 403, "/slash/ab": 403,
		"/slash/a//b": 400, "/slash/a;b": 400, "/slash/a%2Fb?x;y": 400,
		"/a%2Fb": 400, "/a//b": 400, "/a;b": 400, // this route doesn't say so
		"//files/a": 400, "//files.example.com/files/": 400,
		"/files/..%2Fslash/a": 400, "/files/a%2F..%2Fb": 400, "/files/a/..;/b": 400, "/files/%2e%2e%2Fa": 400, "/files/a%2F.": 400, "/files/.;x": 400,
		"/files/a%2Fb%00": 400, "/files/a%5Cb%2Fc": 400,
		"/files/secret%2Fa": 400, "/files//secret/a": 400, "/files/secret;x/a": 400, "/files/%73ecret/a%2Fb": 400, "/fil%65s/a%2Fb": 400, // /files/secret/, to some
		"/files/%61%2Fb": 400, "/files/%2Da?x;y": 400, // the rule would see it otherwise
		"/files/secret/a%2Fb": 204, "/files/;/secret/": 400,
		"/caf%C3%A9/a%2Fb":      400, // by its raw path it isn't there
		"/.portcullis%2Fticket": 400, "/.portcullis/ticket;x": 400,
	} {
		for what, request := range map[string]string{
			"call":      "GET " + target + " HTTP/1.1\r\nHost: app.example.com\r\nConnection: close\r\n" + bearer + "\r\n\r\n",
			"handshake": handshake(target, bearer),
		} {
			status, _ := h.raw(request)
			if status != want {
				t.Errorf("%s %s: status %d, want %d", what, target, status, want)
			}
			if status != 204 {
				continue
			}
			if head := <-backend.heads; !strings.HasPrefix(head, "GET "+target+" HTTP/1.1\r\n") {
				t.Errorf("%s %s: the backend got %q", what, target, head)
			}
		}
	}
}
