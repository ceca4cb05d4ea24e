package gateway_test

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/portcullis-auth/portcullis/dev/issuer"
	"github.com/portcullis-auth/portcullis/gateway"
)

// reload has the house's gateway work by other verifiers and routes.
func (h *house) reload(verify, routes string) (ended, asked int, err error) {
	h.t.Helper()
	c, err := h.load(verify, routes)
	if err != nil {
		h.t.Fatal(err)
	}
	return h.Reload(c)
}

// reloads wants reload to end and to ask about so many sessions.
func (h *house) reloads(verify, routes string, ended, asked int) {
	h.t.Helper()
	if e, a, err := h.reload(verify, routes); e != ended || a != asked || err != nil {
		h.t.Errorf("Reload: %d ended, %d asked about, %v; want %d, %d", e, a, err, ended, asked)
	}
}

// L5: a reload keeps every socket whose route stays and whose user the new rule
// allows, with the backend that it has, and ends the others so that they come back
// to be judged anew.
func TestL5ReloadKeepsSockets(t *testing.T) {
	const before = `
routes:
  - {path: /stays, backend: BACKEND}
  - {path: /moves, backend: BACKEND}
  - {path: /goes, backend: BACKEND}
  - {path: /wide/, backend: BACKEND}
  - {path: /closes, backend: BACKEND, public: true}
  - {path: /opens, backend: BACKEND}
  - {path: /public, backend: BACKEND, public: true}
  - {path: /ruled, backend: BACKEND, allow: '"chat" in identity.scopes'}
  - {path: /header, backend: BACKEND}
  - {path: /judged, backend: BACKEND, messages: {allow: message.size < 100}}
  - {path: /judged-anew, backend: BACKEND, messages: {allow: message.size < 100}}
  - {path: /odd/, backend: BACKEND, insecure_paths: encoded_slash}
  - {path: /dropped, backend: BACKEND, messages: {allow: message.size < 100, otherwise: drop}}
  - {path: /, backend: BACKEND}
`
	const after = `
routes:
  - {path: /stays, backend: BACKEND, ping: 1m, limits: {sockets: 100}}
  - {path: /moves, backend: 'http://127.0.0.1:1'}
  - {path: /wide/, backend: BACKEND}
  - {path: /wide/admin/, backend: BACKEND, allow: '"admin" in identity.scopes'}
  - {path: /closes, backend: BACKEND}
  - {path: /opens, backend: BACKEND, public: true}
  - {path: /public, backend: BACKEND, public: true, close_codes: policy}
  - {path: /ruled, backend: BACKEND, close_codes: 4xxx, allow: '"admin" in identity.scopes'}
  - {path: /header, backend: BACKEND, allow: '!("x-guest" in request.headers)'}
  - {path: /judged, backend: BACKEND, messages: {allow: message.size < 100}}
  - {path: /judged-anew, backend: BACKEND, messages: {allow: message.size < 10}}
  - {path: /odd/, backend: BACKEND, insecure_paths: encoded_slash}
  - {path: /odd/c/, backend: BACKEND, insecure_paths: encoded_slash}
  - {path: /dropped, backend: BACKEND, messages: {allow: message.size < 100}}
  - {path: /, backend: BACKEND}
`
	h := open(t, newBackend(), before)
	var later []func()
	for _, tt := range []struct {
		path   string
		scopes []string
		code   int // of its end; 0: it stays
		reason string
	}{
		{path: "/stays"},
		{path: "/stays/below"},
		{path: "/moves"},
		{path: "/goes", code: 1012, reason: "shutdown"},
		{path: "/wide/"},
		{path: "/wide/chat"},
		{path: "/wide/admin/x", code: 1012, reason: "shutdown"},
		{path: "/closes", code: 1012, reason: "shutdown"},
		{path: "/opens", code: 1012, reason: "shutdown"},
		{path: "/public"},
		{path: "/ruled", scopes: []string{"openid", "profile", "chat", "admin"}},
		{path: "/ruled", scopes: []string{"openid", "profile", "chat"}, code: 4403, reason: "forbidden"},
		{path: "/header", code: 1012, reason: "shutdown"},
		{path: "/judged"},
		{path: "/judged-anew", code: 1012, reason: "shutdown"},
		{path: "/odd/a%2Fb"},
		{path: "/odd/c%2Fd", code: 1012, reason: "shutdown"},
		{path: "/dropped", code: 1012, reason: "shutdown"},
		{path: "/"},
	} {
		token := h.token("alice", issuer.TokenOptions{Scopes: tt.scopes}).Access
		c := h.socket(tt.path, "Authorization: Bearer "+token)
		c.text("before")
		user := "alice"
		if tt.path == "/public" || tt.path == "/closes" {
			user = ""
		}
		c.want(user + ": before")
		later = append(later, func() {
			if tt.code != 0 {
				c.wantClose(tt.code, tt.reason)
				return
			}
			c.text("after " + tt.path)
			c.want(user + ": after " + tt.path)
		})
	}
	h.reloads(introspection+uncached, after, 9, 0)
	token := h.token("alice", issuer.TokenOptions{Scopes: []string{"openid", "chat"}}).Access
	for path, want := range map[string]int{"/goes": 101, "/closes": 101, "/opens": 101, "/wide/admin/x": 403, "/moves": 502} {
		c := h.send(handshake(path, "Authorization: Bearer "+token))
		if got := c.answer().StatusCode; got != want {
			t.Errorf("a new socket at %s: %d, want %d", path, got, want)
		}
	}
	for _, f := range later {
		f()
	}
}

