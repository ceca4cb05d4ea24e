package demo_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	cdplog "github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
	"github.com/coder/websocket"

	"github.com/portcullis-auth/portcullis/dev/demo"
)

// secret is what the page must carry and never show.
const secret = "s3cret-of-alice"

// standIn does as much of the gateway's work as the page can notice. (The
// gateway itself is tested where it is at home; a backend cannot import it.)
type standIn struct {
	backend string
	next    http.Handler

	mu      sync.Mutex // guards what follows
	exp     time.Time
	refused int // 0, or the status for everything
	sockets map[*websocket.Conn]string
	wg      sync.WaitGroup
}

func (g *standIn) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	found := ""
	var protocols []string
	switch path := r.URL.Path; {
	case strings.HasPrefix(path, "/wsapi/query/"):
		found = r.URL.Query().Get("token")
	case strings.HasPrefix(path, "/wsapi/subprotocol/"):
		offer := strings.Split(strings.ReplaceAll(r.Header.Get("Sec-WebSocket-Protocol"), " ", ""), ",")
		if len(offer) == 2 && offer[0] == "bearer" {
			found, protocols = offer[1], offer[:1]
		}
	default:
		if c, err := r.Cookie("session"); err == nil {
			found = c.Value
		}
	}
	g.mu.Lock()
	status := g.refused
	h := with(as("alice"), "X-Portcullis-Userinfo", fmt.Sprintf(
		`{"sub":"u-alice","name":"Alice","email":"alice@example.com","scope":"openid chat","sid":"s1","exp":%d}`, g.exp.Unix()))
	g.mu.Unlock()
	if status == 0 && found != secret {
		status = http.StatusUnauthorized
	}
	switch {
	case status != 0:
		http.Error(w, http.StatusText(status), status)
	case strings.HasPrefix(r.URL.Path, "/wsapi/"):
		g.relay(w, r, h, protocols)
	default:
		r.Header = h
		g.next.ServeHTTP(w, r)
	}
}

func (g *standIn) relay(w http.ResponseWriter, r *http.Request, h http.Header, protocols []string) {
	up, _, err := websocket.Dial(r.Context(), g.backend+r.URL.Path, &websocket.DialOptions{HTTPHeader: h})
	if err != nil {
		w.WriteHeader(http.StatusBadGateway)
		return
	}
	defer func() { _ = up.CloseNow() }()
	g.mu.Lock() // a socket that the page sees open is one that drop knows
	down, err := websocket.Accept(w, r, &websocket.AcceptOptions{Subprotocols: protocols})
	if err == nil {
		g.sockets[down] = r.URL.Path
	}
	g.mu.Unlock()
	if err != nil {
		return
	}
	defer func() { _ = down.CloseNow() }()
	ctx, cancel := context.WithCancel(r.Context())
	defer cancel()
	pump := func(from, to *websocket.Conn) {
		defer cancel()
		for {
			kind, data, err := from.Read(ctx)
			if err != nil || to.Write(ctx, kind, data) != nil {
				return
			}
		}
	}
	var wg sync.WaitGroup
	wg.Go(func() { pump(up, down) })
	pump(down, up)
	wg.Wait()
	g.mu.Lock()
	delete(g.sockets, down)
	g.mu.Unlock()
}

// drop ends the page's sockets; code 0 cuts them.
func (g *standIn) drop(code int, reason string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for c := range g.sockets {
		g.wg.Go(func() {
			if code == 0 {
				_ = c.CloseNow()
			} else {
				_ = c.Close(websocket.StatusCode(code), reason)
			}
		})
	}
}

func (g *standIn) set(refused int, exp time.Time) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.refused, g.exp = refused, exp
}

// browser is a page in Chromium.
type browser struct {
	t   *testing.T
	ctx context.Context
}

