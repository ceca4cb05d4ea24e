package issuer

import (
	"crypto"
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"crypto/rsa"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/go-jose/go-jose/v4"
	"github.com/zitadel/oidc/v3/pkg/op"
)

// signer signs everything with the one RS256 key of the issuer.
type signer struct {
	private *rsa.PrivateKey
	keyID   string
}

func newSigner(key *rsa.PrivateKey) (*signer, error) {
	if key == nil {
		var err error
		if key, err = rsa.GenerateKey(rand.Reader, 2048); err != nil {
			return nil, fmt.Errorf("issuer: signing key: %w", err)
		}
	}
	thumb, err := (&jose.JSONWebKey{Key: key.Public()}).Thumbprint(crypto.SHA256)
	if err != nil {
		return nil, fmt.Errorf("issuer: signing key: %w", err)
	}
	return &signer{key, base64.RawURLEncoding.EncodeToString(thumb)}, nil
}

// sign makes a compact JWS with the given typ of the claims.
func (s *signer) sign(typ string, claims map[string]any) (string, error) {
	payload, err := json.Marshal(claims)
	if err != nil {
		return "", err
	}
	js, err := jose.NewSigner(
		jose.SigningKey{Algorithm: jose.RS256, Key: jose.JSONWebKey{Key: s.private, KeyID: s.keyID}},
		(&jose.SignerOptions{}).WithType(jose.ContentType(typ)))
	if err != nil {
		return "", err
	}
	jws, err := js.Sign(payload)
	if err != nil {
		return "", err
	}
	return jws.CompactSerialize()
}

// signingKey and publicKey show the key to op.
type (
	signingKey struct{ *signer }
	publicKey  struct{ *signer }
)

var (
	_ op.SigningKey = signingKey{}
	_ op.Key        = publicKey{}
)

func (k signingKey) SignatureAlgorithm() jose.SignatureAlgorithm { return jose.RS256 }
func (k signingKey) Key() any                                    { return k.private }
func (k signingKey) ID() string                                  { return k.keyID }

func (k publicKey) ID() string                         { return k.keyID }
func (k publicKey) Algorithm() jose.SignatureAlgorithm { return jose.RS256 }
func (k publicKey) Use() string                        { return "sig" }
func (k publicKey) Key() any                           { return k.private.Public() }

// tokenCodec turns token ids into the strings that clients get, and back. It stands in for
// op's own encryption, because op by itself always writes typ "JWT" into JWT access tokens,
// puts no scope into them, and measures their lifetime by a clock that cannot be replaced.
type tokenCodec struct {
	issuer string
	store  *store
	signer *signer
	aead   cipher.AEAD
}

var _ op.Crypto = (*tokenCodec)(nil)

func newTokenCodec(issuer string, st *store, sg *signer) (*tokenCodec, error) {
	key := make([]byte, 32)
	rand.Read(key)
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, err
	}
	aead, err := cipher.NewGCMWithRandomNonce(block)
	if err != nil {
		return nil, err
	}
	return &tokenCodec{issuer, st, sg, aead}, nil
}

var errBadToken = errors.New("issuer: not a live access token")

// Encrypt is called by op with "token id:subject" for an access token, and with the id of the
// login for an authorization code.
func (c *tokenCodec) Encrypt(s string) (string, error) {
	id, _, isToken := strings.Cut(s, ":")
	if !isToken {
		return newID(), nil // the storage keeps the code with its login
	}
	t, ok := c.store.live(id)
	if !ok {
		return "", errBadToken
	}
	return c.encode(t)
}

func (c *tokenCodec) encode(t *accessToken) (string, error) {
	if t.kind == JWT {
		return c.signer.sign("at+jwt", t.claims(c.issuer))
	}
	return base64.RawURLEncoding.EncodeToString(c.aead.Seal(nil, nil, []byte(t.id), nil)), nil
}

// Decrypt gives op "token id:subject" of a live access token, of either kind. Ended tokens,
// ID tokens, logout tokens and everything else are an error.
func (c *tokenCodec) Decrypt(s string) (string, error) {
	id, err := c.tokenID(s)
	if err != nil {
		return "", errBadToken
	}
	t, ok := c.store.live(id)
	if !ok {
		return "", errBadToken
	}
	return id + ":" + t.user.Subject, nil
}

func (c *tokenCodec) tokenID(s string) (string, error) {
	if !strings.Contains(s, ".") {
		sealed, err := base64.RawURLEncoding.Strict().DecodeString(s)
		if err != nil {
			return "", err
		}
		id, err := c.aead.Open(nil, nil, sealed, nil)
		return string(id), err
	}
	jws, err := jose.ParseSignedCompact(s, []jose.SignatureAlgorithm{jose.RS256})
	if err != nil {
		return "", err
	}
	if typ, _ := jws.Signatures[0].Protected.ExtraHeaders[jose.HeaderType].(string); typ != "at+jwt" {
		return "", errBadToken
	}
	payload, err := jws.Verify(c.signer.private.Public())
	if err != nil {
		return "", err
	}
	var claims struct {
		ID string `json:"jti"`
	}
	err = json.Unmarshal(payload, &claims)
	return claims.ID, err
}

// claims is everything an access token tells: in a JWT as well as by introspection.
func (t *accessToken) claims(issuer string) map[string]any {
	u := t.user
	claims := map[string]any{
		"iss":                issuer,
		"sub":                u.Subject,
		"aud":                t.audience,
		"client_id":          t.clientID,
		"scope":              strings.Join(t.scopes, " "),
		"exp":                t.expires.Unix(),
		"iat":                t.issued.Unix(),
		"auth_time":          t.authTime.Unix(),
		"jti":                t.id,
		"sid":                t.sid,
		"preferred_username": u.Username,
		"name":               u.Name,
		"email":              u.Email,
		"email_verified":     true,
	}
	if len(u.Groups) > 0 {
		claims["groups"] = u.Groups
	}
	for _, name := range t.omit {
		delete(claims, name)
	}
	return claims
}