// L5: what a running gateway can't take changes nothing.
func TestL5ReloadRefused(t *testing.T) {
	h := open(t, newBackend(), everything)
	c := h.socket("/", "Authorization: Bearer "+h.token("alice", issuer.TokenOptions{}).Access)
	_, _, err := h.reload(introspection+uncached, "tickets: {}\nlimits: {header_time: 9s}\nroutes: [{path: /other, backend: BACKEND}]\n")
	if err == nil || !strings.HasPrefix(err.Error(), "limits.header_time, tickets changed, which needs a restart") {
		t.Errorf("Reload: %v", err)
	}
	c.text("still")
	c.want("alice: still")
	if status, _, _ := h.get("/", "Authorization", "Bearer "+h.token("alice", issuer.TokenOptions{}).Access); status != http.StatusOK {
		t.Errorf("the old route answers %d, want 200", status)
	}
}

// L5, L2: limits that change go on counting what is there.
func TestL5ReloadLimits(t *testing.T) {
	routes := func(all, route int) string {
		return fmt.Sprintf("limits: {sockets: %d}\nroutes:\n  - {path: /, backend: BACKEND, limits: {sockets_per_user: %d}}\n", all, route)
	}
	h := open(t, newBackend(), routes(9, 2))
	bearer := "Authorization: Bearer " + h.token("alice", issuer.TokenOptions{}).Access
	try := func(what string, want int) {
		t.Helper()
		if got := h.send(handshake("/", bearer)).answer().StatusCode; got != want {
			t.Errorf("%s: %d, want %d", what, got, want)
		}
	}
	h.socket("/", bearer)
	h.socket("/", bearer)
	try("the third of two", 429)
	h.reloads(introspection+uncached, routes(9, 3), 0, 0)
	try("the third of three", 101)
	try("the fourth of three", 429)
	h.reloads(introspection+uncached, routes(3, 9), 0, 0)
	try("the fourth of three on the node", 429)
	h.reloads(introspection+uncached, routes(4, 9), 0, 0)
	try("the fourth of four on the node", 101)
	try("the fifth of four on the node", 429)
}

// L5, L2: a limit of the whole node that wasn't there binds routes whose own limits
// stay.
func TestL5ReloadFirstLimit(t *testing.T) {
	const routes = "routes:\n  - {path: /, backend: BACKEND, limits: {sockets: 9}}\n"
	h := open(t, newBackend(), routes)
	h.reloads(introspection+uncached, "limits: {sockets: 1}\n"+routes, 0, 0)
	bearer := "Authorization: Bearer " + h.token("alice", issuer.TokenOptions{}).Access
	h.socket("/", bearer)
	if got := h.send(handshake("/", bearer)).answer().StatusCode; got != 429 {
		t.Errorf("the second of one on the node: %d, want 429", got)
	}
}

