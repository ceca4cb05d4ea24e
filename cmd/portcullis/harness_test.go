package main

import (
	"bytes"
	"context"
	"os/exec"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
)

// patience bounds what must happen soon: only a failing test waits as long.
const patience = 30 * time.Second

// output is what a command writes, to be read while it runs.
type output struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.b.Write(p)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.b.String()
}

// command runs the command line until the test ends, and wants it to end well.
func command(t *testing.T, env map[string]string, args ...string) (out, log *output) {
	t.Helper()
	out, log = new(output), new(output)
	ctx, cancel := context.WithCancel(context.Background())
	status := make(chan int, 1)
	go func() {
		status <- exit(ctx, append([]string{"portcullis"}, args...), system{strings.NewReader(""), out, log, func(name string) (string, bool) {
			v, ok := env[name]
			return v, ok
		}})
	}()
	t.Cleanup(func() {
		cancel()
		select {
		case got := <-status:
			if got != 0 {
				t.Errorf("portcullis %v: exit status %d\n%s", args, got, log)
			}
		case <-time.After(patience):
			t.Errorf("portcullis %v doesn't stop", args)
		}
	})
	return out, log
}

// eventually waits for a match of the pattern in what is written, and returns
// its first group.
func eventually(t *testing.T, o *output, pattern string) string {
	t.Helper()
	re := regexp.MustCompile(pattern)
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for end := time.Now().Add(patience); time.Now().Before(end); <-tick.C {
		if m := re.FindStringSubmatch(o.String()); m != nil {
			return m[len(m)-1]
		}
	}
	t.Fatalf("never written: %s\nbut:\n%s", pattern, o)
	return ""
}

// startDemo starts the demo on a free port and returns its URL.
func startDemo(t *testing.T, args ...string) string {
	t.Helper()
	out, _ := command(t, nil, append([]string{"demo", "--listen", "127.0.0.1:0"}, args...)...)
	return eventually(t, out, `(http://127\.0\.0\.1:\d+/)\n`)
}

// chromium starts a browser with nothing in it.
func chromium(t *testing.T) context.Context {
	t.Helper()
	path, err := exec.LookPath("chromium")
	if err != nil {
		t.Fatalf("this test needs Chromium: %v; run make setup", err)
	}
	ctx, stop := chromedp.NewExecAllocator(context.Background(), append(
		chromedp.DefaultExecAllocatorOptions[:],
		chromedp.ExecPath(path),
		chromedp.NoSandbox,
		chromedp.DisableGPU,
		chromedp.Flag("disable-quic", true),
		chromedp.Flag("disable-background-networking", true),
		chromedp.Flag("disable-component-update", true),
		chromedp.Flag("disable-sync", true),
		chromedp.UserDataDir(t.TempDir()),
		chromedp.WindowSize(1200, 900),
	)...)
	t.Cleanup(stop)
	return tab(ctx, t)
}

// tab opens another tab of the browser.
func tab(browser context.Context, t *testing.T) context.Context {
	t.Helper()
	ctx, stop := chromedp.NewContext(browser)
	t.Cleanup(stop)
	if err := chromedp.Do(ctx); err != nil { // the browser lives as long as the context of its first call
		t.Fatal(err)
	}
	return ctx
}
