package interop

import (
	"html"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"regexp"
	"strings"
	"testing"
)

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

// login signs a user in, in a browser of its own. With a resource the access
// token is a JWT for it.
func (p *oidcProvider) login(t testing.TB, client, user, resource string) *login {
	t.Helper()
	b, a := newBrowser(t), p.authorize(client, callback, resource)
	b.visit(http.MethodGet, a.url, nil)
	b.submit("login", user)
	b.submit("consent", "yes")
	back, err := b.page.Location()
	if err != nil {
		t.Fatalf("%s: no way back to the application: %v\n%s", user, err, b.body)
	}
	access, idToken, err := a.redeem(t.Context(), back.Query())
	if err != nil {
		t.Fatalf("%s: %v", user, err)
	}
	return &login{b, p.issuer, access, idToken}
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
