package portcullis_test

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/net/http/httpguts"

	"github.com/portcullis-auth/portcullis"
)

// A found is what a source found in a request, and what it left there.
type found struct {
	Token  string
	OK     bool
	Target string // URL
	URI    string // RequestURI
	Header http.Header
}

// take lets the source look at a shallow copy of r, as the Guard does, and fails
// if it changes r itself.
func take(t testing.TB, source portcullis.TokenSource, r *http.Request) (found, *http.Request) {
	t.Helper()
	c := r.WithContext(t.Context())
	before, target, uri, form := r.Header.Clone(), *r.URL, r.RequestURI, len(r.Form)
	token, ok := source(c)
	if diff := cmp.Diff(before, r.Header); diff != "" || target != *r.URL || uri != r.RequestURI || form != len(r.Form) {
		t.Errorf("the request itself was changed: %s, URL %v, RequestURI %q", diff, r.URL, r.RequestURI)
	}
	return found{token, ok, c.URL.String(), c.RequestURI, c.Header}, c
}

func TestSources(t *testing.T) {
	cookie, query, protocol := portcullis.Cookie("session"), portcullis.Query("token"), portcullis.Subprotocol("bearer")
	const encoded = "base64url.bearer.authorization."
	h := func(key string, values ...string) http.Header {
		if values == nil {
			return http.Header{}
		}
		return http.Header{key: values}
	}
	for _, tt := range []struct {
		name   string
		source portcullis.TokenSource
		target string // "": /
		header http.Header
		token  string
		ok     bool
		left   http.Header // nil: as it was
		rest   string      // "": as it was
	}{
		{"bearer", portcullis.Bearer, "", h("Authorization", "Bearer abc"), "abc", true, h(""), ""},
		{"bearer, any case, more spaces", portcullis.Bearer, "", h("Authorization", "bEARER   abc "), "abc", true, h(""), ""},
		{"bearer, nothing behind it", portcullis.Bearer, "", h("Authorization", "Bearer"), "", false, nil, ""},
		{"bearer, spaces behind it", portcullis.Bearer, "", h("Authorization", "Bearer   "), "", true, h(""), ""},
		{"bearer, no space", portcullis.Bearer, "", h("Authorization", "Bearerabc"), "", false, nil, ""},
		{"bearer, a tab", portcullis.Bearer, "", h("Authorization", "Bearer\tabc"), "", false, nil, ""},
		{"bearer, another scheme", portcullis.Bearer, "", h("Authorization", "Basic abc"), "", false, nil, ""},
		{"bearer, empty line", portcullis.Bearer, "", h("Authorization", ""), "", false, nil, ""},
		{"bearer, twice the same", portcullis.Bearer, "", h("Authorization", "Bearer abc", "Bearer abc"), "", true, h(""), ""},
		{"bearer, and another scheme", portcullis.Bearer, "", h("Authorization", "Basic abc", "Bearer abc"), "", true, h(""), ""},
		{"bearer, another header", portcullis.Bearer, "", h("Proxy-Authorization", "Bearer abc"), "", false, nil, ""},

		{"cookie", cookie, "", h("Cookie", "session=abc"), "abc", true, h(""), ""},
		{"cookie, among others", cookie, "", h("Cookie", "a=1; session=abc; b=2"), "abc", true, h("Cookie", "a=1; b=2"), ""},
		{"cookie, spaces", cookie, "", h("Cookie", "a=1;session = abc ;b=2"), "abc", true, h("Cookie", "a=1; b=2"), ""},
		{"cookie, quotes", cookie, "", h("Cookie", `session="abc"`), "abc", true, h(""), ""},
		{"cookie, one quote", cookie, "", h("Cookie", `session="abc`), `"abc`, true, h(""), ""},
		{"cookie, a quote alone", cookie, "", h("Cookie", `session="`), `"`, true, h(""), ""},
		{"cookie, quotes round nothing", cookie, "", h("Cookie", `session=""`), "", true, h(""), ""},
		{"cookie, semicolon in quotes", cookie, "", h("Cookie", `session="a;b"`), `"a`, true, h("Cookie", `b"`), ""},
		{"cookie, equals signs", cookie, "", h("Cookie", "session=YQ=="), "YQ==", true, h(""), ""},
		{"cookie, empty", cookie, "", h("Cookie", "session="), "", true, h(""), ""},
		{"cookie, name only", cookie, "", h("Cookie", "session"), "", true, h(""), ""},
		{"cookie, twice the same", cookie, "", h("Cookie", `session=abc; session="abc"`), "abc", true, h(""), ""},
		{"cookie, twice", cookie, "", h("Cookie", "session=abc; session=xyz"), "", true, h(""), ""},
		{"cookie, one of them empty", cookie, "", h("Cookie", "session=abc; session="), "", true, h(""), ""},
		{"cookie, thrice, the last as the first", cookie, "", h("Cookie", "session=abc; session=xyz; session=abc"), "", true, h(""), ""},
		{"cookie, two lines", cookie, "", h("Cookie", "a=1", "session=abc"), "abc", true, h("Cookie", "a=1"), ""},
		{"cookie, two lines that differ", cookie, "", h("Cookie", "session=abc", "session=xyz; b=2"), "", true, h("Cookie", "b=2"), ""},
		{"cookie, another case", cookie, "", h("Cookie", "Session=abc"), "", false, nil, ""},
		{"cookie, percent-encoded name", cookie, "", h("Cookie", "sess%69on=abc"), "", false, nil, ""},
		{"cookie, name as value", cookie, "", h("Cookie", "a=session; b=session=abc"), "", false, nil, ""},
		{"cookie, name as suffix", cookie, "", h("Cookie", "my-session=abc; session2=xyz"), "", false, nil, ""},
		{"cookie, prefix", cookie, "", h("Cookie", "__Secure-session=abc"), "abc", true, h(""), ""},
		{"cookie, the better prefix", cookie, "", h("Cookie", "session=1; __Secure-session=2; a=1; __Host-session=3"), "3", true, h("Cookie", "a=1"), ""},
		{"cookie, a prefix goes before none", cookie, "", h("Cookie", "__Secure-session=2", "session=1"), "2", true, h(""), ""},
		{"cookie, the better prefix twice", cookie, "", h("Cookie", "__Host-session=3; __Host-session=4; session=1"), "", true, h(""), ""},
		{"cookie, the worse ones twice", cookie, "", h("Cookie", "session=1; session=2; __Host-session=3"), "3", true, h(""), ""},
		{"cookie, the better prefix empty", cookie, "", h("Cookie", "__Host-session=; session=1"), "", true, h(""), ""},
		{"cookie, prefix in another case", cookie, "", h("Cookie", "__host-session=1; session=2"), "2", true, h("Cookie", "__host-session=1"), ""},
		{"cookie, two prefixes", cookie, "", h("Cookie", "__Host-__Secure-session=1"), "", false, nil, ""},
		{"cookie, prefix configured", portcullis.Cookie("__Host-session"), "", h("Cookie", "session=1; __Secure-session=2; __Host-session=3"), "3", true, h("Cookie", "session=1; __Secure-session=2"), ""},
		{"cookie, untouched when not there", cookie, "", h("Cookie", " a=1 ;;session2=session"), "", false, nil, ""},

		{"query", query, "/p?token=abc", nil, "abc", true, nil, "/p"},
		{"query, among others", query, "/p?a=1&token=abc&b=%20", nil, "abc", true, nil, "/p?a=1&b=%20"},
		{"query, order and spelling stay", query, "/p?b=+&token=abc&a=%7e&b", nil, "abc", true, nil, "/p?b=+&a=%7e&b"},
		{"query, encoded value", query, "/p?token=a%2Bb+c", nil, "a+b c", true, nil, "/p"},
		{"query, encoded name", query, "/p?tok%65n=abc", nil, "abc", true, nil, "/p"},
		{"query, encoded name that isn't it", query, "/p?tok%2565n=abc", nil, "", false, nil, ""},
		{"query, empty", query, "/p?token=", nil, "", true, nil, "/p"},
		{"query, name only", query, "/p?a&token&b", nil, "", true, nil, "/p?a&b"},
		{"query, twice the same", query, "/p?token=abc&tok%65n=%61bc", nil, "abc", true, nil, "/p"},
		{"query, twice", query, "/p?token=abc&token=xyz&a=1", nil, "", true, nil, "/p?a=1"},
		{"query, bad encoding", query, "/p?token=%zz", nil, "", true, nil, "/p"},
		{"query, bad encoding of another name", query, "/p?%zz=1&token=abc", nil, "abc", true, nil, "/p?%zz=1"},
		{"query, semicolon in the value", query, "/p?token=abc;x=1", nil, "abc;x=1", true, nil, "/p"},
		{"query, semicolon before", query, "/p?x=1;token=abc", nil, "", false, nil, ""},
		{"query, another case", query, "/p?Token=abc", nil, "", false, nil, ""},
		{"query, in the path", query, "/token=abc?a=1", nil, "", false, nil, ""},
		{"query, strange path", query, "//p/%2F/a|b?token=abc", nil, "abc", true, nil, "//p/%2F/a|b"},
		{"query, only ampersands left", query, "/p?&token=abc&", nil, "abc", true, nil, "/p?&"},

		{"subprotocol", protocol, "", h("Sec-Websocket-Protocol", "bearer, abc"), "abc", true, h(""), ""},
		{"subprotocol, among others", protocol, "", h("Sec-Websocket-Protocol", "chat,bearer ,abc,\tv2"), "abc", true, h("Sec-Websocket-Protocol", "chat, v2"), ""},
		{"subprotocol, over lines", protocol, "", h("Sec-Websocket-Protocol", "chat, bearer", "abc, v2"), "abc", true, h("Sec-Websocket-Protocol", "chat, v2"), ""},
		{"subprotocol, marker without token", protocol, "", h("Sec-Websocket-Protocol", "chat, bearer"), "", false, nil, ""},
		{"subprotocol, marker and commas", protocol, "", h("Sec-Websocket-Protocol", "bearer,,"), "", false, nil, ""},
		{"subprotocol, another case", protocol, "", h("Sec-Websocket-Protocol", "Bearer, abc"), "", false, nil, ""},
		{"subprotocol, the token is the marker", protocol, "", h("Sec-Websocket-Protocol", "bearer, bearer"), "bearer", true, h(""), ""},
		{"subprotocol, the token is offered too", protocol, "", h("Sec-Websocket-Protocol", "abc, bearer, abc, v2"), "abc", true, h("Sec-Websocket-Protocol", "v2"), ""},
		{"subprotocol, twice the same", protocol, "", h("Sec-Websocket-Protocol", "bearer, abc, bearer, abc"), "abc", true, h(""), ""},
		{"subprotocol, twice", protocol, "", h("Sec-Websocket-Protocol", "bearer, abc, bearer, xyz, v2"), "", true, h("Sec-Websocket-Protocol", "v2"), ""},
		{"subprotocol, and the marker again", protocol, "", h("Sec-Websocket-Protocol", "bearer, abc, bearer"), "abc", true, h(""), ""},
		{"subprotocol, base64url", protocol, "", h("Sec-Websocket-Protocol", encoded+"YT9i, v2"), "a?b", true, h("Sec-Websocket-Protocol", "v2"), ""},
		{"subprotocol, base64url, padded", protocol, "", h("Sec-Websocket-Protocol", encoded+"YQ=="), "a", true, h(""), ""},
		{"subprotocol, Kubernetes", protocol, "", h("Sec-Websocket-Protocol", "v2, "+encoded+"k8s.io.YT9i"), "a?b", true, h("Sec-Websocket-Protocol", "v2"), ""},
		{"subprotocol, both spellings agree", protocol, "", h("Sec-Websocket-Protocol", "bearer, abc, "+encoded+"YWJj"), "abc", true, h(""), ""},
		{"subprotocol, both spellings differ", protocol, "", h("Sec-Websocket-Protocol", "bearer, abc, "+encoded+"eHl6"), "", true, h(""), ""},
		{"subprotocol, bad base64url", protocol, "", h("Sec-Websocket-Protocol", encoded+"+/+/, v2"), "", true, h("Sec-Websocket-Protocol", "v2"), ""},
		{"subprotocol, base64url of nothing", protocol, "", h("Sec-Websocket-Protocol", encoded), "", true, h(""), ""},
		{"subprotocol, no marker configured", portcullis.Subprotocol(""), "", h("Sec-Websocket-Protocol", "bearer, abc"), "", false, nil, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			target := tt.target
			if target == "" {
				target = "/"
			}
			u, err := url.ParseRequestURI(target)
			if err != nil {
				t.Fatal(err)
			}
			r := &http.Request{Method: http.MethodGet, URL: u, RequestURI: target, Header: tt.header}
			if r.Header == nil {
				r.Header = http.Header{"X": {"y"}}
			}
			want := found{tt.token, tt.ok, tt.rest, tt.rest, tt.left}
			if tt.rest == "" {
				want.Target, want.URI = target, target
			}
			want.Target = (&url.URL{Path: u.Path, RawPath: u.RawPath, RawQuery: cutQuery(want.URI)}).String()
			if tt.left == nil {
				want.Header = r.Header.Clone()
			}
			got, _ := take(t, tt.source, r)
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("(-want +got)\n%s", diff)
			}
		})
	}
}

