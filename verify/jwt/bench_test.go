package jwt_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/rsa"
	"math/big"
	"strings"
	"testing"

	"github.com/portcullis-auth/portcullis/verify/jwt"
)

// BenchmarkVerify is what a token costs that was never seen before, beside the
// bare check of its signature (with the hash of what is signed), which no
// verifier can do without.
func BenchmarkVerify(b *testing.B) {
	v := newVerifier(b, jwt.Config{})
	for _, alg := range []string{"RS256", "PS256", "ES256", "EdDSA"} {
		token := sign(header(object{"alg": alg, "kid": alg}), claims(nil), private(alg))
		input, tail := cutLast(token)
		b.Run(alg+"/bare", func(b *testing.B) {
			signature := signature(alg, []byte(input), private(alg))
			b.ReportAllocs()
			for b.Loop() {
				if !bare(alg, input, signature) {
					b.Fatal("refused")
				}
			}
		})
		b.Run(alg+"/whole", func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := v.Verify(b.Context(), token); err != nil {
					b.Fatal(err)
				}
			}
		})
		b.Run(alg+"/forged", func(b *testing.B) {
			forged := input + "." + strings.Repeat("A", len(tail))
			b.ReportAllocs()
			for b.Loop() {
				if _, err := v.Verify(b.Context(), forged); err == nil {
					b.Fatal("accepted")
				}
			}
		})
	}
	for name, token := range map[string]string{
		"expired":         good(object{"exp": 1}),
		"another issuer":  good(object{"iss": "https://other.example.com"}),
		"unknown key":     sign(header(object{"kid": "other"}), claims(nil), edPrivate),
		"none":            sign(header(object{"alg": "none"}), claims(nil), edPrivate),
		"not a token":     strings.Repeat("x", 800),
		"16 KiB of dots":  strings.Repeat(".", 16<<10),
		"a million dots":  strings.Repeat(".", 1_000_000),
		"16 KiB of noise": good(nil)[:20] + "." + strings.Repeat("A", 16000) + ".A",
	} {
		b.Run("refused/"+name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := v.Verify(b.Context(), token); err == nil {
					b.Fatal("accepted")
				}
			}
		})
	}
}

// BenchmarkRSA4096 is the dearest of the usual keys.
func BenchmarkRSA4096(b *testing.B) {
	key, err := rsa.GenerateKey(rand.Reader, 4096)
	if err != nil {
		b.Fatal(err)
	}
	v := newVerifier(b, jwt.Config{Issuer: issuer, Keys: pemOf(b, key.Public())})
	token := sign(header(object{"alg": "RS256"}), claims(nil), key)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := v.Verify(b.Context(), token); err != nil {
			b.Fatal(err)
		}
	}
}

func bare(alg, input string, signature []byte) bool {
	switch alg {
	case "RS256":
		return rsa.VerifyPKCS1v15(&rsaKey.PublicKey, crypto.SHA256, digest(input), signature) == nil
	case "PS256":
		return rsa.VerifyPSS(&rsaKey.PublicKey, crypto.SHA256, digest(input), signature, nil) == nil
	case "ES256":
		return ecdsa.Verify(&p256.PublicKey, digest(input), new(big.Int).SetBytes(signature[:32]), new(big.Int).SetBytes(signature[32:]))
	}
	return ed25519.Verify(edPublic, []byte(input), signature)
}
