package archtest

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// The rules are tested on made-up packages, so that a rule that can no longer
// fail is noticed.

// ours makes a package from its name and imports relative to the module; an
// import that starts with "ext:" or "std:" is taken as it stands.
func ours(name string, imports ...string) listed {
	full := func(s string) string {
		if s == "." {
			return module
		}
		return module + "/" + s
	}
	p := listed{ImportPath: full(name), Name: "x"}
	for _, imp := range imports {
		kind, rest, ok := strings.Cut(imp, ":")
		if !ok || kind != "ext" && kind != "std" {
			rest = full(imp)
		}
		p.Imports = append(p.Imports, rest)
	}
	return p
}

func TestCheckImports(t *testing.T) {
	tests := []struct {
		name string
		pkg  listed
		want string // what the complaint contains; "" for none
	}{
		{"root imports std and internal", ours(".", "std:net/http", "internal/wsframe"), ""},
		{"root imports another module", ours(".", "ext:example.com/x"), ". imports example.com/x: . may import the standard library only"},
		{"root imports a verifier", ours(".", "verify/jwt"), ". imports verify/jwt: . may import only internal/... of ours"},
		{"root imports dev", ours(".", "dev/issuer"), "only cmd and tests may import dev"},

		{"internal imports std", ours("internal/wsframe", "std:io"), ""},
		{"keyset imports what it is made of", ours("internal/keyset", "internal/askhttp", "internal/discovery", "internal/jws", "internal/strictjson"), ""},
		{"jws imports keyset", ours("internal/jws", "internal/keyset"), "internal/jws/... may import only"},
		{"jws imports another module", ours("internal/jws", "ext:example.com/jose"), "standard library only"},
		{"discovery imports keyset", ours("internal/discovery", "internal/keyset"), "internal/discovery/... may import only"},
		{"internal imports another module", ours("internal/keyset", "ext:example.com/jose"), ""},
		{"internal imports what lies under it", ours("internal/keyset", "internal/keyset/disk"), ""},
		{"wsconn imports wsframe", ours("internal/wsconn", "internal/wsframe"), ""},
		{"wsconn imports another sibling", ours("internal/wsconn", "internal/keyset"), "internal/wsconn/... may import only"},
		{"wsframe imports wsconn", ours("internal/wsframe", "internal/wsconn"), "siblings never import each other"},
		{"internal imports a sibling", ours("internal/askhttp", "internal/strictjson"), "siblings never import each other"},
		{"internal imports root", ours("internal/askhttp", "."), "internal/... may import none of our packages"},

		{"test helpers import root", ours("portcullistest", ".", "internal/wsframe"), ""},
		{"test helpers import another module", ours("portcullistest", "ext:example.com/x"), "standard library only"},

		{"verifier imports root", ours("verify/jwt", ".", "internal/keyset", "ext:example.com/jose"), ""},
		{"verifier imports a sibling", ours("verify/cached", "verify/jwt"), "verify/cached imports verify/jwt: siblings never import each other"},
		{"verifier imports the layer beside it", ours("verify/jwt", "store/redisstore"), "verify/... may import only"},
		{"verifier imports upwards", ours("verify/jwt", "gateway"), "verify/... may import only"},
		{"receiver imports a sibling", ours("revoke/ssf", "revoke/backchannel"), "siblings never import each other"},
		{"store imports a sibling", ours("store/natsstore", "store/storetest"), "siblings never import each other"},
		{"store imports test helpers", ours("store/storetest", "portcullistest"), "store/... may import only"},

		{"gateway imports what is below", ours("gateway", "gateway/relay", "verify/jwt", "revoke/ssf", "store/natsstore", ".", "internal/wsframe", "ext:example.com/yaml"), ""},
		{"gateway imports admin", ours("gateway", "admin"), "gateway/... may import only"},
		{"gateway imports dev", ours("gateway", "dev/issuer"), "only cmd and tests may import dev"},
		{"part of the gateway imports the whole", ours("gateway/rule", "gateway"), "siblings never import each other"},
		{"part of the gateway imports another", ours("gateway/rule", "gateway/relay"), "siblings never import each other"},
		{"configuration imports rules", ours("gateway/config", "gateway/rule"), ""},
		{"configuration imports gateway", ours("gateway/config", "gateway"), "gateway/config/... may import only"},
		{"relay imports root", ours("gateway/relay", ".", "internal/wsframe"), ""},
		{"relay imports gateway", ours("gateway/relay", "gateway"), "gateway/relay/... may import only"},
		{"relay imports a verifier", ours("gateway/relay", "verify/jwt"), "gateway/relay/... may import only"},

		{"admin imports root and its console", ours("admin", ".", "admin/console"), ""},
		{"admin imports gateway", ours("admin", "gateway"), "admin/... may import only"},
		{"admin imports a store", ours("admin", "store/natsstore"), "admin/... may import only"},

		{"issuer imports another module", ours("dev/issuer", "ext:example.com/op"), ""},
		{"issuer imports root", ours("dev/issuer", "."), "dev/... may import none of our packages"},
		{"issuer imports internal", ours("dev/issuer", "internal/keyset"), "dev/... may import none of our packages"},
		{"demo imports issuer", ours("dev/demo", "dev/issuer"), "dev/demo imports dev/issuer"},

		{"cmd imports everything", ours("cmd/portcullis", "gateway", "gateway/relay", "admin", "dev/demo", "verify/jwt", "store/natsstore", ".", "internal/x"), ""},
		{"cmd imports test helpers", ours("cmd/portcullis", "portcullistest"), "cmd/... may import only"},

		{"example imports what a user can", ours("examples/gorilla", ".", "verify/introspect", "ext:example.com/ws"), ""},
		{"example imports internal", ours("examples/gorilla", "internal/wsframe"), "examples/... may import only"},
		{"example imports dev", ours("examples/gorilla", "dev/issuer"), "only cmd and tests may import dev"},

		{"a new place", ours("newthing"), "newthing stands in no layer"},
		{"a name that only begins alike", ours("gatewayish"), "gatewayish stands in no layer"},
		{"another module's package", listed{ImportPath: "example.com/x", Imports: []string{module + "/dev/issuer"}}, ""},
		{"another module of a like name", ours(".", "ext:"+module+"x/y"), "standard library only"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			expectOne(t, checkImports([]listed{tt.pkg}), tt.want)
		})
	}
}

