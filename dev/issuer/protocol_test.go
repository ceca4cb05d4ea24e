package issuer_test

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"

	"github.com/portcullis-auth/portcullis/dev/issuer"
)

const verifier = "a-verifier-of-at-least-43-characters-as-rfc7636-wants-it"

func s256(v string) string {
	sum := sha256.Sum256([]byte(v))
	return base64.RawURLEncoding.EncodeToString(sum[:])
}

// authorize is what a client sends the browser with.
func (f *fixture) authorize(edit func(url.Values)) url.Values {
	q := url.Values{
		"response_type": {"code"}, "client_id": {issuer.ClientOpaque},
		"redirect_uri": {f.url + "/app/callback"}, "scope": {"openid offline_access chat"},
		"state": {"s"}, "code_challenge": {s256(verifier)}, "code_challenge_method": {"S256"},
	}
	if edit != nil {
		edit(q)
	}
	return q
}

// code logs bob in and returns the authorization code.
func (f *fixture) code() string {
	f.t.Helper()
	b := f.browser()
	resp, _ := b.get("/authorize?" + f.authorize(nil).Encode())
	id := resp.Request.URL.Query().Get("id")
	b.CheckRedirect = func(r *http.Request, _ []*http.Request) error {
		if r.URL.Path == "/app/callback" {
			return http.ErrUseLastResponse
		}
		return nil
	}
	resp, body := b.post("/login", url.Values{"id": {id}, "user": {"bob"}}, nil)
	u, err := resp.Location()
	if err != nil {
		f.t.Fatalf("after the login: %s %s", resp.Status, body)
	}
	return u.Query().Get("code")
}

// exchange trades a code, and returns the status and the answer.
func (f *fixture) exchange(code string, edit func(url.Values)) (int, map[string]any) {
	f.t.Helper()
	form := url.Values{
		"grant_type": {"authorization_code"}, "client_id": {issuer.ClientOpaque}, "code": {code},
		"redirect_uri": {f.url + "/app/callback"}, "code_verifier": {verifier},
	}
	if edit != nil {
		edit(form)
	}
	resp, body := f.browser().post("/oauth/token", form, nil)
	return resp.StatusCode, decode(f.t, body)
}

func TestAuthorizeRefusals(t *testing.T) {
	f := start(t, nil)
	for _, tt := range []struct {
		name string
		edit func(url.Values)
		want string // error sent to the client; empty: no redirect, 400
	}{
		{"PKCE missing", func(q url.Values) { q.Del("code_challenge"); q.Del("code_challenge_method") }, "invalid_request"},
		{"PKCE method missing", func(q url.Values) { q.Del("code_challenge_method") }, "invalid_request"},
		{"PKCE plain", func(q url.Values) { q.Set("code_challenge_method", "plain") }, "invalid_request"},
		{"implicit", func(q url.Values) { q.Set("response_type", "id_token token") }, ""},
		{"prompt none", func(q url.Values) { q.Set("prompt", "none") }, "login_required"},
		{"unknown client", func(q url.Values) { q.Set("client_id", "nobody") }, ""},
		{"the gateway", func(q url.Values) { q.Set("client_id", "gateway") }, ""},
		{"redirect elsewhere", func(q url.Values) { q.Set("redirect_uri", "https://evil.example.com/") }, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			b := f.browser()
			b.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
			resp, _ := b.get("/authorize?" + f.authorize(tt.edit).Encode())
			loc, err := resp.Location()
			if tt.want == "" {
				if resp.StatusCode != http.StatusBadRequest || err == nil {
					t.Errorf("got %s, Location %v; want 400", resp.Status, loc)
				}
				return
			}
			if err != nil {
				t.Fatalf("got %s without Location", resp.Status)
			}
			q := loc.Query()
			if loc.Fragment != "" {
				q, _ = url.ParseQuery(loc.Fragment)
			}
			if loc.Path != "/app/callback" || q.Get("error") != tt.want {
				t.Errorf("sent to %s, want error %s", loc, tt.want)
			}
		})
	}
}

