package jws_test

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"errors"
	"math/big"
	"slices"
	"strings"
	"testing"

	"github.com/portcullis-auth/portcullis/internal/jws"
)

var (
	_, edKey, _     = ed25519.GenerateKey(rand.Reader)
	_, forger, _    = ed25519.GenerateKey(rand.Reader)
	rsaKey, _       = rsa.GenerateKey(rand.Reader, 2048)
	p256, _         = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	p384, _         = ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	p521, _         = ecdsa.GenerateKey(elliptic.P521(), rand.Reader)
	allAlgorithms   = []string{"RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA"}
	noSuchAlgorithm = []string{"", "n", "none", "HS256", "Ed25519", "RS1", "RSA", "PS257", "ES256K", "ES", "RSA-OAEP"}
)

// private is the key for an algorithm.
func private(alg string) crypto.Signer {
	switch alg {
	case "EdDSA":
		return edKey
	case "ES256":
		return p256
	case "ES384":
		return p384
	case "ES512":
		return p521
	}
	return rsaKey
}

// sign signs input with a key, and the hash and the padding of an algorithm.
func sign(t *testing.T, alg string, key crypto.Signer, input []byte) []byte {
	t.Helper()
	hash := crypto.SHA256
	if strings.HasSuffix(alg, "384") {
		hash = crypto.SHA384
	} else if strings.HasSuffix(alg, "512") {
		hash = crypto.SHA512
	}
	h := hash.New()
	h.Write(input)
	var signature []byte
	var err error
	switch key := key.(type) {
	case ed25519.PrivateKey:
		signature = ed25519.Sign(key, input)
	case *ecdsa.PrivateKey:
		var r, s *big.Int
		r, s, err = ecdsa.Sign(rand.Reader, key, h.Sum(nil))
		size := (key.Params().BitSize + 7) / 8
		signature = append(r.FillBytes(make([]byte, size)), s.FillBytes(make([]byte, size))...)
	case *rsa.PrivateKey:
		if alg[0] == 'P' {
			signature, err = rsa.SignPSS(rand.Reader, key, hash, h.Sum(nil), &rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthEqualsHash})
		} else {
			signature, err = rsa.SignPKCS1v15(rand.Reader, key, hash, h.Sum(nil))
		}
	}
	if err != nil {
		t.Fatal(err)
	}
	return signature
}

// J1: each algorithm takes its own signatures by its own type of key, even if
// the issuer's keys were handed over wrongly.
func TestJ1KeyTypes(t *testing.T) {
	input := []byte("x")
	for _, own := range allAlgorithms {
		signature := sign(t, own, private(own), input)
		for _, claimed := range append(noSuchAlgorithm, allAlgorithms...) {
			if got, want := jws.Verified(claimed, private(own).Public(), input, signature), own == claimed; got != want {
				t.Errorf("%s signature as %s: %v", own, claimed, got)
			}
		}
		for _, key := range []crypto.PublicKey{nil, []byte("x"), private(own), forger.Public()} {
			if jws.Verified(own, key, input, signature) {
				t.Errorf("%s signature by a %T", own, key)
			}
		}
		if jws.Verified(own, private(own).Public(), []byte("y"), signature) {
			t.Errorf("%s signature of something else", own)
		}
	}
}

// J1: a curve is for one algorithm, also where the hash would fit.
func TestJ1Curves(t *testing.T) {
	input := []byte("x")
	for _, alg := range []string{"ES256", "ES384", "ES512"} {
		for _, key := range []*ecdsa.PrivateKey{p256, p384, p521} {
			got := jws.Verified(alg, key.Public(), input, sign(t, alg, key, input))
			if want := private(alg).(*ecdsa.PrivateKey) == key; got != want {
				t.Errorf("%s with %s: %v", alg, key.Params().Name, got)
			}
		}
	}
}

// J1: a signature has one length, and PSS one length of salt.
func TestJ1SignatureForm(t *testing.T) {
	input := []byte("x")
	signature := sign(t, "ES256", p256, input)
	for name, bad := range map[string][]byte{
		"nothing":    nil,
		"shorter":    signature[:63],
		"longer":     append(signature[:64:64], 0),
		"0 before s": slices.Concat(signature[:32], []byte{0}, signature[32:]),
		"zero":       make([]byte, 64),
	} {
		if jws.Verified("ES256", p256.Public(), input, bad) {
			t.Errorf("%s is accepted", name)
		}
	}
	h := crypto.SHA256.New()
	h.Write(input)
	for _, salt := range []int{0, 20, 33, rsa.PSSSaltLengthAuto} {
		salty, err := rsa.SignPSS(rand.Reader, rsaKey, crypto.SHA256, h.Sum(nil), &rsa.PSSOptions{SaltLength: salt})
		if err != nil {
			t.Fatal(err)
		}
		if jws.Verified("PS256", rsaKey.Public(), input, salty) {
			t.Errorf("a salt of %d is accepted", salt)
		}
	}
}

// keys answers with these, and notes what it is asked.
type keys struct {
	list     []crypto.PublicKey
	err      error
	kid, alg string
}

func (k *keys) Keys(_ context.Context, kid, alg string) ([]crypto.PublicKey, error) {
	k.kid, k.alg = kid, alg
	return k.list, k.err
}

// J3: the signature is by one of the issuer's keys, which are asked for by name
// and algorithm; and whatever they say is passed on.
func TestJ3Verify(t *testing.T) {
	down := errors.New("down")
	own, other := edKey.Public(), forger.Public()
	h := encode(header(object{"alg": "Ed25519", "jwk": object{"kty": "OKP"}})) + "." + encode(claims)
	good := h + "." + encode(ed25519.Sign(edKey, []byte(h)))
	for _, tt := range []struct {
		name  string
		token string
		keys  keys
		want  error
	}{
		{"good", good, keys{list: []crypto.PublicKey{own}}, nil},
		{"the second of two", good, keys{list: []crypto.PublicKey{other, own}}, nil},
		{"another's", good, keys{list: []crypto.PublicKey{other}}, jws.ErrSignature},
		{"no key", good, keys{}, jws.ErrNoKey},
		{"down", good, keys{err: down}, down},
		{"down, with keys", good, keys{list: []crypto.PublicKey{own}, err: down}, down},
		{"forged", h + "." + encode(ed25519.Sign(forger, []byte(h))), keys{list: []crypto.PublicKey{own}}, jws.ErrSignature},
		{"other claims", strings.Replace(good, encode(claims), encode([]byte("{}")), 1), keys{list: []crypto.PublicKey{own}}, jws.ErrSignature},
	} {
		t.Run(tt.name, func(t *testing.T) {
			parsed, err := jws.Parse(tt.token, eddsa, types)
			if err != nil {
				t.Fatal(err)
			}
			//nolint:errorlint // as it is
			if err := parsed.Verify(t.Context(), &tt.keys); err != tt.want {
				t.Errorf("err = %v, want %v", err, tt.want)
			}
			if tt.keys.kid != "k" || tt.keys.alg != "EdDSA" {
				t.Errorf("asked for %q, %q", tt.keys.kid, tt.keys.alg)
			}
		})
	}
}