func cutQuery(uri string) string {
	_, query, _ := strings.Cut(uri, "?")
	return query
}

// What somebody in front of the Guard has parsed holds the token too.
func TestQueryTakesTheTokenOutOfAParsedForm(t *testing.T) {
	r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/p?token=abc&a=1", strings.NewReader("b=2"))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	if err := r.ParseForm(); err != nil {
		t.Fatal(err)
	}
	_, left := take(t, portcullis.Query("token"), r)
	if diff := cmp.Diff(url.Values{"a": {"1"}, "b": {"2"}}, left.Form); diff != "" {
		t.Error(diff)
	}
	r.PostForm.Set("token", "posted") // not ours
	_, left = take(t, portcullis.Query("token"), r)
	if got := left.Form["token"]; !slices.Equal(got, []string{"posted"}) {
		t.Errorf("token = %q, want what was posted", got)
	}
}

// A path that a middleware in front of the Guard has changed is its business.
func TestQueryLeavesTheRestOfRequestURI(t *testing.T) {
	r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/api/p?token=abc", nil)
	http.StripPrefix("/api", http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		got, _ := take(t, portcullis.Query("token"), r)
		if got.URI != "/api/p" || got.Target != "/p" {
			t.Errorf("RequestURI %q, URL %q; want /api/p and /p", got.URI, got.Target)
		}
	})).ServeHTTP(nil, r)
	r = &http.Request{URL: &url.URL{Path: "/p", RawQuery: "token=abc"}} // no server's
	if got, _ := take(t, portcullis.Query("token"), r); got.URI != "" || got.Token != "abc" {
		t.Errorf("RequestURI %q, token %q", got.URI, got.Token)
	}
}

