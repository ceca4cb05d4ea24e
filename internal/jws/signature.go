package jws

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/sha512"
	"errors"
	"math/big"
)

// Why a signature is not good.
var (
	ErrNoKey     = errors.New("the issuer has no such key for this algorithm")
	ErrSignature = errors.New("the signature is not by a key of the issuer")
)

// Keys finds the public keys of an issuer: those called kid that are good for
// the algorithm alg, or, with kid "", those that are good for it at all. None
// and no error means that the issuer has no such key; an error, that it cannot
// tell.
type Keys interface {
	Keys(ctx context.Context, kid, alg string) ([]crypto.PublicKey, error)
}

// Verify checks the signature. The error is [ErrNoKey], [ErrSignature], or that
// of keys. It holds nothing of the token.
func (t *Token) Verify(ctx context.Context, keys Keys) error {
	found, err := keys.Keys(ctx, t.KeyID, t.Algorithm) // J3
	switch {
	case err != nil:
		return err
	case len(found) == 0:
		return ErrNoKey
	}
	input := []byte(t.input)
	for _, key := range found {
		if verified(t.Algorithm, key, input, t.signature) {
			return nil
		}
	}
	return ErrSignature
}

// verified reports whether signature is that of input by key (RFC 7518, section
// 3; RFC 8037, section 3.1). The key was chosen by alg; one of another type
// verifies nothing all the same (J1).
func verified(alg string, key crypto.PublicKey, input, signature []byte) bool {
	switch key := key.(type) {
	case ed25519.PublicKey:
		return alg == "EdDSA" && ed25519.Verify(key, input, signature)
	case *ecdsa.PublicKey:
		// Section 3.4: two numbers of exactly this length, one after the other.
		size := (key.Curve.Params().BitSize + 7) / 8
		if curves[alg] != key.Curve || len(signature) != 2*size {
			return false
		}
		r, s := new(big.Int).SetBytes(signature[:size]), new(big.Int).SetBytes(signature[size:])
		_, sum := digest(alg, input)
		return ecdsa.Verify(key, sum, r, s)
	case *rsa.PublicKey:
		switch alg {
		case "RS256", "RS384", "RS512":
			hash, sum := digest(alg, input)
			return rsa.VerifyPKCS1v15(key, hash, sum, signature) == nil
		case "PS256", "PS384", "PS512":
			// Section 3.5: the salt is as long as the hash.
			hash, sum := digest(alg, input)
			return rsa.VerifyPSS(key, hash, sum, signature, &rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthEqualsHash}) == nil
		}
	}
	return false
}

// curves are those of the ECDSA algorithms (RFC 7518, section 3.4).
var curves = map[string]elliptic.Curve{"ES256": elliptic.P256(), "ES384": elliptic.P384(), "ES512": elliptic.P521()}

// digest hashes input as the algorithm's last three digits say.
func digest(alg string, input []byte) (crypto.Hash, []byte) {
	switch alg[2:] {
	case "256":
		sum := sha256.Sum256(input)
		return crypto.SHA256, sum[:]
	case "384":
		sum := sha512.Sum384(input)
		return crypto.SHA384, sum[:]
	}
	sum := sha512.Sum512(input)
	return crypto.SHA512, sum[:]
}