// L5: who lives on the word of a token system that is asked in another way now is
// asked about again, and who lives on that of one that is gone comes back. Those of
// a token system that stays are left alone.
func TestL5ReloadVerifiers(t *testing.T) {
	verify := func(audience string, others ...string) string {
		return strings.Join(append([]string{
			"- {name: staff, for: {issuers: ISSUER}, jwt: {issuer: ISSUER, audience: " + audience + "}}",
		}, others...), "\n  ")
	}
	const rest = "- {name: rest, introspection: {url: ISSUER/oauth/introspect, client_id: gateway, client_secret_env: SECRET}}"
	h := openWith(t, start(t, newBackend()), verify("gateway", rest), everything)
	staff := h.socket("/", "Authorization: Bearer "+h.token("alice", issuer.TokenOptions{Kind: issuer.JWT}).Access)
	opaque := h.socket("/", "Authorization: Bearer "+h.token("alice", issuer.TokenOptions{Kind: issuer.Opaque}).Access)
	alive := func(c *client) {
		t.Helper()
		c.text("alive")
		c.want("alice: alive")
	}
	h.reloads(verify("gateway", rest), everything, 0, 0)
	alive(staff)
	alive(opaque)

	h.reloads(verify("[gateway, another]", rest), everything, 0, 1)
	alive(staff)

	h.reloads(verify("another", rest), everything, 0, 1)
	staff.wantClose(3003, "session_revoked")
	alive(opaque)

	h.reloads(verify("gateway"), everything, 1, 0)
	opaque.wantClose(1012, "shutdown")
	again := h.socket("/", "Authorization: Bearer "+h.token("alice", issuer.TokenOptions{Kind: issuer.JWT}).Access)
	alive(again)
}

// L5: whoever comes while the configuration is reloaded again and again, token
// systems too, is served, and no socket is lost.
func TestL5ReloadUnderLoad(t *testing.T) {
	h := open(t, newBackend(), everything)
	token := h.token("alice", issuer.TokenOptions{}).Access
	const sockets = 20
	var live []*client
	for range sockets {
		live = append(live, h.socket("/", "Authorization: Bearer "+token))
	}
	done := make(chan struct{})
	var coming sync.WaitGroup
	calls := 0
	coming.Go(func() {
		for {
			select {
			case <-done:
				return
			default:
			}
			r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, h.url+"/", http.NoBody)
			if err != nil {
				t.Error(err)
				return
			}
			r.Header.Set("Authorization", "Bearer "+token)
			resp, err := http.DefaultClient.Do(r)
			if err != nil {
				t.Error(err)
				return
			}
			_, _ = io.Copy(io.Discard, resp.Body)
			_ = resp.Body.Close()
			if resp.StatusCode != http.StatusOK {
				t.Errorf("a call: %d, want 200", resp.StatusCode)
			}
			calls++
		}
	})
	coming.Go(func() {
		for {
			select {
			case <-done:
				return
			default:
			}
			c := h.send(handshake("/", "Authorization: Bearer "+token))
			if got := c.answer().StatusCode; got != http.StatusSwitchingProtocols {
				t.Errorf("a handshake: %d, want 101", got)
			}
			_ = c.Close()
		}
	})
	for i := range 60 {
		verify := introspection + uncached
		if i%2 == 0 { // another token system, by its configuration
			verify += "\n  outage: {failures: 7}"
		}
		if _, _, err := h.reload(verify, fmt.Sprintf("access_log: %d\nlimits: {sockets: %d}\n%s", i%3, 100+i, everything)); err != nil {
			t.Error(err)
		}
	}
	close(done)
	coming.Wait()
	if calls == 0 {
		t.Error("nobody came meanwhile")
	}
	for _, c := range live {
		c.text("alive")
		c.want("alice: alive")
	}
}