// The first source that finds a token decides, and the others' tokens don't go
// on either.
func TestSourcesAreTriedInOrder(t *testing.T) {
	for _, tt := range []struct {
		name    string
		sources []portcullis.TokenSource
		status  int
	}{
		{"the first decides", []portcullis.TokenSource{portcullis.Cookie("session"), portcullis.Bearer}, 204},
		{"even if the second is good", []portcullis.TokenSource{portcullis.Bearer, portcullis.Cookie("session")}, 401},
		{"none is not Bearer", []portcullis.TokenSource{}, 401},
	} {
		g := newGuard()
		h := g.HandlerWith(&portcullis.Policy{Sources: tt.sources}, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if len(r.Header) != 0 {
				t.Errorf("%s: the handler sees %v", tt.name, r.Header)
			}
			w.WriteHeader(http.StatusNoContent)
		}))
		if got := get(t, h, "/", "Cookie", "session=good", "Authorization", "Bearer bad").StatusCode; got != tt.status {
			t.Errorf("%s: %d, want %d", tt.name, got, tt.status)
		}
	}
}

// W3: a source of the user's own may decode what it finds in a cookie.
func TestW3CookieOfAnotherSourceNeedsOriginToo(t *testing.T) {
	g := newGuard()
	cookie := portcullis.Cookie("session")
	g.Sources = []portcullis.TokenSource{func(r *http.Request) (string, bool) {
		token, ok := cookie(r)
		return strings.ToLower(token), ok
	}, portcullis.Bearer}
	h := g.Handler(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) }))
	up := []string{"Connection", "Upgrade", "Upgrade", "websocket"}
	if got := get(t, h, "/", append(up, "Cookie", "session=GOOD")...).StatusCode; got != 403 {
		t.Errorf("without Origin: %d, want 403", got)
	}
	if got := get(t, h, "/", append(up, "Authorization", "Bearer good", "Cookie", "a=1")...).StatusCode; got != 204 {
		t.Errorf("bearer beside another cookie: %d, want 204", got)
	}
}

