package cached_test

import (
	"context"
	"crypto/sha256"
	"strings"
	"testing"
	"time"

	"github.com/portcullis-auth/portcullis"
	"github.com/portcullis-auth/portcullis/verify/cached"
)

// BenchmarkVerify is a token of 800 bytes that is known. No cache that doesn't
// keep tokens can be faster than "bare": one SHA-256 of it.
func BenchmarkVerify(b *testing.B) {
	token := strings.Repeat("0123456789", 80)
	v, err := cached.New(cached.Config{
		Verifier: portcullis.VerifierFunc(func(context.Context, string) (*portcullis.Identity, error) {
			return &portcullis.Identity{Subject: "ada", ExpiresAt: time.Now().Add(time.Hour)}, nil
		}),
		MaxAge: time.Hour,
	})
	if err != nil {
		b.Fatal(err)
	}
	defer func() { _ = v.Close() }()
	verify := func(b *testing.B) {
		if _, err := v.Verify(b.Context(), token); err != nil {
			b.Error(err)
		}
	}
	verify(b)
	b.Run("bare", func(b *testing.B) {
		raw := []byte(token)
		b.ReportAllocs()
		for b.Loop() {
			sum = sha256.Sum256(raw)
		}
	})
	b.Run("hit", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			verify(b)
		}
	})
	b.Run("hit, parallel", func(b *testing.B) {
		b.ReportAllocs()
		b.RunParallel(func(pb *testing.PB) {
			for pb.Next() {
				verify(b)
			}
		})
	})
	if n := v.Counters().Calls; n != 1 {
		b.Errorf("%d calls, want one", n)
	}
}

var sum [sha256.Size]byte
