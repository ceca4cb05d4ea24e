package interop

import (
	"bytes"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"html"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"regexp"
	"strings"
	"testing"
)

// callback is where an application takes codes; there is none.
const callback = "http://127.0.0.1/callback"

// A browser is a user's: it keeps cookies, follows redirects, but not those to
// the callback, and submits forms.
type browser struct {
	testing.TB
	http.Client
	page *http.Response // the last one
	body string         // of it
}

// A login is what an application gets for the user's consent.
type login struct {
	*browser
	issuer  string
	access  string
	idToken string
}

func newBrowser(t testing.TB) *browser {
	jar, _ := cookiejar.New(nil) // the error is always nil
	b := &browser{TB: t, Client: http.Client{Jar: jar, Transport: &http.Transport{DisableKeepAlives: true}}}
	b.CheckRedirect = func(r *http.Request, _ []*http.Request) error {
		if strings.HasPrefix(r.URL.String(), callback) {
			return http.ErrUseLastResponse
		}
		return nil
	}
	return b
}

// visit makes a request, and shows the page that it leads to.
func (b *browser) visit(method, target string, form url.Values) {
	b.Helper()
	r, err := http.NewRequestWithContext(b.Context(), method, target, strings.NewReader(form.Encode()))
	if err != nil {
		b.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	if b.page, err = b.Do(r); err != nil {
		b.Fatal(err)
	}
	defer b.page.Body.Close()
	body, err := io.ReadAll(b.page.Body)
	if b.body = string(body); err != nil || b.page.StatusCode >= 400 {
		b.Fatalf("%s %s: %s, %v\n%s", method, r.URL.Path, b.page.Status, err, body)
	}
}

var (
	formAction  = regexp.MustCompile(`<form [^>]*action="([^"]+)"`)
	hiddenInput = regexp.MustCompile(`<input type="hidden" name="([^"]+)" value="([^"]*)"/>`)
)

// submit sends the form of the page, with one more field.
func (b *browser) submit(field, value string) {
	b.Helper()
	action := formAction.FindStringSubmatch(b.body)
	if action == nil {
		b.Fatalf("no form on the page\n%s", b.body)
	}
	form := url.Values{field: {value}}
	for _, input := range hiddenInput.FindAllStringSubmatch(b.body, -1) {
		form.Add(input[1], html.UnescapeString(input[2]))
	}
	b.visit(http.MethodPost, html.UnescapeString(action[1]), form)
}

// login signs a user in by authorization code and PKCE, in a browser of its own.
// With a resource the access token is a JWT for it.
func (p *oidcProvider) login(t testing.TB, client, user, resource string) *login {
	t.Helper()
	b, state, verifier := newBrowser(t), rand.Text(), rand.Text()+rand.Text()
	challenge := sha256.Sum256([]byte(verifier))
	ask := url.Values{
		"client_id": {client}, "redirect_uri": {callback}, "response_type": {"code"},
		"scope": {"openid chat"}, "state": {state},
		"code_challenge": {base64.RawURLEncoding.EncodeToString(challenge[:])}, "code_challenge_method": {"S256"},
	}
	redeem := url.Values{
		"client_id": {client}, "redirect_uri": {callback}, "grant_type": {"authorization_code"}, "code_verifier": {verifier},
	}
	if resource != "" {
		ask.Set("resource", resource)
		redeem.Set("resource", resource)
	}
	b.visit(http.MethodGet, p.issuer+"/auth?"+ask.Encode(), nil)
	b.submit("login", user)
	b.submit("consent", "yes")
	back, err := b.page.Location()
	if err != nil || back.Query().Get("state") != state {
		t.Fatalf("%s: no way back to the application: %v\n%s", user, err, b.body)
	}
	redeem.Set("code", back.Query().Get("code"))
	var tokens struct {
		Access string `json:"access_token"`
		ID     string `json:"id_token"`
	}
	body := post(t, p.issuer+"/token", "application/x-www-form-urlencoded", strings.NewReader(redeem.Encode()), nil)
	if err := json.Unmarshal(body, &tokens); err != nil {
		t.Fatal(err)
	}
	return &login{
		b, p.issuer,
		said.secret("an access token of a login", tokens.Access),
		said.secret("an ID token of a login", tokens.ID),
	}
}

// askLogout goes to where users sign out (OpenID Connect RP-Initiated Logout
// 1.0), which asks whether they are sure. To confirm is left to the caller.
func (l *login) askLogout() {
	l.Helper()
	l.visit(http.MethodGet, l.issuer+"/session/end?"+url.Values{"id_token_hint": {l.idToken}}.Encode(), nil)
}

// confirmLogout returns when the provider has told the applications.
func (l *login) confirmLogout() {
	l.Helper()
	l.submit("logout", "yes")
}

// register makes a client (RFC 7591) that is to be told about logouts there.
func (p *oidcProvider) register(t testing.TB, logoutURI string) (client string) {
	t.Helper()
	wish, err := json.Marshal(map[string]any{
		"redirect_uris": []string{callback}, "token_endpoint_auth_method": "none",
		"backchannel_logout_uri": logoutURI, "backchannel_logout_session_required": true,
	})
	if err != nil {
		t.Fatal(err)
	}
	resp, err := newBrowser(t).Post(p.issuer+"/reg", "application/json", bytes.NewReader(wish))
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	var made struct {
		ID string `json:"client_id"`
	}
	if err := json.NewDecoder(resp.Body).Decode(&made); err != nil || made.ID == "" {
		t.Fatalf("no client: %s, %v", resp.Status, err)
	}
	return made.ID
}
