package rule_test

import (
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/portcullis-auth/portcullis"
	"github.com/portcullis-auth/portcullis/gateway/rule"
)

// alice is allowed something by most rules here.
func alice() *portcullis.Identity {
	return &portcullis.Identity{
		Issuer:    "https://id.example.com",
		Subject:   "alice",
		SessionID: "s-1",
		TokenID:   "t-1",
		ClientID:  "web",
		Scopes:    []string{"chat", "files"},
		IssuedAt:  time.Date(2026, 11, 1, 12, 0, 0, 0, time.UTC),
		ExpiresAt: time.Date(2026, 11, 1, 13, 0, 0, 0, time.UTC),
		Claims: json.RawMessage(`{"groups":["staff","admin"],"level":3,"ratio":0.5,"account":9007199254740993,
			"huge":18446744073709551615,"nobody":null,"verified":true,"org":{"id":"acme","größe":7},"email":"alice@example.com"}`),
	}
}

func request(t testing.TB) *http.Request {
	t.Helper()
	r := httptest.NewRequest(http.MethodPost, "https://App.Example.com.:8443/wsapi/r%20oom?room=7", nil)
	r.Header.Add("X-Team", "blue")
	r.Header.Add("X-Team", "green")
	return r
}

func TestAllow(t *testing.T) {
	for _, expr := range []string{
		`true`,
		`"chat" in identity.scopes`,
		`identity.scopes.exists(s, s.startsWith("fi"))`,
		`identity.issuer == "https://id.example.com" && identity.subject == "alice"`,
		`identity.session_id == "s-1" && identity.token_id == "t-1" && identity.client_id == "web"`,
		`identity.expires_at - identity.issued_at <= duration("1h")`,
		`identity.issued_at > timestamp("2026-01-01T00:00:00Z")`,
		`"admin" in identity.claims.groups`,
		`"admin" in identity.claims["groups"]`,
		`identity.claims.level >= 3 && identity.claims.level < 3.5`,
		`identity.claims.level == 3 && identity.claims.ratio == 0.5`,
		`identity.claims.account == 9007199254740993`,
		`identity.claims.account != 9007199254740992`,
		`identity.claims.huge == 18446744073709551615u`,
		`identity.claims.nobody == null`,
		`identity.claims.verified == true`,
		`identity.claims.verified && true`,
		`identity.claims.org.id == "acme"`,
		`identity.claims.org["größe"] == 7`,
		`"größe" in identity.claims.org`,
		`has(identity.claims.groups) && !has(identity.claims.missing)`,
		`has(identity.claims.org.id) && !has(identity.claims.org.name)`,
		`has(identity.issued_at) && has(identity.subject) && has(identity.scopes) && has(identity.claims)`,
		`!has(identity.claims.missing) || identity.claims.missing == "x"`,
		`size(identity.claims) == 9`,
		`identity.claims.all(name, name != "missing")`,
		`identity.claims.email.endsWith("@example.com")`,
		`identity.claims.email.matches("^[a-z]+@example[.]com$")`,
		`type(identity.claims.level) == int`,
		`request.method == "POST"`,
		`request.host == "app.example.com"`,
		`request.path == "/wsapi/r oom" && request.path.startsWith("/wsapi/")`,
		`request.query == "room=7"`,
		`request.headers["x-team"] == "blue, green"`,
		`!("x-none" in request.headers) && has(request.headers.host) == false`,
		`request.headers.exists(name, name == "x-team")`,
		`request.headers == {"x-team": "blue, green"}`,
		`"日本" + "語" == "日本語"`,
		"\"chat\" in\n  identity.scopes // who may talk\n",
	} {
		r, err := rule.Compile(expr)
		if err != nil {
			t.Errorf("Compile(%s): %v", expr, err)
			continue
		}
		if err := r.Allow(request(t), alice()); err != nil {
			t.Errorf("%s: %v", expr, err)
		}
		if r.String() != expr {
			t.Errorf("String() = %q, want %q", r, expr)
		}
	}
}

// What can't be told is not allowed, and why holds no value.
func TestNotAllowed(t *testing.T) {
	for _, test := range []struct{ expr, want string }{
		{`false`, "false"},
		{`"admin" in identity.scopes`, "false"},
		{`identity.claims.missing == "x"`, "no such key: missing"},
		{`identity.claims["missing"] == "x"`, "no such key: missing"},
		{`identity.claims.missing != "x"`, "no such key: missing"},
		{`!identity.claims.missing`, "no such key: missing"},
		{`identity.claims.org.name == "x"`, "no such key: name"},
		{`identity.claims[identity.subject] == "x"`, "no such key"},
		{`identity.claims[identity.claims.email] == "x"`, "no such key"},
		{`request.headers["x-none"] == "x"`, "no such key: x-none"},
		{`identity.claims.groups[7] == "x"`, "index out of range"},
		{`identity.claims.email in identity.claims.level`, "a value is of the wrong type"},
		{`"admin" in identity.claims.email`, "a value is of the wrong type"},
		{`identity.claims.email && true`, "a value is of the wrong type"},
		{`identity.claims.email > 3`, "a value is of the wrong type"},
		{`identity.claims.groups.exists(g, g.id == "x")`, "no such key: id"},
		{`timestamp(identity.claims.email) < identity.issued_at`, "cannot be evaluated"},
		{`int(identity.claims.email) > 3`, "cannot be evaluated"},
		{`duration(identity.subject) > duration("1s")`, "cannot be evaluated"},
		{`1 / (identity.claims.level - 3) == 1`, "cannot be evaluated"},
		{`dyn(identity).subject == "alice"`, "cannot be evaluated"},
		{`dyn(identity) == dyn(request)`, "cannot be evaluated"},
	} {
		r, err := rule.Compile(test.expr)
		if err != nil {
			t.Errorf("Compile(%s): %v", test.expr, err)
			continue
		}
		err = r.Allow(request(t), alice())
		if !errors.Is(err, portcullis.ErrForbidden) {
			t.Errorf("%s: got %v, want ErrForbidden", test.expr, err)
			continue
		}
		if want := portcullis.ErrForbidden.Error() + ": rule: " + test.want; err.Error() != want {
			t.Errorf("%s:\n got %q\nwant %q", test.expr, err, want)
		}
		if strings.Contains(err.Error(), "alice") {
			t.Errorf("%s: error holds a value: %v", test.expr, err)
		}
	}
}