func open(t *testing.T) *browser {
	t.Helper()
	opts := append(chromedp.DefaultExecAllocatorOptions[:],
		chromedp.NoSandbox, chromedp.Flag("disable-gpu", true), chromedp.Flag("disable-quic", true),
		chromedp.Flag("disable-background-networking", true), chromedp.Flag("disable-component-update", true),
		chromedp.Flag("disable-sync", true))
	ctx, cancel := chromedp.NewExecAllocator(context.Background(), opts...)
	t.Cleanup(cancel)
	ctx, cancel = chromedp.NewContext(ctx)
	t.Cleanup(cancel)
	return &browser{t, ctx}
}

func (b *browser) do(steps ...chromedp.Action[chromedp.Void]) {
	b.t.Helper()
	if err := chromedp.Do(b.ctx, steps...); err != nil {
		b.t.Fatal(err)
	}
}

func (b *browser) eval(js string) string {
	b.t.Helper()
	v, err := chromedp.Run(b.ctx, chromedp.Evaluate[any](js))
	if err != nil {
		b.t.Fatalf("%s: %v", js, err)
	}
	return fmt.Sprint(v)
}

func (b *browser) wait(js string) {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b.ctx, 20*time.Second)
	defer cancel()
	if _, err := chromedp.Run(ctx, chromedp.Poll[any](js)); err != nil {
		b.t.Fatalf("waiting for %s: %v; the page says:\n%s", js, err, b.eval("document.body.innerText"))
	}
}

func (b *browser) state(want string) {
	b.t.Helper()
	b.wait(`document.querySelector('#socket-state').dataset.state === '` + want + `'`)
}

// text waits until the element says what is wanted.
func (b *browser) text(id, want string) {
	b.t.Helper()
	b.wait(fmt.Sprintf(`document.getElementById(%q).textContent.includes(%q)`, id, want))
}

