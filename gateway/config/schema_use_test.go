package config_test

import (
	"crypto/ed25519"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"net/http/httptest"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"strings"
	"testing"

	"github.com/google/jsonschema-go/jsonschema"
	"go.yaml.in/yaml/v4"

	"github.com/portcullis-auth/portcullis/gateway/config"
)

// testCA is some certificate in PEM, and testCAKey its key.
var testCA, testCAKey = func() (cert, key string) {
	s := httptest.NewTLSServer(nil)
	defer s.Close()
	der, err := x509.MarshalPKCS8PrivateKey(s.TLS.Certificates[0].PrivateKey)
	if err != nil {
		panic(err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.Certificate().Raw})),
		string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}))
}()

// testKey is some private key in PEM.
var testKey = func() string {
	_, key, _ := ed25519.GenerateKey(nil)
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		panic(err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}))
}()

func resolved(t testing.TB) *jsonschema.Resolved {
	t.Helper()
	raw, err := os.ReadFile(filepath.Join("..", "..", "docs", "portcullis.schema.json"))
	if err != nil {
		t.Fatal(err)
	}
	var s jsonschema.Schema
	if err := json.Unmarshal(raw, &s); err != nil {
		t.Fatal(err)
	}
	r, err := s.Resolve(&jsonschema.ResolveOptions{ValidateDefaults: true})
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// validate validates YAML against the schema, as an editor does.
func validate(r *jsonschema.Resolved, text string) error {
	var v any
	if err := yaml.Unmarshal([]byte(text), &v); err != nil {
		return err
	}
	raw, err := json.Marshal(v)
	if err != nil {
		return err
	}
	if err := json.Unmarshal(raw, &v); err != nil {
		return err
	}
	return r.Validate(v)
}

var block = regexp.MustCompile("(?s)```yaml\n(.*?)```")

// Every example in the reference is a whole configuration that is accepted, by
// the schema too.
func TestReferenceExamples(t *testing.T) {
	text, err := os.ReadFile(filepath.Join("..", "..", "docs", "config.md"))
	if err != nil {
		t.Fatal(err)
	}
	r := resolved(t)
	blocks := block.FindAllStringSubmatch(string(text), -1)
	if len(blocks) < 3 {
		t.Fatalf("found %d examples", len(blocks))
	}
	for _, b := range blocks {
		if _, err := config.Parse(b[1], files, vars); err != nil {
			t.Errorf("%v in:\n%s", err, b[1])
		}
		if err := validate(r, b[1]); err != nil {
			t.Errorf("schema: %v in:\n%s", err, b[1])
		}
	}
}

func TestSchemaRefuses(t *testing.T) {
	r := resolved(t)
	if err := validate(r, verify+routes); err != nil {
		t.Fatal(err)
	}
	for _, text := range []string{
		"lisen: :80\n" + verify + routes,
		route("bakcend: x"),
		route("public: 'true'"),
		route("allow:"),
		"grace: 10\n" + verify + routes,
		"userinfo_max: 8KB\n" + verify + routes,
		"tokens: []\n" + verify + routes,
		"tokens: [cookie]\n" + verify + routes,
		"tokens: [{cookie: a, query: b}]\n" + verify + routes,
		"tokens: [{header: a}]\n" + verify + routes,
		"verify: {}\n" + routes,
		"verify: {introspection: {client_auth: none}}\n" + routes,
		"verify: {cache: {calls: 1}}\n" + routes,
		"verify: []\n" + routes,
		"verify: [{introspection: {}, jwt: {issuer: https://i, audience: a}}]\n" + routes,
		"verify: {jwt: {issuer: https://i, audience: []}}\n" + routes,
		"verify: {jwt: {issuer: https://i, audience: a, algorithms: HS256}}\n" + routes,
		"verify: {http_check: {url: https://i/, method: PUT}}\n" + routes,
		verify, routes, "[]", "null",
	} {
		if err := validate(r, text); err == nil {
			t.Errorf("the schema accepts:\n%s", text)
		}
	}
}

// FuzzParse: any text is a Config or errors with lines; what is accepted, the
// schema accepts too, and it means the same when it is written anew.
func FuzzParse(f *testing.F) {
	for _, name := range []string{"minimal", "full", "http-check", "several"} {
		text, err := os.ReadFile(filepath.Join("testdata", name+".yaml"))
		if err != nil {
			f.Fatal(err)
		}
		f.Add(string(text))
	}
	for _, b := range bad {
		f.Add(b.text)
	}
	for _, b := range badRoutes {
		f.Add(route(b.keys))
	}
	for _, keys := range []string{"host: '*.example.com'", "login: /login?to={url}", "origins: [capacitor://localhost]", "allow: >-\n  true\n  || false"} {
		f.Add(route(keys))
	}
	r := resolved(f)
	f.Fuzz(func(t *testing.T, text string) {
		c, err := config.Parse(text, files, vars)
		if err != nil {
			var errs config.Errors
			if !errors.As(err, &errs) || len(errs) == 0 {
				t.Fatalf("got %v", err)
			}
			for _, e := range errs {
				if !lines.MatchString(e.Error()) || strings.Contains(e.Error(), "\n") || strings.Contains(e.Error(), "s3cr3t") && !strings.Contains(text, "s3cr3t") {
					t.Fatalf("bad error: %q", e)
				}
				if last := strings.Count(text, "\n") + strings.Count(text, "\r") + 2 + 2*strings.Count(text, "\u2028") + 2*strings.Count(text, "\u2029") + 2*strings.Count(text, "\u0085"); e.Line > last {
					t.Fatalf("line %d of %d: %v", e.Line, last, e)
				}
			}
			return
		}
		if err := validate(r, text); err != nil {
			t.Fatalf("accepted, but not by the schema: %v", err)
		}
		var n yaml.Node
		if err := yaml.Unmarshal([]byte(text), &n); err != nil {
			t.Fatal(err)
		}
		again, err := yaml.Dump(&n)
		if err != nil {
			t.Fatal(err)
		}
		c2, err := config.Parse(string(again), files, vars)
		if err != nil {
			t.Fatalf("accepted, but not when written anew: %v\n%s", err, again)
		}
		for _, c := range []*config.Config{c, c2} {
			for i := range c.Routes {
				c.Routes[i].Line = 0
				c.Routes[i].BackendCA = nil
			}
		}
		if got, want := printed(t, c2), printed(t, c); got != want {
			t.Fatalf("written anew it means:\n%s\nnot:\n%s", got, want)
		}
		table := config.NewTable(c.Routes)
		for i := range c.Routes {
			host := strings.Replace(c.Routes[i].Host, "*", "a", 1)
			if got, ok := table.Find(host, c.Routes[i].Path); !ok || got.Path != c.Routes[i].Path {
				t.Fatalf("Find(%q, %q) = %+v, %v", host, c.Routes[i].Path, got, ok)
			}
		}
	})
}

func printed(t *testing.T, c *config.Config) string {
	t.Helper()
	raw, err := json.Marshal(c)
	if err != nil {
		t.Fatal(err)
	}
	return reflect.TypeOf(c).String() + string(raw)
}
