package introspect_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/hmac"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"maps"
	"math/big"
	"net/http"
	"time"

	"github.com/go-jose/go-jose/v4"
)

const (
	signedType = "application/token-introspection+jwt"
	jwksURL    = "https://id.example.com/keys"
)

var _, forger, _ = ed25519.GenerateKey(rand.Reader)

type object = map[string]any

// gone as a value removes the member.
var gone = new(int)

func change(o, changes object) object {
	o = maps.Clone(o)
	maps.Copy(o, changes)
	maps.DeleteFunc(o, func(_ string, v any) bool { return v == gone })
	return o
}

// claims are those of a good answer, with changes.
func claims(changes object) []byte {
	return marshal(change(object{
		"iss": issuer, "aud": clientID, "iat": time.Now().Unix(),
		"token_introspection": object{"active": true, "sub": "ada"},
	}, changes))
}

// sign signs any bytes under any header, so that nothing keeps a test from
// making a bad answer. The algorithm is that of the header.
func sign(header object, payload []byte, key any) string {
	input := encode(marshal(header)) + "." + encode(payload)
	digest := sha256.Sum256([]byte(input))
	var signature []byte
	var err error
	switch header["alg"] {
	case "EdDSA":
		signature = ed25519.Sign(key.(ed25519.PrivateKey), []byte(input))
	case "RS256":
		signature, err = rsa.SignPKCS1v15(nil, rsaKey(), crypto.SHA256, digest[:])
	case "PS256":
		signature, err = rsa.SignPSS(rand.Reader, rsaKey(), crypto.SHA256, digest[:], &rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthEqualsHash})
	case "ES256":
		var r, s *big.Int
		r, s, err = ecdsa.Sign(rand.Reader, ecKey, digest[:])
		signature = append(r.FillBytes(make([]byte, 32)), s.FillBytes(make([]byte, 32))...)
	case "HS256":
		mac := hmac.New(sha256.New, key.([]byte))
		mac.Write([]byte(input))
		signature = mac.Sum(nil)
	default:
		signature = digest[:]
	}
	if err != nil {
		panic(err)
	}
	return input + "." + encode(signature)
}

// head is a good header, with changes.
func head(changes object) object {
	return change(object{"alg": "EdDSA", "kid": "ed", "typ": "token-introspection+jwt"}, changes)
}

func good() string { return sign(head(nil), claims(nil), edPrivate) }

func encode(b []byte) string { return base64.RawURLEncoding.EncodeToString(b) }

func marshal(v any) []byte {
	raw, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	return raw
}

// newSite is an issuer with keys, which answers as given.
func newSite(page http.HandlerFunc) *site {
	set := marshal(jose.JSONWebKeySet{Keys: []jose.JSONWebKey{
		{Key: edPublic, KeyID: "ed"},
		{Key: rsaKey().Public(), KeyID: "rsa"},
		{Key: rsaKey().Public(), KeyID: "rsa-pss", Algorithm: "PS256"},
		{Key: ecKey.Public(), KeyID: "ec"},
	}})
	return &site{pages: map[string]http.HandlerFunc{
		oidcDoc:  answer(`{"issuer":"` + issuer + `","jwks_uri":"` + jwksURL + `","introspection_endpoint":"` + endpoint + `"}`),
		jwksURL:  answer(string(set)),
		endpoint: page,
	}}
}