func TestPage(t *testing.T) {
	refreshed := make(chan struct{}, 1)
	g := &standIn{sockets: map[*websocket.Conn]string{}}
	login := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Access-Control-Allow-Origin", r.Header.Get("Origin"))
		w.Header().Set("Access-Control-Allow-Credentials", "true")
		if r.Method == http.MethodPost && r.URL.Path == "/app/refresh" {
			g.set(0, time.Now().Add(time.Hour))
			refreshed <- struct{}{}
		}
		if r.Method == http.MethodPost && r.URL.Path == "/app/logout" {
			http.SetCookie(w, &http.Cookie{Name: "session", Path: "/", MaxAge: -1})
			g.drop(3003, "session_revoked")
		}
		w.WriteHeader(http.StatusNoContent)
	}))
	t.Cleanup(login.Close)
	backend, base := start(t, demo.Options{LoginURL: login.URL})
	g.backend, g.next = base, backend
	g.set(0, time.Now().Add(time.Hour))
	front := httptest.NewServer(g)
	t.Cleanup(func() { g.drop(0, ""); g.wg.Wait(); front.Close() })

	b := open(t)
	var mu sync.Mutex
	var console []string
	b.do(chromedp.Func(func(ctx context.Context, target *chromedp.Target) error {
		if _, err := cdp.Call(ctx, target, runtime.Enable, cdp.Empty{}); err != nil {
			return err
		}
		_, err := cdp.Call(ctx, target, cdplog.Enable, cdp.Empty{})
		return err
	}))
	note := func(s string) {
		mu.Lock()
		defer mu.Unlock()
		console = append(console, s)
	}
	if err := chromedp.Listen(b.ctx, func(ev any) {
		switch ev := ev.(type) {
		case *runtime.EventConsoleAPICalled:
			note("console call")
		case *runtime.EventExceptionThrown:
			note(fmt.Sprintf("exception: %+v", ev.ExceptionDetails))
		case *cdplog.EventEntryAdded:
			if ev.Entry.Source != "network" { // refusals, which are wanted here
				note(ev.Entry.Text)
			}
		}
	}); err != nil {
		t.Fatal(err)
	}

	b.do(chromedp.Navigate(front.URL + "/assets/mark.svg")) // refused, but of the right origin
	b.eval(`document.cookie = "session=` + secret + `; path=/"`)
	b.do(chromedp.Navigate(front.URL))
	b.state("open")
	b.text("me-name", "Alice")
	b.text("me-email", "alice@example.com")
	b.text("me-scopes", "chat")
	b.wait(`document.querySelector('#countdown').dataset.state === 'running'`)

	b.do(chromedp.Click("#call-api"))
	b.wait(`document.querySelector('#api-status').dataset.status === '200'`)
	b.text("api-answer", `"subject": "u-alice"`)

	// Each way, and the name is the vouched-for one.
	for _, tt := range []struct{ way, label string }{
		{"query", "by URL parameter"}, {"subprotocol", "by subprotocol"}, {"cookie", "by cookie"},
	} {
		way := tt.way
		b.do(chromedp.Click(`input[name=way][value=` + way + `]`))
		b.wait(`[...document.querySelectorAll('.gate-open')].at(-1).textContent.includes('` + tt.label + `')`)
		b.state("open")
		b.eval(`document.querySelector('#chat-text').focus()`)
		b.do(chromedp.KeyEvent("<i>by " + way + "</i>\r")) // chromedp's SendKeys has a data race
		b.wait(`[...document.querySelectorAll('.msg')].at(-1)?.dataset.way === '` + way + `'`)
		b.text("chat-log", "<i>by "+way+"</i>")
	}
	if got := b.eval(`document.querySelectorAll('.msg[data-name="alice"]').length`); got != "3" {
		t.Errorf("got %s messages, want 3: replayed ones are shown once", got)
	}

	// What the gate said, in plain words.
	for _, tt := range []struct {
		code         int
		reason       string
		state, words string
	}{
		{3003, "session_revoked", "closed", "logged out or your access was taken away"},
		{3003, "forbidden", "closed", "no longer, allowed"},
		{1012, "shutdown", "waiting", "restarting"},
		{1013, "unavailable", "waiting", "could not tell"},
		{0, "", "waiting", "was cut"},
		{3000, "token_expired", "closed", "This socket’s token ran out"}, // but the cookie's is good
		{3000, "token_expired", "closed", "Your token ran out"},
	} {
		last := tt.words == "Your token ran out"
		if last {
			g.set(http.StatusUnauthorized, time.Now().Add(time.Hour))
		}
		g.drop(tt.code, tt.reason)
		b.state(tt.state)
		b.wait(`!document.querySelector('#closed').hidden`)
		code := tt.code
		if code == 0 {
			code = 1006
		}
		b.text("closed-code", fmt.Sprint(code))
		b.text("closed-reason", tt.reason)
		b.text("closed-text", tt.words)
		if last {
			break
		}
		b.eval(`document.querySelector('#reconnect').click()`)
		b.state("open")
	}

	b.do(chromedp.Click("#closed-renew"))
	<-refreshed
	b.state("open")

	// A handshake's status is not for script to see; /api/me tells it.
	g.set(http.StatusForbidden, time.Now().Add(time.Hour))
	g.drop(0, "")
	b.state("refused")
	b.text("closed-text", "knows you but does not let you in")
	g.set(0, time.Now().Add(time.Hour))
	b.eval(`document.querySelector('#reconnect').click()`)
	b.state("open")

	b.do(chromedp.Click("#logout"))
	b.state("closed")
	b.text("closed-code", "3003")
	b.wait(`/^(Logged out|Revoked)$/.test(document.getElementById('stamp').textContent)`) // whichever is noticed first
	b.do(chromedp.Click("#call-api"))
	b.wait(`document.querySelector('#api-status').dataset.status === '401'`)

	if got := b.eval(`document.documentElement.outerHTML.includes("` + secret + `")`); got != "false" {
		t.Error("the page shows the token")
	}
	mu.Lock()
	defer mu.Unlock()
	if len(console) > 0 {
		t.Errorf("the browser complained:\n%s", strings.Join(console, "\n"))
	}
}