// L5: a handshake whose token is being looked at during a reload is judged by the new
// configuration.
func TestL5ReloadWhileAdmitting(t *testing.T) {
	const before = `
routes:
  - {path: /, backend: BACKEND, messages: {allow: message.size < 100}}
`
	for _, tt := range []struct {
		name, routes string
		anew         bool // the token system is asked in another way
		want         int
	}{
		{"nothing has changed", before, false, 101},
		{"the rule allows it", strings.Replace(before, "messages", `allow: '"chat" in identity.scopes', messages`, 1), false, 101},
		{"the rule forbids it", strings.Replace(before, "messages", `allow: '"admin" in identity.scopes', messages`, 1), false, 403},
		{"the route is gone", "routes:\n  - {path: /other, backend: BACKEND}\n", false, 503},
		{"the rule for messages is another", strings.Replace(before, "100", "10", 1), false, 503},
		{"the token system is another", before, true, 101},
	} {
		t.Run(tt.name, func(t *testing.T) {
			asked, answer := make(chan struct{}, 9), make(chan struct{})
			tokens := start(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				asked <- struct{}{}
				select {
				case <-answer:
				case <-r.Context().Done():
				}
				w.Header().Set("Content-Type", "application/json")
				_, _ = io.WriteString(w, `{"active": true, "sub": "alice", "scope": "chat"}`)
			}))
			verify := "introspection: {url: '" + tokens + "', client_id: gateway, client_secret_env: SECRET}"
			b := newBackend()
			h := openWith(t, start(t, b), verify, before)
			c := h.send(handshake("/", "Authorization: Bearer whatever"))
			<-asked
			if tt.anew {
				verify += "\n  outage: {failures: 7}"
			}
			if _, _, err := h.reload(verify, tt.routes); err != nil {
				t.Fatal(err)
			}
			if tt.anew {
				<-asked // the new one, too
			}
			close(answer)
			if got := c.answer().StatusCode; got != tt.want {
				t.Errorf("%d, want %d", got, tt.want)
			}
			if n := b.calls.Load(); (n > 0) != (tt.want == 101) {
				t.Errorf("the backend was called %d times", n)
			}
		})
	}
}

// L5: neither does a session escape that nobody can have found, between its verdict
// and its registration: however often the configuration changes then.
func TestL5ReloadInTheMiddle(t *testing.T) {
	const routes = "routes:\n  - {path: /, backend: BACKEND, allow: 'true', messages: {allow: message.size < 100}}\n"
	const verify = "jwt: {issuer: ISSUER, audience: gateway}"
	other := strings.Replace(routes, "100", "10", 1)
	for _, tt := range []struct {
		name    string
		reloads [][2]string
		want    int
	}{
		{"nothing has changed", [][2]string{{verify, routes}}, 101},
		{"the rule for messages", [][2]string{{verify, other}}, 503},
		{"that, and then nothing", [][2]string{{verify, other}, {verify, other}}, 503},
		{"that, and then all of it", [][2]string{{verify, other}, {verify, "routes:\n  - {path: /other, backend: BACKEND}\n"}}, 503},
	} {
		t.Run(tt.name, func(t *testing.T) {
			h := openWith(t, start(t, newBackend()), verify, routes)
			gateway.WithRule(h.Gateway, "/", func() {
				for _, r := range tt.reloads {
					if _, _, err := h.reload(r[0], r[1]); err != nil {
						t.Error(err)
					}
				}
			})
			token := h.token("alice", issuer.TokenOptions{Kind: issuer.JWT}).Access
			if got := h.send(handshake("/", "Authorization: Bearer "+token)).answer().StatusCode; got != tt.want {
				t.Errorf("%d, want %d", got, tt.want)
			}
		})
	}
	t.Run("the token system", func(t *testing.T) { // which isn't asked about whom it doesn't know of
		h := openWith(t, start(t, newBackend()), verify, routes)
		gateway.WithRule(h.Gateway, "/", func() {
			if _, _, err := h.reload("jwt: {issuer: ISSUER, audience: another}", routes); err != nil {
				t.Error(err)
			}
		})
		token := h.token("alice", issuer.TokenOptions{Kind: issuer.JWT}).Access
		h.socket("/", "Authorization: Bearer "+token).wantClose(3003, "session_revoked")
	})
}