func FuzzBearer(f *testing.F) {
	for _, s := range []string{"Bearer abc", "bearer", "Basic x", "Bearer  a b ", "Bearer\tx", "Bearer "} {
		f.Add(s, "")
		f.Add(s, "Bearer abc")
	}
	f.Fuzz(func(t *testing.T, one, two string) {
		r := &http.Request{URL: &url.URL{Path: "/"}, Header: http.Header{"Authorization": {one, two}}}
		if two == "" {
			r.Header["Authorization"] = []string{one}
		}
		got, left := take(t, portcullis.Bearer, r)
		if got.OK && len(left.Header) > 0 || !got.OK && !cmp.Equal(left.Header, r.Header) {
			t.Errorf("found %v, left %q", got.OK, left.Header)
		}
		if got.OK && two != "" && got.Token != "" {
			t.Errorf("two headers give the token %q", got.Token)
		}
		if strings.HasPrefix(got.Token, " ") || !strings.Contains(one+two, got.Token) {
			t.Errorf("token %q", got.Token)
		}
	})
}

// FuzzCookie holds Cookie against net/http: what it leaves is what net/http
// reads from the original, without the cookies of that name.
func FuzzCookie(f *testing.F) {
	for _, s := range []string{
		"session=abc", "session=1; __Host-session=2; __Secure-session=", `a=1; session="abc" ; b=2`, "session=a;session=b", "session", ";;session==; ,", "Session=1; my-session=2", "a=session",
		`session="a;b"; c="`, "session=\xff\x80", "session =1;\tsession= 1",
	} {
		f.Add(s, "", "session")
		f.Add("x=y", s, "session")
	}
	f.Fuzz(func(t *testing.T, one, two, name string) {
		if !httpguts.ValidHeaderFieldName(name) || !httpguts.ValidHeaderFieldValue(one) || !httpguts.ValidHeaderFieldValue(two) {
			return // a server wouldn't let it in
		}
		r := &http.Request{URL: &url.URL{Path: "/"}, Header: http.Header{"Cookie": {one, two}}}
		source := portcullis.Cookie(name)
		got, left := take(t, source, r)
		if !got.OK && !cmp.Equal(r.Header, left.Header) {
			t.Errorf("found nothing, but left %q of %q", left.Header, r.Header)
		}
		want, best := []*http.Cookie{}, name
		for _, better := range []string{"__Secure-" + name, "__Host-" + name} {
			if strings.Contains(one+" "+two, better) { // net/http drops what it finds malformed
				best = better
			}
		}
		for _, c := range r.Cookies() {
			switch {
			case c.Name != name && c.Name != "__Host-"+name && c.Name != "__Secure-"+name:
				want = append(want, c)
			case !got.OK:
				t.Errorf("net/http finds %q", c.Value)
			case c.Name != best:
			case got.Token != "" && got.Token != c.Value && c.Value == strings.Trim(c.Value, " \t"): // net/http keeps spaces
				t.Errorf("token %q, net/http finds %q", got.Token, c.Value)
			}
		}
		if diff := cmp.Diff(want, left.Cookies()); diff != "" {
			t.Errorf("left %q of %q:\n%s", left.Header, r.Header, diff)
		}
		if again, _ := take(t, source, left); again.OK {
			t.Errorf("there is another one in %q", left.Header)
		}
	})
}

