package keyset

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"github.com/go-jose/go-jose/v4"

	"github.com/portcullis-auth/portcullis/internal/jws"
	"github.com/portcullis-auth/portcullis/internal/strictjson"
)

// A key is good for one algorithm (J1; RFC 8725, section 3.1).
type key struct {
	id     string // "kid"; "": none
	alg    string
	public crypto.PublicKey
}

// families says which type of key each signature algorithm takes (RFC 7518,
// section 3.1; RFC 8037). Symmetric algorithms are missing on purpose.
var families = map[string]string{
	"RS256": "RSA", "RS384": "RSA", "RS512": "RSA",
	"PS256": "RSA", "PS384": "RSA", "PS512": "RSA",
	"ES256": "P-256", "ES384": "P-384", "ES512": "P-521",
	"EdDSA": "Ed25519",
}

// RSA keys have 2048 bits at least (RFC 7518, section 3.3), and no more than
// can be checked in a millisecond.
const minRSA, maxRSA = 2048, 8192

// parse reads a JWK Set (RFC 7517, section 5). Keys that are of no use to us
// are left out, as the section says; what isn't a JWK Set is an error. No error
// quotes it.
func parse(body []byte, algorithms []string) ([]key, error) {
	members, err := strictjson.Object(body)
	if err != nil {
		return nil, fmt.Errorf("the key set is %w", err)
	}
	var list []json.RawMessage
	if raw := members["keys"]; json.Unmarshal(raw, &list) != nil || list == nil {
		return nil, errors.New(`the key set has no array "keys"`)
	}
	var keys []key
	for _, raw := range list {
		if k, ok := parseKey(raw, algorithms); ok {
			keys = append(keys, k)
		}
	}
	return keys, nil
}

// parseKey reads one JWK, and reports whether it is of use.
func parseKey(raw json.RawMessage, algorithms []string) (k key, ok bool) {
	members, err := strictjson.Object(raw)
	if err != nil {
		return k, false
	}
	// RFC 7517, sections 4.2 and 4.3: "use" and "key_ops" each may forbid.
	if use, ok := members["use"]; ok && string(use) != `"sig"` {
		return k, false
	}
	if ops, ok := members["key_ops"]; ok {
		var list []string
		if json.Unmarshal(ops, &list) != nil || !slices.Contains(list, "verify") {
			return k, false
		}
	}
	var jwk jose.JSONWebKey
	if jwk.UnmarshalJSON(raw) != nil {
		return k, false
	}
	family := familyOf(jwk.Key)
	if family == "" {
		return k, false
	}
	k.id, k.public, k.alg = jwk.KeyID, jwk.Key, jws.CommonName(jwk.Algorithm)
	if k.alg == "" {
		k.alg = algorithmFor(family, algorithms)
	}
	return k, families[k.alg] == family && slices.Contains(algorithms, k.alg)
}

// algorithmFor returns the first algorithm for keys of a family; "": none.
func algorithmFor(family string, algorithms []string) string {
	for _, alg := range algorithms {
		if families[alg] == family {
			return alg
		}
	}
	return ""
}

// familyOf returns the type of a public key as families calls it, or "" for
// what nothing should be verified with: symmetric keys, private ones (whoever
// read the set can sign with them), weak ones.
func familyOf(public any) string {
	switch k := public.(type) {
	case *rsa.PublicKey:
		if n := k.N.BitLen(); n >= minRSA && n <= maxRSA {
			return "RSA"
		}
	case *ecdsa.PublicKey:
		switch k.Curve {
		case elliptic.P256(), elliptic.P384(), elliptic.P521():
			return k.Curve.Params().Name
		}
	case ed25519.PublicKey:
		return "Ed25519"
	}
	return ""
}

// Supported reports whether alg is a signature algorithm that a Config's
// Algorithms may hold.
func Supported(alg string) bool { return families[alg] != "" }
