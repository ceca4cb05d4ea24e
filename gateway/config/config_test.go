package config_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.yaml.in/yaml/v4"

	"github.com/portcullis-auth/portcullis/gateway/config"
)

// lines is one error a line, each with a line number.
var lines = regexp.MustCompile(`^portcullis\.yaml:[1-9][0-9]*(:[1-9][0-9]*)?: .`)

func wantError(t *testing.T, text, want string) {
	t.Helper()
	c, err := config.Parse(text, files, vars)
	var errs config.Errors
	if !errors.As(err, &errs) || c != nil {
		t.Fatalf("got %v, %v; want Errors", c, err)
	}
	if err.Error() != want {
		t.Errorf("got:\n%s\nwant:\n%s", err, want)
	}
	if strings.Contains(err.Error(), "hunter") {
		t.Errorf("error holds a secret: %v", err)
	}
}

func TestBad(t *testing.T) {
	for _, test := range bad {
		t.Run(test.name, func(t *testing.T) { wantError(t, test.text, test.want) })
	}
	for _, test := range badRoutes {
		t.Run(test.name, func(t *testing.T) { wantError(t, route(test.keys), "portcullis.yaml:"+test.want) })
	}
	for _, test := range badVerify {
		t.Run("verify "+test.name, func(t *testing.T) {
			wantError(t, "verify:\n"+" "+strings.ReplaceAll(test.keys, "\n", "\n ")+"\n"+routes, "portcullis.yaml:"+test.want)
		})
	}
	for _, test := range badSignals {
		t.Run("signals "+test.name, func(t *testing.T) {
			wantError(t, verify+routes+test.keys+"\n", "portcullis.yaml:"+test.want)
		})
	}
	for _, test := range badListen {
		t.Run("listen "+test.name, func(t *testing.T) {
			wantError(t, verify+routes+test.keys+"\n", "portcullis.yaml:"+test.want)
		})
	}
	for _, test := range badBackends {
		t.Run("backend "+test.backend, func(t *testing.T) {
			wantError(t, verify+"routes:\n  - path: /\n    backend: '"+test.backend+"'\n", "portcullis.yaml:4:14: routes[0].backend: "+test.want)
		})
	}
	for _, test := range badPaths {
		t.Run("path "+test.path, func(t *testing.T) {
			wantError(t, verify+"routes:\n  - backend: http://b:9\n    path: '"+test.path+"'\n", "portcullis.yaml:4:11: routes[0].path: "+test.want)
		})
	}
}

func TestBadBetweenRoutes(t *testing.T) {
	text := verify + `routes:
  - path: /a
    host: App.example.com
    backend: http://b:9
  - {path: /a, backend: 'http://b:9'}
  - path: /a
    backend: http://b:9
    host: app.EXAMPLE.com
  - path: /c
    backend: https://b:9
    backend_ca_file: not.pem
  - path: /d
    backend: https://b:9
    backend_ca_file: nowhere.pem
`
	wantError(t, text, strings.TrimSpace(`
portcullis.yaml:7:11: routes[2].path: is for the same host and path as routes[0] on line 3; remove one of them
portcullis.yaml:12:22: routes[3].backend_ca_file: refers to a file without certificates; it must be in PEM: -----BEGIN CERTIFICATE-----
portcullis.yaml:15:22: routes[4].backend_ca_file: refers to a file that cannot be read: no such file or directory; create it, or correct the name`))
}

// Every mistake is told at once, in the order of the file.
func TestAllAtOnce(t *testing.T) {
	text := `listen: 80
grace: 1
tokens: [x]
verify:
  http_check:
    url: nowhere
    method: PUT
routes:
  - path: a
    backend: b
    allow: identity.x == 1 && identity.y == 2
  - backend: c
`
	_, err := config.Parse(text, files, vars)
	var errs config.Errors
	if !errors.As(err, &errs) {
		t.Fatalf("got %v", err)
	}
	var got []int
	for _, e := range errs {
		got = append(got, e.Line)
	}
	if want := []int{1, 2, 3, 6, 7, 9, 10, 11, 11, 12, 12}; !cmp.Equal(got, want) {
		t.Errorf("lines %v, want %v:\n%v", got, want, err)
	}
	var one *config.Error
	if !errors.As(err, &one) || one != errs[0] {
		t.Errorf("errors.As: got %v, want the first", one)
	}
}

