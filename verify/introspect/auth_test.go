package introspect_test

import (
	"encoding/json"
	"net/http"
	"net/url"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/google/go-cmp/cmp"

	"github.com/portcullis-auth/portcullis/verify/introspect"
)

// I2: the request of RFC 7662, section 2.1, with our credentials where they
// belong and nowhere else.
func TestI2ClientAuthentication(t *testing.T) {
	for _, auth := range append(everyAuth, "") {
		t.Run(string(auth), func(t *testing.T) {
			_, err := verify(t, introspect.Config{Auth: auth}, func(w http.ResponseWriter, r *http.Request) {
				if err := r.ParseForm(); err != nil {
					t.Error(err)
				}
				if r.Method != http.MethodPost || r.URL.RawQuery != "" || r.Header.Get("Accept") != "application/json" {
					t.Errorf("%s %s for %q", r.Method, r.URL, r.Header.Get("Accept"))
				}
				want := url.Values{"token": {token}, "token_type_hint": {"access_token"}}
				switch auth {
				case "", introspect.AuthBasic: // RFC 6749, section 2.3.1
					id, password, _ := r.BasicAuth()
					id, _ = url.QueryUnescape(id)
					password, _ = url.QueryUnescape(password)
					if id != clientID || password != secret {
						t.Errorf("credentials %q, %q", id, password)
					}
					r.Header.Del("Authorization")
				case introspect.AuthPost:
					want.Set("client_id", clientID)
					want.Set("client_secret", secret)
				case introspect.AuthPrivateKeyJWT: // RFC 7523, section 2.2
					want.Set("client_id", clientID)
					want.Set("client_assertion_type", "urn:ietf:params:oauth:client-assertion-type:jwt-bearer")
					want.Set("client_assertion", r.PostForm.Get("client_assertion")) // see TestI2Assertion
				case introspect.AuthBearer:
					if got := r.Header.Get("Authorization"); got != "Bearer "+bearer {
						t.Errorf("Authorization %q", got)
					}
					r.Header.Del("Authorization")
				}
				if got, ok := r.Header["Authorization"]; ok {
					t.Errorf("Authorization %q is sent, too", got)
				}
				if diff := cmp.Diff(want, r.PostForm); diff != "" {
					t.Errorf("form (-want +got):\n%s", diff)
				}
				answer(`{"active":true}`)(w, r)
			})
			if err != nil {
				t.Error(err)
			}
		})
	}
}

// I2: the assertion of RFC 7523, section 3: a new one for each call, signed as
// the key is registered, good for a minute.
func TestI2Assertion(t *testing.T) {
	const endpoint, issuer = "https://id.example.com/introspect", "https://id.example.com"
	for _, tt := range []struct {
		name                   string
		key                    introspect.ClientKey
		issuer, audience       string
		wantAlgorithm, wantAud string
	}{
		{"Ed25519", introspect.ClientKey{Signer: edPrivate, KeyID: "k1"}, "", "", "EdDSA", endpoint},
		{"P-256, issuer known", introspect.ClientKey{Signer: ecKey, KeyID: "k2"}, issuer, "", "ES256", issuer},
		{"RSA, audience set", introspect.ClientKey{Signer: rsaKey(), KeyID: "k3"}, issuer, "urn:server", "RS256", "urn:server"},
		{"PS256", introspect.ClientKey{Signer: rsaKey(), Algorithm: "PS256"}, issuer, "", "PS256", issuer},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var assertions []string
				server := &site{}
				server.set(endpoint, func(w http.ResponseWriter, r *http.Request) {
					assertions = append(assertions, r.PostFormValue("client_assertion"))
					answer(`{"active":true}`)(w, r)
				})
				v, err := introspect.New(introspect.Config{
					URL: endpoint, Issuer: tt.issuer, ClientID: clientID, ClientKey: &tt.key,
					ClientAssertionAudience: tt.audience, Client: server.client(),
				})
				if err != nil {
					t.Fatal(err)
				}
				ids := make(map[string]bool)
				for range 2 {
					if _, err := check(t, v); err != nil {
						t.Fatal(err)
					}
					ids[checkAssertion(t, assertions[len(assertions)-1], &tt.key, tt.wantAlgorithm, tt.wantAud)] = true
				}
				if len(ids) != 2 || ids[""] {
					t.Errorf("jti of two assertions: %v", ids)
				}
			})
		})
	}
}

// checkAssertion returns the "jti".
func checkAssertion(t *testing.T, assertion string, key *introspect.ClientKey, algorithm, audience string) string {
	t.Helper()
	jws, err := jose.ParseSignedCompact(assertion, []jose.SignatureAlgorithm{jose.SignatureAlgorithm(algorithm)})
	if err != nil {
		t.Fatal(err)
	}
	if got := jws.Signatures[0].Protected.KeyID; got != key.KeyID {
		t.Errorf("kid %q, want %q", got, key.KeyID)
	}
	payload, err := jws.Verify(key.Signer.Public())
	if err != nil {
		t.Fatal(err)
	}
	if algorithm == "PS256" {
		checkSalt(t, assertion, key.Signer.Public())
	}
	var got map[string]any
	if err := json.Unmarshal(payload, &got); err != nil {
		t.Fatal(err)
	}
	id, _ := got["jti"].(string)
	now := time.Now().Unix()
	want := map[string]any{
		"iss": clientID, "sub": clientID, "aud": audience, "jti": id,
		"iat": float64(now), "exp": float64(now + 60),
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("claims (-want +got):\n%s", diff)
	}
	return id
}
