//go:build linux || darwin

package gateway_test

import (
	"testing"

	"github.com/portcullis-auth/portcullis/dev/issuer"
	"github.com/portcullis-auth/portcullis/internal/reserve/reservetest"
)

// L3: connections to backends don't take the last descriptors, which the token
// system needs; whoever wants one has to come again.
func TestL3ReserveIsNotForBackends(t *testing.T) {
	b := newBackend()
	h := open(t, b, "\nroutes:\n  - {path: /, backend: BACKEND}\n")
	bearer := "Bearer " + h.token("alice", issuer.TokenOptions{}).Access
	reservetest.Few(t, 12)
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
