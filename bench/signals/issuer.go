package main

import (
	"crypto/ed25519"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/go-jose/go-jose/v4"
)

const (
	issuerName = "https://id.example.com"
	audience   = "bench"
	leeway     = time.Second // after the expiry of a token
)

// An issuer signs access tokens.
type issuer struct{ signer jose.Signer }

// newIssuer returns an issuer whose public key is in dir, as keys.json.
func newIssuer(dir string) (*issuer, error) {
	public, private, err := ed25519.GenerateKey(nil)
	if err != nil {
		return nil, err
	}
	keys, err := json.Marshal(jose.JSONWebKeySet{Keys: []jose.JSONWebKey{{Key: public, KeyID: "1", Algorithm: string(jose.EdDSA)}}})
	if err != nil {
		return nil, err
	}
	if err := os.WriteFile(filepath.Join(dir, "keys.json"), keys, 0o600); err != nil {
		return nil, err
	}
	signer, err := jose.NewSigner(
		jose.SigningKey{Algorithm: jose.EdDSA, Key: jose.JSONWebKey{Key: private, KeyID: "1"}},
		(&jose.SignerOptions{}).WithType("at+jwt"))
	return &issuer{signer}, err
}

// tokens returns n tokens that are good until exp, in whole seconds.
func (i *issuer) tokens(n int, exp time.Time, subject func(int) string) (list []string, err error) {
	for number := range n {
		claims, err := json.Marshal(map[string]any{
			"iss": issuerName, "aud": audience, "sub": subject(number), "client_id": "bench", "jti": fmt.Sprint(number),
			"iat": time.Now().Unix(), "exp": exp.Unix(),
		})
		if err != nil {
			return nil, err
		}
		signed, err := i.signer.Sign(claims)
		if err != nil {
			return nil, err
		}
		token, err := signed.CompactSerialize()
		if err != nil {
			return nil, err
		}
		list = append(list, token)
	}
	return list, nil
}