// FuzzQuery holds Query against net/url in the same way.
func FuzzQuery(f *testing.F) {
	for _, s := range []string{
		"token=abc", "a=1&token=abc&b=%20", "token=a&tok%65n=b", "token", "token=%zz&%zz=token", "x=1;token=abc", "token=a;b", "&&token&=&", "token=+%2b",
	} {
		f.Add(s, "token")
	}
	f.Add("%3B=1&a+b=2", "a b")
	f.Fuzz(func(t *testing.T, query, name string) {
		r := &http.Request{URL: &url.URL{Path: "/p", RawQuery: query}, RequestURI: "/p?" + query}
		source := portcullis.Query(name)
		got, left := take(t, source, r)
		if !got.OK && (left.URL.RawQuery != query || left.RequestURI != r.RequestURI) {
			t.Errorf("found nothing, but left %q of %q", left.URL.RawQuery, query)
		}
		want, _ := url.ParseQuery(query)
		if values := want[name]; len(values) > 0 && (!got.OK || got.Token != "" && got.Token != values[0]) {
			t.Errorf("token %q, %v; net/url finds %q", got.Token, got.OK, values)
		}
		delete(want, name)
		rest, _ := url.ParseQuery(left.URL.RawQuery)
		if diff := cmp.Diff(want, rest); diff != "" {
			t.Errorf("left %q of %q:\n%s", left.URL.RawQuery, query, diff)
		}
		if path, query, _ := strings.Cut(left.RequestURI, "?"); got.OK && (path != "/p" || query != left.URL.RawQuery) {
			t.Errorf("RequestURI %q, query %q", left.RequestURI, left.URL.RawQuery)
		}
		if again, _ := take(t, source, left); again.OK {
			t.Errorf("there is another one in %q", left.URL.RawQuery)
		}
	})
}

