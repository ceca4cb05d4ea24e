package interop

import (
	"fmt"
	"net/http"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
)

// signIn opens the page of the chat in a browser context of its own, and the
// user logs in for it at oidc-provider.
func (p page) signIn(origin, user string) page {
	p.Helper()
	p = p.open(chromedp.WithNewBrowserContext())
	p.visit(origin)
	p.fill("input[name=login]", user)
	p.fill("input[name=password]", "any")
	p.click("button[type=submit]")
	p.until(`document.querySelector("input[name=prompt]").value === "consent"`)
	p.click("button[type=submit]")
	p.until(`document.body.dataset.state === "open"`)
	p.say(user, "hello")
	return p
}

// say sends a message, and waits until the page hears it, under the name that
// the gateway vouches for.
func (p page) say(user, text string) {
	p.Helper()
	p.fill("#text", text)
	p.click("#send")
	p.until(fmt.Sprintf(`[...document.querySelectorAll("#log li")].some((li) => li.innerText === %q)`, user+" "+text))
}

// wantClose waits for the end of the page's socket, and says when it was.
func (p page) wantClose() time.Time {
	p.Helper()
	p.until(`document.body.dataset.state === "closed"`)
	if end := run(p, "the end", chromedp.Evaluate[string](`document.querySelector("#end").innerText`)); end != "3003 session_revoked" {
		p.Errorf("the socket ended with %q, want 3003 session_revoked", end)
	}
	return time.UnixMilli(run(p, "the end's time", chromedp.Evaluate[int64](`Date.parse(document.querySelector("#when").dateTime)`)))
}

// R1, R3, R4: what TestR1R3OIDCProviderLogout and TestR1R4SecurityEvents show, as
// users of Chromium see it: a logout at npm oidc-provider in a second tab, and
// then a security event, close the socket of whom they concern, and of nobody
// else. How soon is logged.
func TestR1R3R4Chromium(t *testing.T) {
	p, transmitter, backend, l := getOIDCProvider(t), startSigner(t), startNodeBackend(t), listen(t)
	base := "http://" + l.Addr().String()
	client := p.register(t, base+"/app/callback", base+"/.portcullis/backchannel-logout")
	serveGateway(t, l, fmt.Sprintf(`
verify:
  introspection: {issuer: %[1]s, client_id: gateway, client_secret_env: SECRET}
  recheck: 0s # the signals alone end sockets
logout: {issuer: %[1]s, client_id: %[2]s}
signals: {issuer: %[3]s, audience: gateway, push_secret_env: SECRET}
routes:
  - {path: /wsapi/, backend: %[4]s, allow: '"chat" in identity.scopes'}
  - {path: /api/, backend: %[4]s}
  - {path: /app/, backend: %[5]s, public: true}
  - {path: /, backend: %[5]s, login: /app/login}
`, p.issuer, client, transmitter, backend.url, p.startApplication(t, client, base)))

	browser := chromium(t)
	alice, bob, carol := browser.signIn(base, "alice"), browser.signIn(base, "bob"), browser.signIn(base, "carol")
	alice.picture("open")

	second := alice.open()
	second.visit(p.issuer + "/session/end")
	second.picture("logout")
	second.click("button[name=logout]")
	second.until(`location.pathname === "/session/end/success"`) // where the provider's answer sends the tab
	clicked := run(second, "the click's time", chromedp.Evaluate[float64](`performance.timeOrigin`))
	answered := run(second, "the answer's time", chromedp.Evaluate[float64](`performance.getEntriesByType("navigation")[0].redirectEnd`))
	closed := alice.wantClose()
	t.Logf("logout: Close in the page %.0f ms after the click, the provider's answer after %.0f ms", float64(closed.UnixMilli())-clicked, answered)
	alice.picture("closed")
	ended := socketEnd{User: "alice", Code: 3003, Reason: "session_revoked"}
	backend.wantEnds(t, ended)
	bob.say("bob", "still here")
	carol.say("carol", "still here")

	set := sign("secevent+jwt", revokedSET(transmitter, claims{"format": "iss_sub", "iss": p.issuer, "sub": "bob"}))
	pushed := time.Now()
	status, reply := pushSET(t, base, gatewaySecret, set)
	accepted := time.Since(pushed)
	if status != http.StatusAccepted {
		t.Errorf("security event: %d %s, want 202", status, reply)
	}
	closed = bob.wantClose()
	t.Logf("security event: Close in the page %d ms after the push, 202 after %d ms", closed.Sub(pushed).Milliseconds(), accepted.Milliseconds())
	backend.wantEnds(t, ended, socketEnd{User: "bob", Code: 3003, Reason: "session_revoked"})
	carol.say("carol", "alone")
	carol.picture("alone")
}