func TestAliases(t *testing.T) {
	c, err := config.Parse(verify+`routes:
  - {path: /a, backend: &b 'http://b:9', origins: &o ['https://a.example.com']}
  - {path: /b, backend: *b, origins: *o}
`, files, vars)
	if err != nil {
		t.Fatal(err)
	}
	if got := c.Routes[1]; got.Backend.String() != "http://b:9" || len(got.Origins) != 1 {
		t.Errorf("got %+v", got)
	}
	// A few kilobytes that stand for millions of values.
	var b strings.Builder
	b.WriteString(verify + "routes:\n  - {path: /a, backend: 'http://b:9', origins: &o [https://a.example.com" + strings.Repeat(", https://a.example.com", 999) + "]}\n")
	for range 1000 {
		b.WriteString("  - {path: /b, backend: 'http://b:9', origins: *o}\n")
	}
	_, err = config.Parse(b.String(), files, vars)
	if err == nil || !strings.Contains(err.Error(), "the file holds more than 100000 values; use fewer aliases") {
		t.Errorf("got %.200v", err)
	}
	// The classic one is of the wrong type before it explodes.
	_, err = config.Parse("a: &a [x,x]\nb: &b [*a,*a]\nroutes: &c [*b,*b]\ntokens: [*c,*c]\n", files, vars)
	if err == nil || !lines.MatchString(err.Error()) {
		t.Errorf("got %v", err)
	}
}

func TestDefaults(t *testing.T) {
	c := example(t, "minimal")
	if c.Listen != ":8080" || c.Admin.Listen != "127.0.0.1:8081" || c.Admin.Off() || !c.Admin.Key.IsZero() ||
		c.ShutdownGrace != 10*time.Second || c.Grace != time.Second || c.MaxSession != 24*time.Hour || c.Leeway != 0 ||
		c.UserinfoHeader != "X-Portcullis-Userinfo" || c.UserinfoMax != 8<<10 || c.Logout != nil || len(c.Verify) != 1 || c.Verify[0].HTTPCheck != nil || c.Verify[0].Name != "introspection" {
		t.Errorf("got %+v", c)
	}
	if want := []config.Place{{In: "bearer"}}; !cmp.Equal(c.Tokens, want) {
		t.Errorf("tokens: got %v, want %v", c.Tokens, want)
	}
	i := c.Verify[0].Introspection
	if i.Timeout != 5*time.Second || i.ClientAuth != "basic" || i.ClientSecret.Reveal() != "hunter22hunter22" || i.InsecurePlainHTTP {
		t.Errorf("introspection: got %+v", i)
	}
	if r := c.Routes[0]; r.Path != "/" || r.Backend.Host != "127.0.0.1:9000" || r.Public || r.Tokens != nil || r.Allow != nil || r.Line != 8 {
		t.Errorf("route: got %+v", r)
	}
}

func TestFull(t *testing.T) {
	c := example(t, "full")
	want := []config.Place{{"cookie", "session"}, {"bearer", ""}, {"subprotocol", "bearer"}, {"query", "token"}}
	if !cmp.Equal(c.Tokens, want) {
		t.Errorf("tokens: got %v, want %v", c.Tokens, want)
	}
	if c.Admin.Key.Reveal() != "0123456789abcdef" || c.Logout[0].Issuer != "https://id.example.com" || c.UserinfoMax != 16<<10 {
		t.Errorf("got %+v", c)
	}
	if r := c.Routes[1]; r.Allow.String() != `"chat" in identity.scopes` || len(r.Origins) != 2 {
		t.Errorf("route 1: got %+v", r)
	}
	if r := c.Routes[2]; r.BackendCA == nil || r.Host != "*.example.com" {
		t.Errorf("route 2: got %+v", r)
	}
	got := c.Routes[3].Login.For("https://app.example.com/a?b=c&d=é")
	back, err := url.Parse(got)
	if err != nil || back.Query().Get("return") != "https://app.example.com/a?b=c&d=é" {
		t.Errorf("login: got %q, %v", got, err)
	}
	h := example(t, "http-check").Verify[0].HTTPCheck
	if want := (config.Fields{
		Subject: "user_id", Expiry: "valid_until", IssuedAt: "iat", SessionID: "session",
		TokenID: "jti", ClientID: "client_id", Scopes: "permissions",
	}); h.Fields != want || h.TokenIn != (config.Place{In: "cookie", Name: "sid"}) {
		t.Errorf("http_check: got %+v", h)
	}
}

