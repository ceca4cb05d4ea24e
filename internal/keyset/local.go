package keyset

import (
	"bytes"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
)

// parseLocal reads keys from a JWK Set or from PEM blocks. Unlike those that an
// issuer publishes they were picked by hand, so it is an error if they are of no
// use.
func parseLocal(raw []byte, algorithms []string) ([]key, error) {
	raw = bytes.TrimSpace(raw)
	if !bytes.HasPrefix(raw, []byte("-----BEGIN ")) {
		keys, err := parse(raw, algorithms)
		if err == nil && len(keys) == 0 {
			err = errors.New("the key set has no public key for these algorithms")
		}
		return keys, err
	}
	var keys []key
	for n := 1; len(raw) > 0; n++ {
		var block *pem.Block
		if block, raw = pem.Decode(raw); block == nil {
			return nil, fmt.Errorf("PEM block %d cannot be read", n)
		}
		k, err := parsePEM(block, algorithms)
		if err != nil {
			return nil, fmt.Errorf("PEM block %d: %w", n, err)
		}
		keys = append(keys, k)
		raw = bytes.TrimSpace(raw)
	}
	return keys, nil
}

func parsePEM(block *pem.Block, algorithms []string) (k key, err error) {
	switch block.Type {
	case "PUBLIC KEY":
		k.public, err = x509.ParsePKIXPublicKey(block.Bytes)
	case "RSA PUBLIC KEY":
		k.public, err = x509.ParsePKCS1PublicKey(block.Bytes)
	default:
		return k, errors.New("not a PUBLIC KEY")
	}
	if err != nil {
		return k, errors.New("not a public key")
	}
	if k.alg = algorithmFor(familyOf(k.public), algorithms); k.alg == "" {
		return k, errors.New("a key for none of these algorithms")
	}
	return k, nil
}
