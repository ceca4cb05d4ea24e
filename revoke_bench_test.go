package portcullis_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/portcullis-auth/portcullis"
)

// BenchmarkRevoke is how long a revocation that ends nobody takes among so
// many live sessions.
func BenchmarkRevoke(b *testing.B) {
	for _, n := range []int{100, 10_000, 100_000} {
		b.Run(fmt.Sprint(n, " sessions"), func(b *testing.B) {
			id := &portcullis.Identity{Subject: "u-alice", IssuedAt: time.Now(), ExpiresAt: time.Now().Add(time.Hour)}
			g := &portcullis.Guard{Verifier: portcullis.VerifierFunc(func(context.Context, string) (*portcullis.Identity, error) { return id, nil })}
			r := httptest.NewRequestWithContext(b.Context(), http.MethodGet, "/", nil)
			r.Header.Set("Authorization", "Bearer good")
			for range n {
				s, err := g.Admit(r, &portcullis.Policy{})
				if err != nil {
					b.Fatal(err)
				}
				defer s.Close()
			}
			rev := portcullis.Revocation{Subject: "u-bob"}
			for b.Loop() {
				if err := g.Revoke(b.Context(), rev); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
