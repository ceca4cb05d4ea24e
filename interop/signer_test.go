package interop

import (
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

// startSigner starts the metadata and the keys of a token system of ours, for
// tokens that no honest one would make. What sign returns is from it.
func startSigner(t *testing.T) (issuer string) {
	t.Helper()
	mux := http.NewServeMux()
	s := httptest.NewServer(mux)
	t.Cleanup(s.Close)
	for path, document := range map[string]string{
		"/.well-known/openid-configuration": metadata(s.URL),
		"/.well-known/ssf-configuration":    metadata(s.URL),
		"/keys":                             publicKeys(s.URL),
	} {
		mux.HandleFunc(path, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			_, _ = io.WriteString(w, document)
		})
	}
	return s.URL
}

// claims are those of a token.
type claims map[string]any

// with returns c with others on top; one that is nil is taken away.
func (c claims) with(others claims) claims {
	c = maps.Clone(c)
	maps.Copy(c, others)
	maps.DeleteFunc(c, func(_ string, value any) bool { return value == nil })
	return c
}

// accessToken is for the audience "api".
func accessToken(issuer, user string) string {
	return said.secret("a signed token", sign("at+jwt", claims{
		"iss": issuer, "aud": "api", "sub": user, "sid": "s-" + user, "client_id": "app", "jti": rand.Text(),
		"iat": time.Now().Unix(), "exp": time.Now().Add(time.Hour).Unix(),
	}))
}

// forgeries are tokens of that type and with those claims, which are good, that
// the token system did not make for this.
func forgeries(t testing.TB, typ string, good claims) map[string]string {
	raw, err := json.Marshal(good)
	if err != nil {
		t.Fatal(err)
	}
	payload := base64.RawURLEncoding.EncodeToString(raw)
	header := func(alg string) string {
		return base64.RawURLEncoding.EncodeToString([]byte(`{"alg":"` + alg + `","typ":"` + typ + `"}`))
	}
	token, other := sign(typ, good), sign(typ, good.with(claims{"jti": rand.Text()}))
	own, foreign := token[strings.LastIndexByte(token, '.'):], other[strings.LastIndexByte(other, '.'):]
	return map[string]string{
		"alg none":                  header("none") + "." + payload + ".",
		"alg none with a signature": header("none") + "." + payload + own,
		"alg HS256":                 header("HS256") + "." + payload + own,
		"unsigned":                  strings.TrimSuffix(token, own) + ".",
		"another's signature":       strings.TrimSuffix(token, own) + foreign,
		"type of an access token":   sign("at+jwt", good),
	}
}

// deliver posts a token, and returns the answer.
func deliver(t testing.TB, target string, header http.Header, body string) (status int, answer string) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, target, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	r.Header, r.Close = header, true
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	raw, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	_, _ = said.Write(raw)
	if resp.Header.Get("Cache-Control") != "no-store" {
		t.Errorf("%s without no-store", resp.Status)
	}
	return resp.StatusCode, string(raw)
}
