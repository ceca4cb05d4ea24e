package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"

	"github.com/portcullis-auth/portcullis"
)

// A page is the demo in one tab of a real browser.
type page struct {
	*testing.T
	tab context.Context
}

// fail ends the test and shows what the page says.
func (p page) fail(what string, err error) {
	p.Helper()
	body, _ := chromedp.Run(p.tab, chromedp.Evaluate[string](`document.body.innerText`))
	p.picture("failed")
	p.Fatalf("%s: %v\nthe page says:\n%s", what, err, body)
}

// do runs the steps, all of which must work soon.
func (p page) do(what string, steps ...chromedp.Action[chromedp.Void]) {
	p.Helper()
	ctx, cancel := context.WithTimeout(p.tab, patience)
	defer cancel()
	if err := chromedp.Do(ctx, steps...); err != nil {
		p.fail(what, err)
	}
}

// value returns what the script's expression is.
func value[T any](p page, what, expression string) T {
	p.Helper()
	ctx, cancel := context.WithTimeout(p.tab, patience)
	defer cancel()
	v, err := chromedp.Run(ctx, chromedp.Evaluate[T](expression))
	if err != nil {
		p.fail(what, err)
	}
	return v
}

// until waits until the script's expression is true, over page loads too.
func (p page) until(what, expression string) {
	p.Helper()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for end := time.Now().Add(patience); ; <-tick.C {
		ok, err := chromedp.Run(p.tab, chromedp.Evaluate[bool]("!!("+expression+")"))
		switch {
		case ok && err == nil:
			return
		case time.Now().After(end):
			p.fail(what, fmt.Errorf("not so: %s (%w)", expression, err))
		}
	}
}

// click clicks on what the selector names.
func (p page) click(selector string) {
	p.Helper()
	p.until(selector+" is there", fmt.Sprintf(`document.querySelector(%q)`, selector))
	p.do("click on "+selector, chromedp.Click(chromedp.CSS(selector)))
}

// picture takes a screenshot if somebody wants to look at it: docs/demo.png is
// TestBrowser-introspection-logged-out.png of PICTURES=/some/where go test -run Browser ./cmd/portcullis.
func (p page) picture(name string) {
	dir := os.Getenv("PICTURES")
	if dir == "" {
		return
	}
	// The gate takes its time to fall.
	_, _ = chromedp.Run(p.tab, chromedp.Evaluate[bool](`Promise.allSettled(document.getAnimations().map(a => a.finished)).then(() => true)`, chromedp.EvalAwaitPromise))
	if png, err := chromedp.Run(p.tab, chromedp.FullScreenshot(100)); err == nil {
		name = strings.ReplaceAll(p.Name(), "/", "-") + "-" + name
		_ = os.WriteFile(filepath.Join(dir, name+".png"), png, 0o600)
	}
}

// login opens the demo, which sends us to the login page, and logs in.
func (p page) login(url, user string) {
	p.Helper()
	p.do("open the demo", chromedp.Navigate(url))
	p.picture("login")
	p.click("button[value=" + user + "]")
	p.until("the page", `document.documentElement.dataset.ready === "true"`)
}

// state waits for the socket's state.
func (p page) state(want string) {
	p.Helper()
	p.until("the socket is "+want, fmt.Sprintf(`document.querySelector("#socket-state").dataset.state === %q`, want))
}

// choose takes another way for the token, and waits for its socket.
func (p page) choose(way string) {
	p.Helper()
	p.click("input[name=way][value=" + way + "]")
	p.until(way+" vouched for", fmt.Sprintf(`[...document.querySelectorAll("#chat-log .line")].some(l => l.textContent.includes("vouched for") && l.textContent.includes(%q))`, labels[way]))
	p.state("open")
}

var labels = map[string]string{"cookie": "by cookie", "query": "by URL parameter", "subprotocol": "by subprotocol", "ticket": "by ticket"}

// say sends a message, and waits until it is there with the name and the way.
func (p page) say(text, name, way string) {
	p.Helper()
	p.do("say "+text, chromedp.SetValue(chromedp.CSS("#chat-text"), text))
	p.click("#chat-send")
	p.hears(text, name, way)
}

func (p page) hears(text, name, way string) {
	p.Helper()
	p.until(fmt.Sprintf("%s says %q by %s", name, text, way), fmt.Sprintf(
		`[...document.querySelectorAll("#chat-log .msg")].some(m => m.dataset.name === %q && m.dataset.way === %q && m.textContent.includes(%q))`, name, way, text))
}

// wantVerdict waits for what the socket said when it was closed.
func (p page) wantVerdict(code, reason string) {
	p.Helper()
	p.until("closed with "+code, fmt.Sprintf(`!document.querySelector("#closed").hidden && document.querySelector("#closed-code").textContent === %q && document.querySelector("#closed-reason").textContent === %q`, code, reason))
}

// S1, S2, S4, S7, S8 as a user sees them: in a real browser a user logs in,
// makes a call, chats with another user by each way for the token, logs out in
// a second tab, and sees the socket of the first one close.
func TestBrowser(t *testing.T) {
	for way := range demoVerify {
		t.Run(way, func(t *testing.T) { visit(t, startDemo(t, "--verify", way)) })
	}
}

