package introspect

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/cryptosigner"
)

// A ClientKey is the private key that stands for us at the token system, which
// has the public one (RFC 7523, section 2.2).
type ClientKey struct {
	// Signer is the key, or whatever holds it: RSA with 2048 bits or more,
	// ECDSA on P-256, or Ed25519. It must be safe for concurrent use.
	Signer crypto.Signer

	// KeyID is the "kid" by which the token system knows the key. "": not sent,
	// which does where it knows one key of ours.
	KeyID string

	// Algorithm is RS256 or PS256, ES256 or EdDSA. "": the first for the key.
	Algorithm string
}

// assertionLifetime is how long an assertion is good. It is used at once; this
// is for the two clocks.
const assertionLifetime = time.Minute

// ParseClientKey reads a private key as PEM (PKCS #8, PKCS #1 or SEC 1, not
// encrypted) or as a JWK (RFC 7517), of which it takes the "kid" and "alg" too.
// The error doesn't quote it.
func ParseClientKey(raw []byte) (*ClientKey, error) {
	k, err := parseClientKey(raw)
	if err == nil {
		_, err = k.signer()
	}
	if err != nil {
		return nil, fmt.Errorf("introspect: %w", err)
	}
	return k, nil
}

func parseClientKey(raw []byte) (*ClientKey, error) {
	if strings.HasPrefix(strings.TrimSpace(string(raw)), "{") {
		var jwk jose.JSONWebKey
		if jwk.UnmarshalJSON(raw) != nil {
			return nil, errors.New("the client key is not a JWK")
		}
		if jwk.Use != "" && jwk.Use != "sig" {
			return nil, errors.New(`the client key is not for signatures: see its "use"`)
		}
		signer, ok := jwk.Key.(crypto.Signer)
		if !ok {
			return nil, errors.New("the client key is not a private key")
		}
		return &ClientKey{Signer: signer, KeyID: jwk.KeyID, Algorithm: jwk.Algorithm}, nil
	}
	for block, rest := pem.Decode(raw); block != nil; block, rest = pem.Decode(rest) {
		var key any
		var err error
		switch block.Type {
		case "PRIVATE KEY":
			key, err = x509.ParsePKCS8PrivateKey(block.Bytes)
		case "RSA PRIVATE KEY":
			key, err = x509.ParsePKCS1PrivateKey(block.Bytes)
		case "EC PRIVATE KEY":
			key, err = x509.ParseECPrivateKey(block.Bytes)
		default: // parameters or certificates may stand around it
			continue
		}
		signer, ok := key.(crypto.Signer)
		if err != nil || !ok {
			return nil, errors.New("the client key cannot be read; it must not be encrypted")
		}
		return &ClientKey{Signer: signer}, nil
	}
	return nil, errors.New("the client key is neither PEM with a private key nor a JWK")
}

// signer returns what signs with k, or what is wrong with k.
func (k *ClientKey) signer() (jose.Signer, error) {
	if k.Signer == nil {
		return nil, errors.New("ClientKey has no Signer")
	}
	var fit []string
	switch public := k.Signer.Public().(type) {
	case *rsa.PublicKey:
		if public.N.BitLen() >= 2048 { // RFC 7518, section 3.3
			fit = []string{"RS256", "PS256"}
		}
	case *ecdsa.PublicKey:
		if public.Curve == elliptic.P256() {
			fit = []string{"ES256"}
		}
	case ed25519.PublicKey:
		fit = []string{"EdDSA"}
	}
	alg := k.Algorithm
	switch {
	case fit == nil:
		return nil, errors.New("the client key must be RSA with 2048 bits or more, ECDSA on P-256, or Ed25519")
	case alg == "":
		alg = fit[0]
	case !slices.Contains(fit, alg):
		return nil, fmt.Errorf("the client key's algorithm must be one of %q", fit)
	}
	options := &jose.SignerOptions{}
	if k.KeyID != "" {
		options.WithHeader("kid", k.KeyID)
	}
	return jose.NewSigner(jose.SigningKey{
		Algorithm: jose.SignatureAlgorithm(alg),
		Key:       cryptosigner.Opaque(shortSalt{k.Signer}),
	}, options)
}

// shortSalt makes the salt of PS256 as long as the hash, as RFC 7518, section
// 3.5, has it. cryptosigner asks for the longest one, which strict servers
// refuse.
type shortSalt struct{ crypto.Signer }

func (s shortSalt) Sign(random io.Reader, digest []byte, opts crypto.SignerOpts) ([]byte, error) {
	if pss, ok := opts.(*rsa.PSSOptions); ok {
		opts = &rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthEqualsHash, Hash: pss.Hash}
	}
	return s.Signer.Sign(random, digest, opts)
}

// assertion returns a new JWT that says who we are (RFC 7523, section 3). Each
// is for one call: servers may refuse a "jti" that they have seen.
func (v *Verifier) assertion() (string, error) {
	now := time.Now()
	claims, err := json.Marshal(map[string]any{
		"iss": v.config.ClientID,
		"sub": v.config.ClientID,
		"aud": v.config.ClientAssertionAudience,
		"jti": rand.Text(),
		"iat": now.Unix(),
		"exp": now.Add(assertionLifetime).Unix(),
	})
	if err != nil {
		return "", err
	}
	signed, err := v.signer.Sign(claims)
	if err != nil {
		return "", err
	}
	return signed.CompactSerialize()
}
