//go:build unix

package gateway_test

import (
	"os"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/portcullis-auth/portcullis/dev/issuer"
)

// L3: connections to backends don't take the last descriptors, which the token
// system needs; whoever wants one has to come again.
func TestL3ReserveIsNotForBackends(t *testing.T) {
	b := newBackend()
	h := open(t, b, "\nroutes:\n  - {path: /, backend: BACKEND}\n")
	bearer := "Bearer " + h.token("alice", issuer.TokenOptions{}).Access
	few(t, 12)
	if status, header, _ := h.get("/api/me", "Authorization", bearer); status != 503 || header.Get("Retry-After") == "" {
		t.Errorf("a call: %d, Retry-After %q; want 503", status, header.Get("Retry-After"))
	}
	c := h.send(handshake("/wsapi/", "Authorization: "+bearer))
	if resp := c.answer(); resp.StatusCode != 503 || resp.Header.Get("Retry-After") == "" {
		t.Errorf("a handshake: %d, Retry-After %q; want 503", resp.StatusCode, resp.Header.Get("Retry-After"))
	}
	_ = c.Close()
	if n := b.calls.Load(); n != 0 {
		t.Errorf("the backend heard of %d", n)
	}
}

// few leaves the process few descriptors, until the test's end.
func few(t *testing.T, n int) {
	t.Helper()
	var was unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &was); err != nil {
		t.Fatal(err)
	}
	f, err := os.Open(os.DevNull) // gets the lowest that is free
	if err != nil {
		t.Fatal(err)
	}
	now := was
	now.Cur = uint64(f.Fd()) + uint64(n)
	_ = f.Close()
	if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &now); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &was); err != nil {
			t.Error(err)
		}
	})
}