func TestSeveral(t *testing.T) {
	c := example(t, "several")
	staff, partner, legacy := c.Verify[0], c.Verify[1], c.Verify[2]
	if want := (config.For{Issuers: []string{"https://id.example.com/realms/staff"}}); !cmp.Equal(staff.For, want) {
		t.Errorf("staff is for %v, want its own issuer", staff.For)
	}
	if j := staff.JWT; !cmp.Equal(j.Audience, []string{"api"}) || !cmp.Equal(j.Types, []string{"at+jwt", "JWT"}) || j.Cooldown != time.Minute || staff.Userinfo.OnFailure != "without" {
		t.Errorf("staff: got %+v", j)
	}
	if staff.Cache != (config.Cache{MaxAge: 30 * time.Second, NegativeAge: 5 * time.Second, Size: 64 << 20, Calls: 64}) || staff.Outage != (config.Outage{Failures: 5, Cooldown: time.Second}) {
		t.Errorf("defaults: got %+v, %+v", staff.Cache, staff.Outage)
	}
	if partner.Outage != (config.Outage{StaleFor: 10 * time.Minute, EndSessionsAfter: 30 * time.Minute, Failures: 3, Cooldown: 2 * time.Second}) || partner.Introspection.ClientKey.Reveal() != testKey {
		t.Errorf("partner: got %+v", partner)
	}
	if h := legacy.HTTPCheck; h.TokenIn != (config.Place{In: "json", Name: "key"}) || h.Secret.Reveal() != "s3cr3t" || h.Fields.Subject != "/user/id" || !h.CacheHeaders {
		t.Errorf("legacy: got %+v", h)
	}
}

func TestSignalsAndLogouts(t *testing.T) {
	c := example(t, "several")
	if len(c.Logout) != 2 || c.Logout[1].ClientID != "gateway" || c.Tickets.Lifetime != 30*time.Second || c.RecheckRate != 20 {
		t.Errorf("got %+v, %+v", c.Logout, c.Tickets)
	}
	if s := c.Signals[0]; s.PushSecret.Reveal() != "s3cr3t" || s.Events.SessionRevoked != "revoke" || s.Events.CredentialChange != "revoke" || s.Events.TokenClaimsChange != "recheck" {
		t.Errorf("got %+v", s)
	}
	if got := []time.Duration{c.Verify[0].Recheck, c.Verify[1].Recheck, c.Verify[2].Recheck}; !cmp.Equal(got, []time.Duration{0, time.Minute, time.Minute}) {
		t.Errorf("recheck: %v", got)
	}
}

// A typ that tokens don't have is spelled none.
func TestTypesNone(t *testing.T) {
	c, err := config.Parse("verify: {jwt: {issuer: https://a, audience: x, types: [JWT, none]}}\n"+routes, files, vars)
	if err != nil || !cmp.Equal(c.Verify[0].JWT.Types, []string{"JWT", ""}) {
		t.Errorf("got %+v, %v", c, err)
	}
}

func TestAdminOff(t *testing.T) {
	c, err := config.Parse("admin: {listen: off}\n"+verify+routes, files, vars)
	if err != nil || !c.Admin.Off() {
		t.Errorf("got %+v, %v", c, err)
	}
}

func TestInsecurePlainHTTP(t *testing.T) {
	for _, text := range []string{
		"verify: {http_check: {url: http://id.example.com/, insecure_plain_http: true}}\n" + routes,
		"verify: {http_check: {url: 'http://[::1]:80/'}}\n" + routes,
		"verify: {http_check: {url: http://LOCALHOST/me?a=b}}\n" + routes,
		"logout: {issuer: http://keycloak:8080/realms/x, client_id: a, insecure_plain_http: true}\n" + verify + routes,
	} {
		if _, err := config.Parse(text, files, vars); err != nil {
			t.Errorf("%s: %v", text, err)
		}
	}
}