func TestExchangeRefusals(t *testing.T) {
	f := start(t, nil)
	for _, tt := range []struct {
		name string
		edit func(url.Values)
	}{
		{"verifier missing", func(q url.Values) { q.Del("code_verifier") }},
		{"verifier wrong", func(q url.Values) { q.Set("code_verifier", verifier+"x") }},
		{"the challenge as verifier", func(q url.Values) { q.Set("code_verifier", s256(verifier)) }},
		{"another client", func(q url.Values) { q.Set("client_id", issuer.ClientJWT) }},
		{"unknown client", func(q url.Values) { q.Set("client_id", "nobody") }},
		{"another redirect_uri", func(q url.Values) { q.Set("redirect_uri", f.url+"/") }},
		{"code wrong", func(q url.Values) { q.Set("code", "x") }},
		{"grant type", func(q url.Values) { q.Set("grant_type", "client_credentials") }},
		{"JWT bearer", func(q url.Values) { q.Set("grant_type", "urn:ietf:params:oauth:grant-type:jwt-bearer") }},
	} {
		t.Run(tt.name, func(t *testing.T) {
			status, answer := f.exchange(f.code(), tt.edit)
			if status != http.StatusBadRequest && status != http.StatusUnauthorized || answer["access_token"] != nil {
				t.Errorf("got %d %v, want 400 or 401", status, answer)
			}
		})
	}
}

func TestCodeIsGoodOnce(t *testing.T) {
	f := start(t, nil)
	code := f.code()
	var wg sync.WaitGroup
	statuses := make([]int, 8)
	for n := range statuses {
		wg.Go(func() { statuses[n], _ = f.exchange(code, nil) })
	}
	wg.Wait()
	good := 0
	for _, s := range statuses {
		if s == http.StatusOK {
			good++
		}
	}
	if good != 1 {
		t.Errorf("the code was exchanged %d times: %v", good, statuses)
	}
}

func TestRefreshTokens(t *testing.T) {
	f := start(t, nil)
	_, first := f.exchange(f.code(), nil)
	refresh := func(token any, scope string) (int, map[string]any) {
		form := url.Values{"grant_type": {"refresh_token"}, "client_id": {issuer.ClientOpaque}, "refresh_token": {token.(string)}}
		if scope != "" {
			form.Set("scope", scope)
		}
		resp, body := f.browser().post("/oauth/token", form, nil)
		return resp.StatusCode, decode(t, body)
	}
	status, second := refresh(first["refresh_token"], "openid")
	if status != http.StatusOK || second["scope"] != "openid" {
		t.Fatalf("narrowed refresh: %d, scope %v", status, second["scope"])
	}
	if status, _ := refresh(first["refresh_token"], ""); status != http.StatusBadRequest {
		t.Errorf("a used refresh token: %d, want 400", status)
	}
	if status, _ := refresh(second["refresh_token"], "openid admin"); status != http.StatusBadRequest {
		t.Errorf("more scope than granted: %d, want 400", status)
	}
	status, third := refresh(second["refresh_token"], "")
	if status != http.StatusOK || third["scope"] != "openid offline_access chat" {
		t.Errorf("full refresh: %d, scope %v; want all that was granted", status, third["scope"])
	}
	// RFC 7009: with the refresh token the access tokens go, without any logout token.
	resp, _ := f.browser().post("/revoke", url.Values{"client_id": {issuer.ClientJWT}, "token": {third["refresh_token"].(string)}}, nil)
	if resp.StatusCode != http.StatusBadRequest {
		t.Errorf("revocation by another client: %s, want 400", resp.Status)
	}
	f.wantActive(third["access_token"].(string), true)
	resp, _ = f.browser().post("/revoke", url.Values{"client_id": {issuer.ClientOpaque}, "token": {third["refresh_token"].(string)}}, nil)
	if resp.StatusCode != http.StatusOK {
		t.Errorf("revocation: %s", resp.Status)
	}
	f.wantActive(third["access_token"].(string), false)
	f.wantActive(first["access_token"].(string), false)
	if status, _ := refresh(third["refresh_token"], ""); status != http.StatusBadRequest {
		t.Errorf("a revoked refresh token: %d, want 400", status)
	}
	if n := len(f.gotten.take()); n != 0 {
		t.Errorf("revocation sent %d logout tokens", n)
	}
}

