package keyset_test

import (
	"crypto/x509"
	"encoding/pem"
	"strings"
	"testing"

	"github.com/portcullis-auth/portcullis/internal/keyset"
)

func block(t testing.TB, kind string, der []byte, err error) []byte {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der})
}

func pkix(t testing.TB, key any) []byte {
	t.Helper()
	der, err := x509.MarshalPKIXPublicKey(key)
	return block(t, "PUBLIC KEY", der, err)
}

// J1: keys in a file are for one algorithm too; one that is of no use is an
// error, since somebody has chosen it.
func TestJ1LocalKeys(t *testing.T) {
	ed, ec, rs := pkix(t, edPublic), pkix(t, ecKey.Public()), pkix(t, rsaKey.Public())
	private, err := x509.MarshalPKCS8PrivateKey(edPrivate)
	secret := block(t, "PRIVATE KEY", private, err)
	for _, tt := range []struct {
		name  string
		local string
		want  string // of the algorithms, or of the error
	}{
		{"one", string(ed), "EdDSA"},
		{"several, with space around", "\n" + string(rs) + "\n\n" + string(ec) + "\n", "RS256 ES256"},
		{"two for one algorithm", string(ed) + string(pkix(t, edPublic)), "EdDSA EdDSA"},
		{"PKCS #1", string(block(t, "RSA PUBLIC KEY", x509.MarshalPKCS1PublicKey(&rsaKey.PublicKey), nil)), "RS256"},
		{"JWK Set", set(t, jwk(t, rsaKey.Public(), object{"kid": "k", "alg": "PS256"})), "PS256"},
		{"private", string(ed) + string(secret), "error: PEM block 2: not a PUBLIC KEY"},
		{"weak", string(pkix(t, weakKey.Public())), "error: PEM block 1: a key for none"},
		{"not in the list", string(pkix(t, ec384Key.Public())), "error: PEM block 1: a key for none"},
		{"private by another name", strings.ReplaceAll(string(secret), "PRIVATE", "PUBLIC"), "error: PEM block 1: not a public key"},
		{"something behind", string(ed) + "SECRET", "error: PEM block 2 cannot be read"},
		{"cut", string(ed[:len(ed)-10]), "error: PEM block 1 cannot be read"},
		{"empty", "", "error: the key set is not JSON"},
		{"JWK Set without a key", `{"keys":[]}`, "error: the key set has no public key"},
		{"JWK Set with a private key", set(t, jwk(t, edPrivate, nil)), "error: the key set has no public key"},
		{"not a set", `{"kty":"SECRET"}`, "error: the key set has no array"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s, err := keyset.New(keyset.Config{Local: []byte(tt.local)})
			if want, bad := strings.CutPrefix(tt.want, "error: "); bad {
				if err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "SECRET") {
					t.Errorf("err = %v, want %q", err, want)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			for _, alg := range keyset.DefaultAlgorithms {
				for _, kid := range []string{"", "k"} {
					keys, err := s.Keys(t.Context(), kid, alg)
					if err != nil || len(keys) != strings.Count(tt.want, alg) {
						t.Errorf("%q, %s: %d keys, %v", kid, alg, len(keys), err)
					}
				}
			}
		})
	}
}

// A name that a local key set gives is not another key's.
func TestLocalNames(t *testing.T) {
	s := newSet(t, keyset.Config{Local: []byte(set(t, jwk(t, edPublic, object{"kid": "a"}), jwk(t, edPublic, object{"kid": "b"})))})
	for kid, want := range map[string]int{"a": 1, "b": 1, "c": 0, "": 2} {
		if keys, err := s.Keys(t.Context(), kid, "EdDSA"); len(keys) != want || err != nil {
			t.Errorf("%q: %d keys, %v; want %d", kid, len(keys), err, want)
		}
	}
}
