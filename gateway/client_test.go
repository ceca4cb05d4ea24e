package gateway_test

import (
	"bufio"
	"encoding/json"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/portcullis-auth/portcullis/dev/issuer"
)

// The npm helper in Node, against this gateway: it gets in by ticket, renews
// before its tokens end, without a reconnect, and stops when the user is logged
// out. (In Chromium it is tried with the demo.)
func TestClientInNode(t *testing.T) {
	dir, err := filepath.Abs("../client")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Join(dir, "node_modules", "ws")); err != nil {
		t.Fatalf("this test needs the packages of client: %v; run make setup", err)
	}
	h := openWith(t, start(t, newBackend()), introspection, withTickets)
	first := h.token("alice", issuer.TokenOptions{Lifetime: 5 * time.Second})
	fresh := start(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { // the login system
		token, err := h.issuer.IssueToken("alice", issuer.TokenOptions{Lifetime: 5 * time.Second, SID: first.SID})
		if err != nil {
			t.Error(err)
			return
		}
		_, _ = io.WriteString(w, token.Access)
	}))
	node := exec.Command("node", "test/real.mjs", "ws"+h.url[len("http"):]+"/wsapi/")
	node.Dir, node.Env, node.Stderr = dir, append(os.Environ(), "TOKEN="+first.Access, "REFRESH="+fresh), os.Stderr
	in, err := node.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := node.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := node.Start(); err != nil {
		t.Fatalf("this test needs Node: %v; run make setup", err)
	}
	lines := bufio.NewScanner(out)
	next := func() (line struct {
		Event, Data, Reason, Action string
		Code                        int
	},
	) {
		t.Helper()
		if !lines.Scan() {
			t.Fatalf("no more events: %v", lines.Err())
		}
		if err := json.Unmarshal(lines.Bytes(), &line); err != nil {
			t.Fatalf("%v: %s", err, lines.Text())
		}
		return line
	}
	if got := next(); got.Event != "open" {
		t.Fatalf("got %+v, want open", got)
	}
	eventually(t, "two renewals of one socket", func() bool {
		renewed := 0
		for info := range h.Guard().Sessions() {
			if info.Kind == "socket" {
				renewed += info.Renewed
			}
		}
		return renewed >= 2
	})
	if _, err := io.WriteString(in, "hello\n"); err != nil {
		t.Fatal(err)
	}
	if got := next(); got.Event != "message" || got.Data != "alice: hello" {
		t.Errorf("got %+v, want the echo: nothing else has happened", got)
	}
	if err := h.issuer.LogoutSession(t.Context(), first.SID); err != nil {
		t.Fatal(err)
	}
	if got := next(); got.Event != "status" || got.Code != 3003 || got.Reason != "session_revoked" || got.Action != "stop" {
		t.Errorf("got %+v, want the end", got)
	}
	if got := next(); got.Event != "close" || got.Code != 3003 {
		t.Errorf("got %+v, want the close", got)
	}
	_ = in.Close()
	if err := node.Wait(); err != nil {
		t.Error(err)
	}
}