func TestRevokeOneAccessToken(t *testing.T) {
	f := start(t, nil)
	for _, kind := range []issuer.Kind{issuer.Opaque, issuer.JWT} {
		one, err := f.IssueToken("bob", issuer.TokenOptions{Kind: kind})
		if err != nil {
			t.Fatal(err)
		}
		two, err := f.IssueToken("bob", issuer.TokenOptions{Kind: kind, SID: one.SID})
		if err != nil {
			t.Fatal(err)
		}
		form := url.Values{"client_id": {"gateway"}, "client_secret": {secret}, "token": {one.Access}}
		if resp, body := f.browser().post("/revoke", form, nil); resp.StatusCode != http.StatusOK {
			t.Errorf("revocation: %s %s", resp.Status, body)
		}
		f.wantActive(one.Access, false)
		f.wantActive(two.Access, true)
	}
}

func TestIntrospectionClients(t *testing.T) {
	private, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	f := start(t, func(c *issuer.Config) {
		c.IntrospectionKey = &jose.JSONWebKey{Key: private.Public(), KeyID: "k1", Algorithm: "RS256", Use: "sig"}
	})
	tok, err := f.IssueToken("bob", issuer.TokenOptions{})
	if err != nil {
		t.Fatal(err)
	}
	assertion := func(key *rsa.PrivateKey) url.Values {
		sig, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.RS256, Key: jose.JSONWebKey{Key: key, KeyID: "k1"}}, nil)
		if err != nil {
			t.Fatal(err)
		}
		now := time.Now()
		s, err := jwt.Signed(sig).Claims(jwt.Claims{
			Issuer: "gateway", Subject: "gateway", Audience: jwt.Audience{f.url}, ID: "1",
			IssuedAt: jwt.NewNumericDate(now), Expiry: jwt.NewNumericDate(now.Add(time.Minute)),
		}).Serialize()
		if err != nil {
			t.Fatal(err)
		}
		return url.Values{"client_assertion": {s}, "client_assertion_type": {"urn:ietf:params:oauth:client-assertion-type:jwt-bearer"}}
	}
	for _, tt := range []struct {
		name     string
		form     url.Values
		id, pass string // basic
		want     int
	}{
		{name: "basic", id: "gateway", pass: secret, want: 200},
		{name: "wrong secret", id: "gateway", pass: "x", want: 401},
		{name: "no secret", id: "gateway", want: 401},
		{name: "unknown client", id: "nobody", pass: secret, want: 401},
		{name: "public client", id: issuer.ClientOpaque, pass: secret, want: 401},
		{name: "nobody", want: 401},
		{name: "post", form: url.Values{"client_id": {"gateway"}, "client_secret": {secret}}, want: 200},
		{name: "post, wrong secret", form: url.Values{"client_id": {"gateway"}, "client_secret": {"x"}}, want: 401},
		{name: "client id alone", form: url.Values{"client_id": {"gateway"}}, want: 401},
		{name: "private_key_jwt", form: assertion(private), want: 200},
		{name: "private_key_jwt, another key", form: assertion(key()), want: 401},
	} {
		t.Run(tt.name, func(t *testing.T) {
			form := url.Values{"token": {tok.Access}}
			for k, v := range tt.form {
				form[k] = v
			}
			h := http.Header{}
			if tt.id != "" {
				(&http.Request{Header: h}).SetBasicAuth(tt.id, url.QueryEscape(tt.pass))
			}
			resp, body := f.browser().post("/oauth/introspect", form, h)
			if resp.StatusCode != tt.want || (tt.want == 200) != strings.Contains(body, `"active":true`) {
				t.Errorf("got %s %s, want %d", resp.Status, body, tt.want)
			}
		})
	}
	if resp, _ := f.browser().get("/oauth/introspect?token=" + tok.Access); resp.StatusCode != http.StatusMethodNotAllowed {
		t.Errorf("GET: %s, want 405", resp.Status)
	}
}