// FuzzSubprotocol: neither what is left of the offer nor what the Guard may
// answer with is the token, and what is left is in the order of the offer.
func FuzzSubprotocol(f *testing.F) {
	for _, s := range []string{
		"bearer, abc", "chat, bearer, abc, v2", "bearer", "bearer,bearer", "bearer, abc, bearer", "abc, bearer, abc", "bearer, a, bearer, b, a",
		"base64url.bearer.authorization.YWJj, v2", "base64url.bearer.authorization.k8s.io.YWJj", "base64url.bearer.authorization.!", ",, ,bearer,,x",
	} {
		f.Add(s, "bearer", "elsewhere")
	}
	f.Fuzz(func(t *testing.T, offer, marker, elsewhere string) {
		r := &http.Request{URL: &url.URL{Path: "/"}, Header: http.Header{"Sec-Websocket-Protocol": {offer}}}
		source := portcullis.Subprotocol(marker)
		got, left := take(t, source, r)
		if !got.OK {
			if !cmp.Equal(r.Header, left.Header) {
				t.Errorf("found nothing, but left %q of %q", left.Header, offer)
			}
			return
		}
		offered, rest := portcullis.Protocols(r.Header), portcullis.Protocols(left.Header)
		if slices.Contains(rest, got.Token) && got.Token != "" && slices.Contains(offered, marker) && marker != "" {
			t.Errorf("the token is left in %q", rest)
		}
		if again, _ := take(t, source, left); again.OK {
			t.Errorf("there is another one in %q", rest)
		}
		i := 0
		for _, p := range offered {
			if i < len(rest) && p == rest[i] {
				i++
			}
		}
		if i < len(rest) {
			t.Errorf("%q is left of %q", rest, offered)
		}
		for _, decides := range []string{got.Token, elsewhere} {
			if echo := portcullis.Echo(r.Header, left.Header, decides); echo != "" && echo != marker && decides != marker {
				t.Errorf("answers %q with %q, marker %q, token %q", offered, echo, marker, decides)
			}
		}
	})
}
