package issuer_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"

	"github.com/portcullis-auth/portcullis/dev/issuer"
)

// TestChromium is what only a browser can show: that the cookie reaches the application on
// another port, that the content security policy lets the login through, and that the
// application's scripts may refresh and log out. With ISSUER_SCREENSHOTS set to a directory it
// leaves pictures of the pages there.
func TestChromium(t *testing.T) {
	var cookie atomic.Value // as the application's server got it
	mux := http.NewServeMux()
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		if c, err := r.Cookie("session"); err == nil {
			cookie.Store(c.Value)
		}
		fmt.Fprint(w, "<!doctype html><title>application</title><p id=app>hello")
	})
	app := httptest.NewServer(mux)
	defer app.Close()
	f := start(t, func(c *issuer.Config) { c.AppURL = app.URL })

	opts := append(slices.Clone(chromedp.DefaultExecAllocatorOptions[:]), chromedp.Flag("disable-quic", true))
	if os.Getuid() == 0 {
		opts = append(opts, chromedp.NoSandbox)
	}
	ctx, cancel := chromedp.NewExecAllocator(t.Context(), opts...)
	defer cancel()
	ctx, cancel = chromedp.NewContext(ctx)
	defer cancel()
	if err := chromedp.Do(ctx); err != nil {
		t.Fatalf("Chromium is needed: %v", err)
	}
	ctx, cancel = context.WithTimeout(ctx, 2*time.Minute)
	defer cancel()
	do := func(steps ...chromedp.Action[chromedp.Void]) {
		t.Helper()
		if err := chromedp.Do(ctx, steps...); err != nil {
			t.Fatal(err)
		}
	}
	script := func() string {
		t.Helper()
		s, err := chromedp.Run(ctx, chromedp.Evaluate[string]("document.cookie"))
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	picture := func(name, scheme string, width, height int64) {
		t.Helper()
		dir := os.Getenv("ISSUER_SCREENSHOTS")
		if dir == "" {
			return
		}
		do(chromedp.EmulateViewport(width, height), func(ctx context.Context, target *chromedp.Target) (chromedp.Void, error) {
			_, err := cdp.Call(ctx, target, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{
				Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: scheme}},
			})
			return chromedp.Void{}, err
		})
		png, err := chromedp.Run(ctx, chromedp.CaptureScreenshot())
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, name+".png"), png, 0o644); err != nil {
			t.Fatal(err)
		}
	}

	do(chromedp.Navigate(f.url+"/app/login?kind=jwt&return_to=/chat"), chromedp.WaitVisible("button[value=bob]"))
	picture("login-light", "light", 900, 760)
	picture("login-dark", "dark", 900, 760)
	picture("login-phone", "light", 360, 740)
	picture("login-small-dark", "dark", 320, 640)
	do(chromedp.Click("button[value=bob]"), chromedp.WaitVisible("#app"))
	access, _ := cookie.Load().(string)
	f.wantActive(access, true)
	if got := script(); got != "session="+access {
		t.Errorf("the page's script sees %d bytes of cookies, want the access token alone", len(got))
	}

	call := func(path string) (status int) {
		t.Helper()
		status, err := chromedp.Run(ctx, chromedp.Evaluate[int](
			fmt.Sprintf(`fetch(%q, {method: "POST", credentials: "include"}).then(r => r.status)`, f.url+path), chromedp.EvalAwaitPromise))
		if err != nil {
			t.Fatal(err)
		}
		return status
	}
	if status := call("/app/refresh"); status != http.StatusNoContent {
		t.Errorf("refresh by script: %d", status)
	}
	if got := script(); got == "session="+access {
		t.Error("the refresh left the old token")
	}
	if status := call("/app/logout"); status != http.StatusNoContent {
		t.Errorf("logout by script: %d", status)
	}
	if got := script(); got != "" {
		t.Error("the logout left a cookie")
	}
	if n := len(f.gotten.take()); n != 1 {
		t.Errorf("%d logout tokens, want 1", n)
	}

	// Once more, and out by the page with the button.
	do(chromedp.Navigate(f.url+"/app/login"), chromedp.Click("button[value=carol]"), chromedp.WaitVisible("#app"))
	do(chromedp.Navigate(f.url + "/app/logout?return_to=/bye"))
	picture("logout-light", "light", 900, 520)
	do(chromedp.Click("button[name=everywhere]"), chromedp.WaitVisible("#app"))
	at, err := chromedp.Run(ctx, chromedp.Location())
	if err != nil || at != app.URL+"/bye" || script() != "" {
		t.Errorf("after the logout at %s (%v)", at, err)
	}
	do(chromedp.Navigate(f.url + "/login?id=x"))
	picture("message-dark", "dark", 900, 520)
}