func visit(t *testing.T, url string) {
	alice := page{t, chromium(t)}
	alice.login(url, "alice")
	alice.until("who I am", `document.querySelector("#me-name").textContent.includes("Alice")`)

	alice.click("#call-api")
	alice.until("200", `document.querySelector("#api-status").dataset.status === "200"`)
	alice.until("the user information", `document.querySelector("#api-answer").textContent.includes("alice@example.com")`)

	bob := page{t, chromium(t)}
	bob.login(url, "bob")
	for _, way := range []string{"query", "subprotocol", "ticket", "cookie"} {
		alice.choose(way)
		alice.say("hello by "+way, "alice", way)
		bob.hears("hello by "+way, "alice", way)
	}
	bob.say("hello alice", "bob", "cookie")
	alice.hears("hello alice", "bob", "cookie")
	alice.picture("chat")

	// Log out in a second tab, and see how soon the first one notices.
	value[bool](alice, "note the time", `window.closedAt = 0; new MutationObserver(() => { if (!document.querySelector("#closed").hidden && !window.closedAt) window.closedAt = Date.now(); }).observe(document.querySelector("#closed"), {attributes: true}); true`)
	second := page{t, tab(alice.tab, t)}
	second.do("open the demo again", chromedp.Navigate(url))
	second.until("the page", `document.documentElement.dataset.ready === "true"`)
	asked := value[int64](second, "the time", `Date.now()`)
	second.click("#logout")
	alice.wantVerdict("3003", "session_revoked")
	closed := value[int64](alice, "when", `window.closedAt`)
	t.Logf("from the click to the end of the other tab's socket: %d ms", closed-asked)
	if closed-asked > 1000 {
		t.Errorf("the socket closed %d ms after the logout, want a second at most", closed-asked)
	}
	alice.picture("logged-out")
	alice.click("#call-api")
	alice.until("401", `document.querySelector("#api-status").dataset.status === "401"`)
	bob.say("still here", "bob", "cookie") // exactly those that match

	cookie := value[string](bob, "the token", `document.cookie.match(/session=([^;]+)/)[1]`)
	html := value[string](bob, "the page", `document.documentElement.outerHTML`)
	if cookie == "" || strings.Contains(html, cookie) {
		t.Error("the page shows the token")
	}
}

// S8: a token of ten seconds runs out while its socket is open.
func TestBrowserTokenRunsOut(t *testing.T) {
	for way := range demoVerify {
		t.Run(way, func(t *testing.T) {
			t.Parallel()
			p := page{t, chromium(t)}
			p.login(startDemo(t, "--verify", way, "--token-lifetime", "10s"), "alice")
			p.state("open")
			p.say("quick", "alice", "cookie")
			p.wantVerdict("3000", "token_expired")
			p.until("the pass says so too", `document.querySelector("#stamp").textContent === "Expired"`)
			p.until("in plain words", `document.querySelector("#closed-text").textContent.length > 10`)
			p.picture("expired")
		})
	}
}

// S7: a socket lives on over three lifetimes of its tokens, and isn't opened
// anew: the page renews it before each of them ends.
func TestBrowserRenewal(t *testing.T) {
	out, _ := command(t, nil, "demo", "--listen", "127.0.0.1:0", "--token-lifetime", "6s")
	url := eventually(t, out, `(http://127\.0\.0\.1:\d+/)\n`)
	api := eventually(t, out, `(http://127\.0\.0\.1:\d+)/v1/sessions`)
	p := page{t, chromium(t)}
	p.login(url, "alice")
	p.choose("ticket")
	p.say("first", "alice", "ticket")
	first := sockets(t, api)
	if len(first) != 1 {
		t.Fatalf("%d sockets, want one", len(first))
	}
	opened := value[int64](p, "the time", `Date.now()`)
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for end := time.Now().Add(patience); ; <-tick.C {
		now := sockets(t, api)
		if len(now) != 1 || now[0].Handle != first[0].Handle {
			p.fail("the socket was not kept", fmt.Errorf("%+v, want %+v", now, first))
		}
		if now[0].Renewed >= 3 && time.Since(now[0].Opened) > 18*time.Second {
			break
		}
		if time.Now().After(end) {
			p.fail("three lifetimes", fmt.Errorf("renewed %d times in %v", now[0].Renewed, patience))
		}
	}
	p.say("still here", "alice", "ticket")
	if n := value[int](p, "welcomes", `[...document.querySelectorAll("#chat-log .gate-open")].filter(l => l.textContent.includes("by ticket")).length`); n != 1 {
		t.Errorf("the socket was opened %d times, want once", n)
	}
	t.Logf("the socket was kept for %d ms with tokens of 6 s", value[int64](p, "the time", `Date.now()`)-opened)
	p.picture("renewed")
}

// sockets returns the live sockets.
func sockets(t *testing.T, api string) (list []portcullis.SessionInfo) {
	t.Helper()
	resp, err := http.Get(api + "/v1/sessions")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	var answer struct{ Sessions []portcullis.SessionInfo }
	if err := json.NewDecoder(resp.Body).Decode(&answer); err != nil {
		t.Fatal(err)
	}
	for _, s := range answer.Sessions {
		if s.Kind == "socket" {
			list = append(list, s)
		}
	}
	return list
}

// Who may not chat is told so before the upgrade, and why.
func TestBrowserForbidden(t *testing.T) {
	p := page{t, chromium(t)}
	p.login(startDemo(t), "carol")
	p.state("refused")
	p.click("#call-api")
	p.until("200", `document.querySelector("#api-status").dataset.status === "200"`)
	p.picture("forbidden")
}
