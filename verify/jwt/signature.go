package jwt

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/sha512"
	"math/big"
)

// verified reports whether signature is that of input by key (RFC 7518, section
// 3; RFC 8037, section 3.1). The set has chosen the key by alg; a key of another
// type verifies nothing all the same.
func verified(alg string, key crypto.PublicKey, input, signature []byte) bool {
	switch key := key.(type) {
	case ed25519.PublicKey:
		return alg == "EdDSA" && ed25519.Verify(key, input, signature)
	case *ecdsa.PublicKey:
		// Section 3.4: two numbers of exactly this length, one after the other.
		size := (key.Curve.Params().BitSize + 7) / 8
		if alg[:2] != "ES" || len(signature) != 2*size {
			return false
		}
		r, s := new(big.Int).SetBytes(signature[:size]), new(big.Int).SetBytes(signature[size:])
		_, sum := digest(alg, input)
		return ecdsa.Verify(key, sum, r, s)
	case *rsa.PublicKey:
		hash, sum := digest(alg, input)
		switch alg[:2] {
		case "RS":
			return rsa.VerifyPKCS1v15(key, hash, sum, signature) == nil
		case "PS":
			// Section 3.5: the salt is as long as the hash.
			return rsa.VerifyPSS(key, hash, sum, signature, &rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthEqualsHash}) == nil
		}
	}
	return false
}

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
