package gateway_test

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/portcullis-auth/portcullis/dev/issuer"
)

const introspection = "introspection: {url: ISSUER/oauth/introspect, client_id: gateway, client_secret_env: SECRET}"

// uncached has it asked each time.
const uncached = "\n  cache: {max_age: 0s}"

// withTickets are routes, and tickets.
const withTickets = "tickets: {}\n" + chatAndAPI

// post calls one of our endpoints with JSON.
func (h *house) post(path, body string, headers ...string) (int, http.Header, map[string]any) {
	h.t.Helper()
	r, err := http.NewRequestWithContext(h.t.Context(), http.MethodPost, h.url+path, strings.NewReader(body))
	if err != nil {
		h.t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/json")
	for i := 0; i < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	resp, err := (&http.Transport{DisableKeepAlives: true}).RoundTrip(r)
	if err != nil {
		h.t.Fatal(err)
	}
	defer resp.Body.Close()
	raw, _ := io.ReadAll(resp.Body)
	var answer map[string]any
	_ = json.Unmarshal(raw, &answer)
	return resp.StatusCode, resp.Header, answer
}

// R7: a ticket opens one socket, once, for the page, host and path that it was
// made for; its token is checked again then.
func TestR7TicketOpensOneSocket(t *testing.T) {
	h := openWith(t, start(t, newBackend()), introspection+uncached, withTickets)
	token := h.token("alice", issuer.TokenOptions{})
	const app, host = "https://app.example.com", "app.example.com"
	mine := func() string {
		status, _, answer := h.postAs(host, "/.portcullis/ticket", `{"path":"/wsapi/"}`, "Authorization", "Bearer "+token.Access, "Origin", app)
		if status != 200 {
			t.Fatalf("ticket: %d %v", status, answer)
		}
		return answer["ticket"].(string)
	}
	good := mine()
	for _, tt := range []struct{ name, request string }{
		{"another page", handshake("/wsapi/?ticket="+mine(), "Origin: https://evil.example.com")},
		{"no page", handshake("/wsapi/?ticket=" + mine())},
		{"another path", handshake("/wsapi/x?ticket="+mine(), "Origin: "+app)},
		{"another host", strings.Replace(handshake("/wsapi/?ticket="+mine(), "Origin: "+app), "Host: app.example.com", "Host: other.example.com", 1)},
		{"tampered", handshake("/wsapi/?ticket="+good[:len(good)-4]+"AAAA", "Origin: "+app)},
		{"another key's id", handshake("/wsapi/?ticket=AAAA"+good[4:], "Origin: "+app)},
		{"two of them", handshake("/wsapi/?ticket="+mine()+"&ticket="+mine(), "Origin: "+app)},
		{"the token itself", handshake("/wsapi/?ticket="+token.Access, "Origin: "+app)},
		{"nothing", handshake("/wsapi/?ticket=", "Origin: "+app)},
	} {
		if got := h.send(tt.request).answer().StatusCode; got != 401 && got != 403 {
			t.Errorf("%s: %d, want 401 or 403", tt.name, got)
		}
	}
	c := h.socket("/wsapi/?ticket="+good, "Origin: "+app)
	c.text("hello")
	c.want("alice: hello")
	if got := h.send(handshake("/wsapi/?ticket="+good, "Origin: "+app)).answer().StatusCode; got != 401 {
		t.Errorf("redeemed twice: %d, want 401", got)
	}
	bySubprotocol := h.send(handshake("/wsapi/", "Origin: "+app, "Sec-WebSocket-Protocol: ticket, "+mine())).answer()
	if got := bySubprotocol.Header.Get("Sec-WebSocket-Protocol"); bySubprotocol.StatusCode != 101 || got != "ticket" {
		t.Errorf("by subprotocol: %d, selected %q", bySubprotocol.StatusCode, got)
	}
	late := mine()
	h.issuer.RevokeSession(token.SID)
	if got := h.send(handshake("/wsapi/?ticket="+late, "Origin: "+app)).answer().StatusCode; got != 401 {
		t.Errorf("the token was withdrawn before the ticket was redeemed: %d, want 401", got)
	}
	if log := h.log.String(); strings.Contains(log, good) || strings.Contains(log, late) {
		t.Error("a ticket is in the log")
	}
}

// postAs is post with another Host.
func (h *house) postAs(host, path, body string, headers ...string) (int, http.Header, map[string]any) {
	h.t.Helper()
	c := h.send(fmt.Sprintf("POST %s HTTP/1.1\r\nHost: %s\r\nConnection: close\r\nContent-Type: application/json\r\nContent-Length: %d\r\n%s\r\n%s",
		path, host, len(body), headerLines(headers), body))
	resp := c.answer()
	raw, _ := io.ReadAll(resp.Body)
	var answer map[string]any
	_ = json.Unmarshal(raw, &answer)
	return resp.StatusCode, resp.Header, answer
}

func headerLines(headers []string) (s string) {
	for i := 0; i < len(headers); i += 2 {
		s += headers[i] + ": " + headers[i+1] + "\r\n"
	}
	return s
}

// R7: of a hundred who redeem one ticket at the same time one gets in.
func TestR7TicketRace(t *testing.T) {
	h := openWith(t, start(t, newBackend()), introspection, withTickets)
	token := h.token("alice", issuer.TokenOptions{})
	_, _, answer := h.postAs("app.example.com", "/.portcullis/ticket", `{"path":"/wsapi/"}`, "Authorization", "Bearer "+token.Access)
	var wg sync.WaitGroup
	var mu sync.Mutex
	got := map[int]int{}
	for range 100 {
		c := h.send(handshake("/wsapi/?ticket=" + answer["ticket"].(string)))
		wg.Go(func() {
			status := c.answer().StatusCode
			mu.Lock()
			defer mu.Unlock()
			got[status]++
		})
	}
	wg.Wait()
	if got[101] != 1 || got[401] != 99 {
		t.Errorf("got %v, want one 101 and 99 times 401", got)
	}
}

// Who may not open the socket gets no ticket for it, and nonsense is told so.
func TestTicketRefusals(t *testing.T) {
	h := openWith(t, start(t, newBackend()), introspection, withTickets)
	alice, carol := h.token("alice", issuer.TokenOptions{}).Access, h.token("carol", issuer.TokenOptions{}).Access
	for _, tt := range []struct {
		name, body string
		headers    []string
		status     int
	}{
		{"no token", `{"path":"/wsapi/"}`, nil, 401},
		{"bad token", `{"path":"/wsapi/"}`, []string{"Authorization", "Bearer x"}, 401},
		{"not allowed there", `{"path":"/wsapi/"}`, []string{"Authorization", "Bearer " + carol}, 403},
		{"no body", ``, []string{"Authorization", "Bearer " + alice}, 400},
		{"another member", `{"path":"/wsapi/","x":1}`, []string{"Authorization", "Bearer " + alice}, 400},
		{"no path", `{"path":""}`, []string{"Authorization", "Bearer " + alice}, 400},
		{"a URL", `{"path":"https://app.example.com/wsapi/"}`, []string{"Authorization", "Bearer " + alice}, 400},
		{"a query", `{"path":"/wsapi/?x"}`, []string{"Authorization", "Bearer " + alice}, 400},
		{"our own", `{"path":"/.portcullis/ticket"}`, []string{"Authorization", "Bearer " + alice}, 400},
		{"too much", `{"path":"/` + strings.Repeat("x", 5000) + `"}`, []string{"Authorization", "Bearer " + alice}, 400},
		{"a form", `path=/wsapi/`, []string{"Authorization", "Bearer " + alice, "Content-Type", "application/x-www-form-urlencoded"}, 415},
		{"cookie without Origin", `{"path":"/wsapi/"}`, []string{"Cookie", "session=" + alice}, 403},
		{"cookie, foreign Origin", `{"path":"/wsapi/"}`, []string{"Cookie", "session=" + alice, "Origin", "https://evil.example.com"}, 403},
		{"cookie, own Origin", `{"path":"/wsapi/"}`, []string{"Cookie", "session=" + alice, "Origin", h.url}, 200},
		{"cookie, listed Origin", `{"path":"/wsapi/"}`, []string{"Cookie", "session=" + alice, "Origin", "https://app.example.com"}, 200},
	} {
		if status, _, answer := h.post("/.portcullis/ticket", tt.body, tt.headers...); status != tt.status {
			t.Errorf("%s: %d %v, want %d", tt.name, status, answer, tt.status)
		}
	}
	if status, _, _ := h.get("/.portcullis/ticket?token=" + alice); status != 405 {
		t.Errorf("GET: %d, want 405", status)
	}
	without := openWith(t, start(t, newBackend()), introspection, chatAndAPI)
	if status, _, _ := without.post("/.portcullis/ticket", `{"path":"/wsapi/"}`, "Authorization", "Bearer "+alice); status != 404 {
		t.Errorf("not enabled: %d, want 404", status)
	}
}

// Pages of the routes' origins may call, with cookies; others learn nothing.
func TestOwnEndpointsCORS(t *testing.T) {
	h := openWith(t, start(t, newBackend()), introspection, withTickets)
	preflight := func(origin string) *http.Response {
		return h.send("OPTIONS /.portcullis/renew HTTP/1.1\r\nHost: api.example.com\r\nConnection: close\r\nAccess-Control-Request-Method: POST\r\nOrigin: " + origin + "\r\n\r\n").answer()
	}
	ok := preflight("https://app.example.com")
	if ok.StatusCode != 204 || ok.Header.Get("Access-Control-Allow-Origin") != "https://app.example.com" || ok.Header.Get("Access-Control-Allow-Credentials") != "true" ||
		ok.Header.Get("Access-Control-Allow-Methods") != "POST" || !strings.Contains(ok.Header.Get("Access-Control-Allow-Headers"), "Content-Type") {
		t.Errorf("listed: %d %v", ok.StatusCode, ok.Header)
	}
	for _, origin := range []string{"https://evil.example.com", "null", "https://app.example.com.evil.example.com"} {
		if got := preflight(origin); got.StatusCode != 403 || got.Header.Get("Access-Control-Allow-Origin") != "" {
			t.Errorf("%s: %d %v", origin, got.StatusCode, got.Header)
		}
	}
	// A refusal carries the headers too, or script couldn't see that it is one.
	status, header, _ := h.post("/.portcullis/renew", `{"session":"x"}`, "Origin", "https://app.example.com")
	if status != 401 || header.Get("Access-Control-Allow-Origin") == "" || header.Get("Vary") != "Origin" {
		t.Errorf("refused: %d %v", status, header)
	}
}

// S7: a renewed socket lives on past its first token, and its user stays.
func TestRenewByTicketsHandle(t *testing.T) {
	h := openWith(t, start(t, newBackend()), introspection, withTickets)
	short := h.token("alice", issuer.TokenOptions{Lifetime: 4 * time.Second})
	_, _, answer := h.postAs("app.example.com", "/.portcullis/ticket", `{"path":"/wsapi/"}`, "Authorization", "Bearer "+short.Access)
	session := answer["session"].(string)
	c := h.socket("/wsapi/?ticket=" + answer["ticket"].(string))
	fresh := h.token("alice", issuer.TokenOptions{Lifetime: time.Hour})
	renew := func(session, token string) (int, map[string]any) {
		status, _, answer := h.post("/.portcullis/renew", `{"session":"`+session+`"}`, "Authorization", "Bearer "+token)
		return status, answer
	}
	if status, answer := renew(session, h.token("bob", issuer.TokenOptions{}).Access); status != 403 {
		t.Errorf("by somebody else: %d %v, want 403", status, answer)
	}
	if status, _ := renew("t-nothing", fresh.Access); status != 404 {
		t.Errorf("nothing: %d, want 404", status)
	}
	if status, answer := renew(session, fresh.Access); status != 200 || answer["valid_for"].(float64) < 3000 {
		t.Errorf("renew: %d %v", status, answer)
	}
	// The handle of the library does too.
	handle := ""
	for info := range h.Guard().Sessions() {
		if info.Kind == "socket" {
			handle = info.Handle
		}
	}
	if status, _ := renew(handle, h.token("alice", issuer.TokenOptions{Lifetime: 2 * time.Hour}).Access); status != 200 {
		t.Errorf("by handle: %d, want 200", status)
	}
	c.text("still here")
	c.want("alice: still here")

	// A token with fewer rights than the route needs ends the socket.
	less := h.token("alice", issuer.TokenOptions{Scopes: []string{"openid"}})
	if status, _ := renew(session, less.Access); status != 403 {
		t.Errorf("with fewer rights: %d, want 403", status)
	}
	c.wantClose(3003, "forbidden")
	if status, _ := renew(session, fresh.Access); status != 404 {
		t.Errorf("after its end: %d, want 404", status)
	}
}

// Any call with a fresher token of the same login extends its sockets; the
// session endpoint lists them.
func TestSidExtendsSockets(t *testing.T) {
	h := openWith(t, start(t, newBackend()), introspection, chatAndAPI)
	first := h.token("alice", issuer.TokenOptions{Lifetime: time.Minute})
	c := h.socket("/wsapi/?token=" + first.Access)
	fresh := h.token("alice", issuer.TokenOptions{Lifetime: time.Hour, SID: first.SID})
	status, _, body := h.get("/.portcullis/session", "Authorization", "Bearer "+fresh.Access)
	var got struct {
		Sub     string
		Sockets []struct {
			Path     string
			ValidFor int `json:"valid_for"`
		}
	}
	if err := json.Unmarshal([]byte(body), &got); err != nil || status != 200 || got.Sub != "u-alice" || len(got.Sockets) != 1 || got.Sockets[0].Path != "/wsapi/" || got.Sockets[0].ValidFor < 3000 {
		t.Errorf("session: %d %s, %v", status, body, err)
	}
	if strings.Contains(body, fresh.Access) {
		t.Error("it shows the token")
	}
	c.text("x")
	c.want("alice: x")
	if err := h.issuer.LogoutSession(t.Context(), first.SID); err != nil {
		t.Fatal(err)
	}
	c.wantClose(3003, "session_revoked")
}

// Close codes by route, and sockets accepted to be told why.
func TestCloseCodesAndAcceptThenClose(t *testing.T) {
	h := openWith(t, start(t, newBackend()), introspection, `
routes:
  - {path: /iana/, backend: BACKEND}
  - {path: /4xxx/, backend: BACKEND, close_codes: 4xxx, accept_then_close: true, allow: '"chat" in identity.scopes', origins: ['https://app.example.com']}
  - {path: /policy/, backend: BACKEND, close_codes: policy, accept_then_close: true}
`)
	for path, code := range map[string]int{"/iana/": 3003, "/4xxx/": 4403, "/policy/": 1008} {
		token := h.token("alice", issuer.TokenOptions{})
		c := h.socket(path + "?token=" + token.Access)
		if err := h.issuer.LogoutSession(t.Context(), token.SID); err != nil {
			t.Fatal(err)
		}
		c.wantClose(code, "session_revoked")
	}
	carol := h.token("carol", issuer.TokenOptions{}).Access
	h.socket("/4xxx/?token="+carol).wantClose(4403, "forbidden")
	h.socket("/4xxx/").wantClose(4403, "session_revoked")
	h.socket("/policy/?token=bad").wantClose(1008, "session_revoked")
	for _, target := range []string{"/iana/?token=bad", "/4xxx/?token=" + carol, "/4xxx/", "/policy/?token=", "/iana/"} {
		if got := h.send(handshake(target, "Origin: https://evil.example.com")).answer().StatusCode; got != 403 {
			t.Errorf("%s of another origin: %d, want 403", target, got)
		}
	}
	if got := h.send(handshake("/iana/")).answer().StatusCode; got != 401 {
		t.Errorf("without a token: %d, want 401", got)
	}
}

// A token that the token system withdraws without a word ends its socket
// within a re-check.
func TestRecheckEndsSocket(t *testing.T) {
	h := openWith(t, start(t, newBackend()), introspection+uncached+"\n  recheck: 1s", chatAndAPI)
	token := h.token("alice", issuer.TokenOptions{})
	c := h.socket("/wsapi/?token=" + token.Access)
	stays := h.socket("/wsapi/?token=" + h.token("bob", issuer.TokenOptions{}).Access)
	h.issuer.RevokeSession(token.SID) // tells nobody
	c.wantClose(3003, "session_revoked")
	stays.text("x")
	stays.want("bob: x")
}

// Keys in a folder are made once, for its owner alone, and shared.
func TestTicketKeysInAFolder(t *testing.T) {
	dir := t.TempDir()
	routes := "tickets: {keys_dir: " + dir + "}\n" + chatAndAPI
	one := openWith(t, start(t, newBackend()), introspection, routes)
	two := openWith(t, start(t, newBackend()), introspection, routes)
	if entries, err := os.ReadDir(dir); err != nil || len(entries) != 0 {
		t.Errorf("%d files, %v; want none before the first ticket", len(entries), err)
	}
	token := two.token("alice", issuer.TokenOptions{}).Access // of the second one's token system
	_, _, answer := two.postAs("app.example.com", "/.portcullis/ticket", `{"path":"/wsapi/"}`, "Authorization", "Bearer "+token)
	if got := one.send(handshake("/wsapi/?ticket=" + answer["ticket"].(string))).answer().StatusCode; got != 401 {
		t.Errorf("at the other gateway, whose token system doesn't know the token: %d, want 401", got)
	}
	entries, err := os.ReadDir(dir)
	if err != nil || len(entries) != 1 {
		t.Fatalf("%d files, %v; want one", len(entries), err)
	}
	if info, err := entries[0].Info(); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v, %v; want 0600", info.Mode(), err)
	}
	if log := one.log.String(); strings.Contains(log, "empty or ambiguous") {
		t.Errorf("the other gateway couldn't open the ticket:\n%s", log)
	}
}

