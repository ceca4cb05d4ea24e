package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/coder/websocket"
)

// L5: SIGHUP has the gateway take what the file says now. A file that isn't good,
// or asks for what takes a restart, changes nothing and is reported.
func TestL5Hangup(t *testing.T) {
	tokens, backend := lenient(t), echoes(t)
	file := filepath.Join(t.TempDir(), "portcullis.yaml")
	rewrite := func(listen string, routes ...string) {
		t.Helper()
		text := fmt.Sprintf("listen: %q\nadmin: {listen: 'off'}\nverify: {http_check: {url: %q}}\nroutes:\n", listen, tokens)
		for _, r := range routes {
			text += "  - {" + strings.Replace(r, "BACKEND", backend, 1) + "}\n"
		}
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	const free = "127.0.0.1:0"
	rewrite(free, "path: /kept, backend: BACKEND", "path: /gone, backend: BACKEND")
	_, log := command(t, nil, "serve", "-c", file)
	public := "ws://" + eventually(t, log, `"listen":"([0-9.:]+)"`)
	hangup := func(want string) {
		t.Helper()
		if err := syscall.Kill(os.Getpid(), syscall.SIGHUP); err != nil {
			t.Fatal(err)
		}
		eventually(t, log, want)
	}
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	kept, gone := openEchoing(ctx, t, public+"/kept", "alice"), openEchoing(ctx, t, public+"/gone", "alice")
	kept.echoes()

	rewrite(free, "path: /kept, bakcend: BACKEND")
	hangup(`"level":"ERROR","msg":"configuration not reloaded[^"]*","why":"[^"]*portcullis.yaml:5:[^"]*bakcend`)
	rewrite("127.0.0.1:1", "path: /kept, backend: BACKEND")
	hangup(`"configuration not reloaded[^"]*","why":"listen changed, which needs a restart`)
	gone.echoes()

	rewrite(free, "path: /kept, backend: BACKEND", "path: /new, backend: BACKEND")
	hangup(`"level":"INFO","msg":"configuration reloaded","routes":2,"ended":1,"asked_again":0`)
	if _, _, err := gone.Read(ctx); websocket.CloseStatus(err) != websocket.StatusServiceRestart {
		t.Errorf("the socket of the route that is gone: %v, want Close 1012", err)
	}
	kept.echoes()
	openEchoing(ctx, t, public+"/new", "alice").echoes()
}
