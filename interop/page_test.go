package interop

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/chromedp/chromedp"
)

// A page is in a tab of Chromium. When a test fails because of it, it is shown.
type page struct {
	testing.TB
	tab context.Context
}

// chromium starts a browser that knows this machine only.
func chromium(t *testing.T) (browser page) {
	t.Helper()
	ctx, stop := chromedp.NewExecAllocator(context.WithoutCancel(t.Context()), append(
		chromedp.DefaultExecAllocatorOptions[:],
		chromedp.NoSandbox,
		chromedp.DisableGPU,
		chromedp.Flag("host-resolver-rules", "MAP * ~NOTFOUND, EXCLUDE 127.0.0.1"),
		chromedp.WindowSize(900, 700),
	)...)
	t.Cleanup(stop)
	browser = page{t, ctx}.open()
	t.Cleanup(func() { // one that is stopped leaves files behind
		ctx, cancel := context.WithTimeout(browser.tab, patience)
		defer cancel()
		_ = chromedp.Cancel(ctx)
	})
	return browser
}

// open opens another tab, with the cookies of p or, as the options say, others.
func (p page) open(options ...chromedp.ContextOption) page {
	p.Helper()
	ctx, stop := chromedp.NewContext(p.tab, options...)
	p.Cleanup(stop)
	if err := chromedp.Do(ctx); err != nil { // the tab lives as long as the context of its first call
		p.TB.Fatalf("this test needs Chromium; run make setup: %v", err)
	}
	return page{p.TB, ctx}
}

// run returns what the action does, which must work soon.
func run[T any](p page, what string, action chromedp.Action[T]) T {
	p.Helper()
	ctx, cancel := context.WithTimeout(p.tab, patience)
	defer cancel()
	v, err := chromedp.Run(ctx, action)
	if err != nil {
		p.Fatalf("%s: %v", what, err)
	}
	return v
}

func (p page) visit(url string) {
	p.Helper()
	run(p, "visit", chromedp.Navigate(url))
}

// fill and click wait for what the selector names.
func (p page) fill(selector, text string) {
	p.Helper()
	run(p, "fill "+selector, chromedp.SetValue(chromedp.CSS(selector), text))
}

func (p page) click(selector string) {
	p.Helper()
	run(p, "click on "+selector, chromedp.Click(chromedp.CSS(selector)))
}

// until waits until the script's expression is true, over page loads too.
func (p page) until(expression string) {
	p.Helper()
	ctx, cancel := context.WithTimeout(p.tab, patience)
	defer cancel()
	eventually(p, expression, func() bool {
		ok, err := chromedp.Run(ctx, chromedp.Evaluate[bool](expression))
		return ok && err == nil
	})
}

// picture takes a screenshot if somebody wants to look at it, into the folder
// that PICTURES names.
func (p page) picture(name string) {
	dir := os.Getenv("PICTURES")
	if dir == "" {
		return
	}
	ctx, cancel := context.WithTimeout(p.tab, patience)
	defer cancel()
	png, err := chromedp.Run(ctx, chromedp.FullScreenshot(100))
	if err == nil {
		err = os.WriteFile(filepath.Join(dir, p.Name()+"-"+name+".png"), png, 0o600)
	}
	if err != nil {
		p.Log(err)
	}
}

// Fatalf tells what the page says too.
func (p page) Fatalf(format string, args ...any) {
	p.Helper()
	p.picture("failed")
	ctx, cancel := context.WithTimeout(p.tab, patience)
	defer cancel()
	body, _ := chromedp.Run(ctx, chromedp.Evaluate[string](`document.body.innerText`))
	p.TB.Fatalf("%s\nthe page says:\n%s", fmt.Sprintf(format, args...), body)
}