// A token that says nothing is allowed nothing by a rule that asks something.
func TestEmptyIdentity(t *testing.T) {
	for _, expr := range []string{
		`identity.expires_at < timestamp("2100-01-01T00:00:00Z")`,
		`identity.issued_at > timestamp("0001-01-01T00:00:00Z") || identity.issued_at < timestamp("2100-01-01T00:00:00Z")`,
		`has(identity.issued_at)`, `has(identity.expires_at)`, `has(identity.subject)`,
		`has(identity.scopes)`, `has(identity.claims)`, `identity.claims.x != "y"`,
		`"chat" in identity.scopes`,
	} {
		r := compile(t, expr)
		for _, claims := range []string{``, `null`, `[]`, `{}`, `{"`} {
			id := &portcullis.Identity{Claims: json.RawMessage(claims)}
			if err := r.Allow(request(t), id); !errors.Is(err, portcullis.ErrForbidden) {
				t.Errorf("%s with claims %q: got %v, want ErrForbidden", expr, claims, err)
			}
		}
	}
	if err := compile(t, `identity.issued_at < timestamp("2100-01-01T00:00:00Z")`).Allow(request(t), &portcullis.Identity{}); !strings.HasSuffix(err.Error(), "the token doesn't state identity.issued_at") {
		t.Errorf("got %v", err)
	}
	r := compile(t, `true`)
	if err := r.Allow(request(t), nil); !errors.Is(err, portcullis.ErrForbidden) {
		t.Errorf("no identity: got %v, want ErrForbidden", err)
	}
	if err := r.Allow(nil, alice()); !errors.Is(err, portcullis.ErrForbidden) {
		t.Errorf("no request: got %v, want ErrForbidden", err)
	}
}

func TestHost(t *testing.T) {
	r := compile(t, `request.host == "app.example.com" || request.host == "::1"`)
	for _, host := range []string{"app.example.com", "APP.example.COM", "app.example.com.", "app.example.com:80", "app.example.com.:80", "[::1]", "[::1]:80"} {
		req := request(t)
		req.Host = host
		if err := r.Allow(req, alice()); err != nil {
			t.Errorf("Host %q: %v", host, err)
		}
	}
}

// The size of the token system's answer must not become our time (L1).
func TestCostLimit(t *testing.T) {
	id := alice()
	var b strings.Builder
	b.WriteString(`{"groups":[""`)
	for range 20_000 {
		b.WriteString(`,"some-group"`)
	}
	b.WriteString(`]}`)
	id.Claims = json.RawMessage(b.String())
	for _, expr := range []string{
		`identity.claims.groups.all(g, identity.claims.groups.all(h, g == h || true))`,
		`identity.claims.groups.map(g, g + g + g).size() > 0`,
	} {
		err := compile(t, expr).Allow(request(t), id)
		if err == nil || !strings.HasSuffix(err.Error(), "takes too long") {
			t.Errorf("%s: got %v, want takes too long", expr, err)
		}
	}
	if err := compile(t, `"some-group" in identity.claims.groups`).Allow(request(t), id); err != nil {
		t.Errorf("a plain look-up in a long list: %v", err)
	}
}

func TestConcurrent(t *testing.T) {
	r := compile(t, `"admin" in identity.claims.groups && request.headers["x-team"] == "blue, green"`)
	id, req := alice(), request(t)
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for range 200 {
				if err := r.Allow(req, id); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	wg.Wait()
}

func compile(t testing.TB, expr string) *rule.Rule {
	t.Helper()
	r, err := rule.Compile(expr)
	if err != nil {
		t.Fatalf("Compile(%s): %v", expr, err)
	}
	return r
}

func BenchmarkAllow(b *testing.B) {
	for _, bench := range []struct{ name, expr string }{
		{"true", `true`},
		{"scope", `"chat" in identity.scopes`},
		{"claim", `"admin" in identity.claims.groups`},
		{"request", `request.method == "POST" && request.path.startsWith("/wsapi/")`},
	} {
		b.Run(bench.name, func(b *testing.B) {
			r, req, id := compile(b, bench.expr), request(b), alice()
			b.ReportAllocs()
			for b.Loop() {
				if err := r.Allow(req, id); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func ExampleCompile() {
	r, err := rule.Compile(`"chat" in identity.scopes`)
	if err != nil {
		panic(err)
	}
	_ = portcullis.Policy{Allow: r.Allow}
}