// R7: a ticket opens a socket and nothing else; W6: it doesn't get in the way of
// tokens, nor of a backend's own parameter of that name.
func TestR7TicketIsForSocketsOnly(t *testing.T) {
	b := newBackend()
	h := openWith(t, start(t, b), introspection, withTickets)
	token := h.token("alice", issuer.TokenOptions{}).Access
	_, _, answer := h.postAs("app.example.com", "/.portcullis/ticket", `{"path":"/api/me"}`, "Authorization", "Bearer "+token)
	c := h.send("DELETE /api/me?ticket=" + answer["ticket"].(string) + " HTTP/1.1\r\nHost: app.example.com\r\nConnection: close\r\n\r\n")
	if got := c.answer().StatusCode; got != 401 {
		t.Errorf("a call by ticket: %d, want 401", got)
	}
	if status, _, _ := h.get("/api/me?ticket=ST-1", "Authorization", "Bearer "+token); status != 200 || !strings.HasSuffix(b.target(), "/api/me?ticket=ST-1") {
		t.Errorf("a backend's own parameter: %d, and it got %s", status, b.target())
	}
	encoded := "base64url.bearer.authorization." + base64.RawURLEncoding.EncodeToString([]byte(token))
	h.send(handshake("/wsapi/", "Sec-WebSocket-Protocol: chat, "+encoded)).answer()
	if got := h.send(handshake("/wsapi/", "Sec-WebSocket-Protocol: chat, "+encoded)).answer().StatusCode; got != 101 {
		t.Errorf("a token spelled in base64url: %d, want 101", got)
	}
}