func TestWhatIsNoAccessToken(t *testing.T) {
	f := start(t, nil)
	_, answer := f.exchange(f.code(), nil)
	if err := f.LogoutUser(t.Context(), "carol"); err != nil {
		t.Fatal(err)
	}
	opaque, _ := f.IssueToken("bob", issuer.TokenOptions{})
	signed, _ := f.IssueToken("bob", issuer.TokenOptions{Kind: issuer.JWT})
	elsewhere := start(t, nil) // the same signing key
	foreign, _ := elsewhere.IssueToken("bob", issuer.TokenOptions{Kind: issuer.JWT})
	parts := strings.Split(signed.Access, ".")
	for name, token := range map[string]string{
		"empty":              "",
		"garbage":            "x.y.z",
		"ID token":           answer["id_token"].(string),
		"refresh token":      answer["refresh_token"].(string),
		"logout token":       f.gotten.take()[0],
		"token id":           opaque.JTI,
		"opaque, tampered":   opaque.Access[:len(opaque.Access)-3] + "AAA",
		"JWT, unsigned":      parts[0] + "." + parts[1] + ".",
		"JWT of another":     foreign.Access,
		"JWT, other payload": parts[0] + "." + parts[1][:len(parts[1])-2] + "AA." + parts[2],
	} {
		t.Run(name, func(t *testing.T) {
			f.t = t
			f.wantActive(token, false)
			if resp, _ := f.userinfo(token); resp.StatusCode != http.StatusUnauthorized {
				t.Errorf("userinfo: %s, want 401", resp.Status)
			}
		})
	}
}

func TestDiscoveryIsHonest(t *testing.T) {
	f := start(t, nil)
	_, body := f.browser().get("/.well-known/openid-configuration")
	doc := decode(t, body)
	for name, want := range map[string]string{
		"issuer":                                        f.url,
		"grant_types_supported":                         "authorization_code refresh_token",
		"response_types_supported":                      "code",
		"code_challenge_methods_supported":              "S256",
		"introspection_endpoint_auth_methods_supported": "client_secret_basic client_secret_post",
		"token_endpoint_auth_methods_supported":         "none",
		"scopes_supported":                              "openid profile email offline_access admin chat",
	} {
		var got []string
		switch v := doc[name].(type) {
		case string:
			got = []string{v}
		case []any:
			for _, s := range v {
				got = append(got, s.(string))
			}
		}
		if g := strings.Join(got, " "); g != want {
			t.Errorf("%s = %q, want %q", name, g, want)
		}
	}
	if doc["device_authorization_endpoint"] != nil || doc["backchannel_logout_session_supported"] != true {
		t.Errorf("discovery: %s", body)
	}
	for name, v := range doc {
		if s, ok := v.(string); ok && strings.HasSuffix(name, "_endpoint") {
			if resp, _ := f.browser().get(strings.TrimPrefix(s, f.url)); resp.StatusCode == http.StatusNotFound {
				t.Errorf("%s %s is not there", name, s)
			}
		}
	}
	if resp, _ := f.browser().post("/device_authorization", nil, nil); resp.StatusCode != http.StatusNotFound {
		t.Errorf("device authorization: %s, want 404", resp.Status)
	}
}
