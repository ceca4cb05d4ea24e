package introspect_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"io"
	"math/big"
	"strings"
	"sync"
	"testing"

	"github.com/go-jose/go-jose/v4"

	"github.com/portcullis-auth/portcullis"
	"github.com/portcullis-auth/portcullis/verify/introspect"
)

var (
	edPublic, edPrivate, _ = ed25519.GenerateKey(rand.Reader)
	ecKey, _               = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	rsaKey                 = sync.OnceValue(func() *rsa.PrivateKey {
		k, _ := rsa.GenerateKey(rand.Reader, 2048)
		return k
	})
)

// checkSalt demands a salt as long as the hash (RFC 7518, section 3.5).
func checkSalt(t *testing.T, jws string, public crypto.PublicKey) {
	t.Helper()
	dot := strings.LastIndexByte(jws, '.')
	digest := sha256.Sum256([]byte(jws[:dot]))
	signature, _ := base64.RawURLEncoding.DecodeString(jws[dot+1:])
	strict := &rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthEqualsHash}
	if err := rsa.VerifyPSS(public.(*rsa.PublicKey), crypto.SHA256, digest[:], signature, strict); err != nil {
		t.Errorf("the salt is not as long as the hash: %v", err)
	}
}

func pemOf(kind string, der []byte, err error) string {
	if err != nil {
		panic(err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}))
}

func pkcs8(key any) string {
	der, err := x509.MarshalPKCS8PrivateKey(key)
	return pemOf("PRIVATE KEY", der, err)
}

func jwk(key jose.JSONWebKey) string {
	raw, err := key.MarshalJSON()
	if err != nil {
		panic(err)
	}
	return string(raw)
}

func TestParseClientKey(t *testing.T) {
	p384, _ := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	sec1, err := x509.MarshalECPrivateKey(ecKey)
	if err != nil {
		t.Fatal(err)
	}
	weak := strings.Repeat("x", 40)
	ecPEM := pemOf("EC PRIVATE KEY", sec1, nil)
	for _, tt := range []struct {
		name, raw string
		want      introspect.ClientKey
		wantErr   string
	}{
		{"PKCS #8, Ed25519", pkcs8(edPrivate), introspect.ClientKey{Signer: edPrivate}, ""},
		{"PKCS #8, RSA", pkcs8(rsaKey()), introspect.ClientKey{Signer: rsaKey()}, ""},
		{"PKCS #1", pemOf("RSA PRIVATE KEY", x509.MarshalPKCS1PrivateKey(rsaKey()), nil), introspect.ClientKey{Signer: rsaKey()}, ""},
		{"SEC 1 behind its parameters", "-----BEGIN EC PARAMETERS-----\nBggqhkjOPQMBBw==\n-----END EC PARAMETERS-----\n" + ecPEM, introspect.ClientKey{Signer: ecKey}, ""},
		{"JWK", " \n" + jwk(jose.JSONWebKey{Key: ecKey, KeyID: "k1", Algorithm: "ES256", Use: "sig"}), introspect.ClientKey{Signer: ecKey, KeyID: "k1", Algorithm: "ES256"}, ""},
		{"JWK, PS256", jwk(jose.JSONWebKey{Key: rsaKey(), Algorithm: "PS256"}), introspect.ClientKey{Signer: rsaKey(), Algorithm: "PS256"}, ""},
		{"public JWK", jwk(jose.JSONWebKey{Key: ecKey.Public()}), introspect.ClientKey{}, "not a private key"},
		{"symmetric JWK", jwk(jose.JSONWebKey{Key: []byte(weak)}), introspect.ClientKey{}, "not a private key"},
		{"JWK for encryption", jwk(jose.JSONWebKey{Key: ecKey, Use: "enc"}), introspect.ClientKey{}, "use"},
		{"JWK for another algorithm", jwk(jose.JSONWebKey{Key: ecKey, Algorithm: "RS256"}), introspect.ClientKey{}, "ES256"},
		{"JWK for none", jwk(jose.JSONWebKey{Key: ecKey, Algorithm: "none"}), introspect.ClientKey{}, "ES256"},
		{"broken JWK", `{"kty":"OKP","d":"S3CR3T"}`, introspect.ClientKey{}, "not a JWK"},
		{"another curve", pkcs8(p384), introspect.ClientKey{}, "P-256"},
		{"encrypted", pemOf("ENCRYPTED PRIVATE KEY", []byte("S3CR3T"), nil), introspect.ClientKey{}, "neither"},
		{"broken PEM", pemOf("PRIVATE KEY", []byte("S3CR3T"), nil), introspect.ClientKey{}, "cannot be read"},
		{"public PEM", pemOf("PUBLIC KEY", []byte("S3CR3T"), nil), introspect.ClientKey{}, "neither"},
		{"a secret", secret, introspect.ClientKey{}, "neither"},
		{"nothing", "", introspect.ClientKey{}, "neither"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got, err := introspect.ParseClientKey([]byte(tt.raw))
			if tt.wantErr != "" {
				if err == nil || !strings.Contains(err.Error(), tt.wantErr) || holdsSecret(err.Error()) {
					t.Errorf("err = %v, want %q", err, tt.wantErr)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			equal := got.Signer.Public().(interface{ Equal(crypto.PublicKey) bool }).Equal
			if got.KeyID != tt.want.KeyID || got.Algorithm != tt.want.Algorithm || !equal(tt.want.Signer.Public()) {
				t.Errorf("got %q, %q, %T", got.KeyID, got.Algorithm, got.Signer)
			}
		})
	}
}

// fake is a signer of another kind of key, or one whose device is gone.
type fake struct{ public crypto.PublicKey }

func (f fake) Public() crypto.PublicKey { return f.public }
func (fake) Sign(io.Reader, []byte, crypto.SignerOpts) ([]byte, error) {
	return nil, errors.New("device gone")
}

func TestClientKeyIsStrongEnough(t *testing.T) {
	short := &rsa.PublicKey{N: rsaKey().N, E: rsaKey().E}
	short.N = new(big.Int).Rsh(short.N, 1)
	for _, public := range []crypto.PublicKey{short, []byte("secret"), nil} {
		_, err := introspect.New(introspect.Config{
			URL: "https://id.example.com/", ClientID: clientID, ClientKey: &introspect.ClientKey{Signer: fake{public}},
		})
		if err == nil || !strings.Contains(err.Error(), "2048") {
			t.Errorf("%T: err = %v", public, err)
		}
	}
}

// I2: where we cannot sign, nobody is asked.
func TestI2SignerFails(t *testing.T) {
	server := &site{}
	v, err := introspect.New(introspect.Config{
		URL: "https://id.example.com/", ClientID: clientID, Client: server.client(),
		ClientKey: &introspect.ClientKey{Signer: fake{edPublic}},
	})
	if err != nil {
		t.Fatal(err)
	}
	_, err = check(t, v)
	checkError(t, err, portcullis.ErrUnavailable)
	if err == nil || !strings.Contains(err.Error(), "device gone") || len(server.take()) != 0 {
		t.Errorf("err = %v", err)
	}
}