// A2, promise 5: however a configuration is printed, its secrets are not.
func TestSecretHidden(t *testing.T) {
	c := example(t, "full")
	asJSON, err := json.Marshal(c)
	if err != nil {
		t.Fatal(err)
	}
	asYAML, err := yaml.Dump(map[string]any{"secret": c.Admin.Key})
	if err != nil {
		t.Fatal(err)
	}
	var log strings.Builder
	slog.New(slog.NewJSONHandler(&log, nil)).Info("x", "config", c, "key", c.Admin.Key)
	slog.New(slog.NewTextHandler(&log, nil)).Info("x", "config", c, "key", c.Admin.Key)
	all := string(asJSON) + string(asYAML) + log.String()
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%d", "%T"} {
		all += fmt.Sprintf(verb, c) + fmt.Sprintf(verb, c.Admin) + fmt.Sprintf(verb, c.Admin.Key) + fmt.Sprintf(verb, &c.Admin.Key)
	}
	for _, secret := range []string{"0123456789abcdef", "30313233", "s3cr3t", "733363"} {
		if strings.Contains(all, secret) {
			t.Errorf("%q is in:\n%s", secret, all)
		}
	}
	if !strings.Contains(all, "REDACTED") {
		t.Error("nothing was redacted")
	}
}

func TestLoad(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string) {
		t.Helper()
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("secret", "s3cr3t\r\n")
	write("p.yaml", strings.Replace(verify, "client_secret_env: S", "client_secret_file: secret", 1)+routes)
	c, err := config.Load(filepath.Join(dir, "p.yaml"), nil)
	if err != nil || c.Verify[0].Introspection.ClientSecret.Reveal() != "s3cr3t" {
		t.Errorf("got %+v, %v", c, err)
	}
	write("p.yaml", verify+routes)
	c, err = config.Load(filepath.Join(dir, "p.yaml"), func(name string) (string, bool) { return "of " + name, true })
	if err != nil || c.Verify[0].Introspection.ClientSecret.Reveal() != "of S" {
		t.Errorf("got %+v, %v", c, err)
	}
	_, err = config.Load(filepath.Join(dir, "none.yaml"), nil)
	if want := filepath.Join(dir, "none.yaml") + ": cannot be read: no such file or directory"; err == nil || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
	write("big.yaml", strings.Repeat("#\n", 1<<20))
	if _, err = config.Load(filepath.Join(dir, "big.yaml"), nil); err == nil || !strings.HasSuffix(err.Error(), "cannot be read: larger than 1048576 bytes") {
		t.Errorf("got %v", err)
	}
}

func TestSize(t *testing.T) {
	for text, want := range map[string]config.Size{"0": 0, "512": 512, "64KiB": 64 << 10, "1 MiB": 1 << 20, "2GiB": 2 << 30} {
		got, err := config.ParseSize(text)
		if err != nil || got != want {
			t.Errorf("ParseSize(%q) = %d, %v; want %d", text, got, err, want)
		}
		if again, err := config.ParseSize(got.String()); err != nil || again != got {
			t.Errorf("ParseSize(%q) = %d, %v; want %d", got.String(), again, err, got)
		}
	}
	for _, text := range []string{"", " ", "KiB", "-1", "+1", "1.5KiB", "1kb", "1KB", "1  KiB", "1KiBMiB", "0x10", "1_000", "99999999999999999999", "9223372036854775807KiB"} {
		if got, err := config.ParseSize(text); err == nil {
			t.Errorf("ParseSize(%q) = %d, want an error", text, got)
		}
	}
}

func example(t *testing.T, name string) *config.Config {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("testdata", name+".yaml"))
	if err != nil {
		t.Fatal(err)
	}
	c, err := config.Parse(string(text), files, vars)
	if err != nil {
		t.Fatal(err)
	}
	return c
}