// Tests may import anything, dev above all.
func TestCheckImportsLeavesTestsAlone(t *testing.T) {
	p := ours("gateway")
	p.TestImports = []string{module + "/dev/issuer"}
	p.XTestImports = []string{module + "/dev/demo", module + "/admin"}
	expectOne(t, checkImports([]listed{p}), "")
}

func TestCheckImportsNamesEveryBreach(t *testing.T) {
	got := checkImports([]listed{ours(".", "verify/jwt", "std:io", "ext:example.com/x"), ours("verify/a", "verify/b")})
	if len(got) != 3 {
		t.Errorf("got %d complaints, want 3: %q", len(got), got)
	}
}

func TestCheckRoot(t *testing.T) {
	std := listed{ImportPath: "net/http", Standard: true}
	vendored := listed{ImportPath: "vendor/golang.org/x/net/http/httpguts", Standard: true}
	tests := []struct {
		name string
		deps []listed
		want string
	}{
		{"std and internal", []listed{std, vendored, ours("internal/wsframe", "std:io"), ours(".", "internal/wsframe")}, ""},
		{"another module, below internal", []listed{std, {ImportPath: "example.com/jose"}, ours("internal/keyset", "ext:example.com/jose"), ours(".", "internal/keyset")}, "the root package depends on example.com/jose"},
		{"another module", []listed{std, {ImportPath: "example.com/x"}, ours(".")}, "the root package depends on example.com/x"},
		{"not internal", []listed{ours("verify/jwt"), ours(".")}, "the root package depends on verify/jwt"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			expectOne(t, checkRoot(tt.deps), tt.want)
		})
	}
}

func TestCheckNames(t *testing.T) {
	named := func(path, name string) listed {
		p := ours(path)
		p.Name = name
		return p
	}
	tests := []struct {
		name string
		pkg  listed
		want string
	}{
		{"a good name", named("gateway/relay", "relay"), ""},
		{"a vague word inside a name", named("internal/commonmark", "commonmark"), ""},
		{"directory", named("internal/util", "x"), `internal/util is called "util"`},
		{"clause", named("gateway/x", "helpers"), `gateway/x is called "helpers"`},
		{"directory above", named("pkg/relay", "relay"), `pkg/relay is called "pkg"`},
		{"not ours", listed{ImportPath: "example.com/util", Name: "util"}, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			expectOne(t, checkNames([]listed{tt.pkg}), tt.want)
		})
	}
}

// Every layer must be reachable: a row below one that matches all its packages
// would be dead.
func TestLayersAreReachable(t *testing.T) {
	for _, l := range layers {
		name := strings.TrimSuffix(l.packages, "/...")
		if got, _ := layerOf(name); !cmp.Equal(got.packages, l.packages) {
			t.Errorf("%s is placed by %q, want %q", name, got.packages, l.packages)
		}
	}
}

// expectOne fails unless the complaints are one that contains want, or none if
// want is "".
func expectOne(t *testing.T, got []string, want string) {
	t.Helper()
	switch {
	case want == "" && len(got) > 0:
		t.Errorf("complaints %q, want none", got)
	case want != "" && (len(got) != 1 || !strings.Contains(got[0], want)):
		t.Errorf("complaints %q, want one that contains %q", got, want)
	}
}
