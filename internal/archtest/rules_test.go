package archtest

import (
	"fmt"
	"path"
	"slices"
	"strings"
)

// module is the path that all our packages start with.
const module = "github.com/portcullis-auth/portcullis"

// listed is what this test needs to know of a package; go list -json has the
// same fields.
type listed struct {
	ImportPath   string
	Name         string
	Standard     bool
	Imports      []string // of the package itself
	TestImports  []string // of its _test files; no rule limits them
	XTestImports []string // of its package _test
	Error        *struct{ Err string }
}

// A layer is one row of the table: some packages, and what they may import. Names
// are relative to the module, and the root package is ".". A pattern that ends in
// "/..." means everything under it too. In any layer a package may import what
// lies under itself: gateway may import gateway/relay, but not the other way
// round, unless the table says so.
type layer struct {
	packages   string   // the pattern that places a package in this layer
	imports    []string // patterns of our packages that it may import
	thirdParty bool     // whether it may import other modules
}

// layers is read from the top: the first pattern that matches places a package.
var layers = []layer{
	{packages: ".", imports: []string{"internal/..."}},
	{packages: "portcullistest/...", imports: []string{".", "internal/..."}},

	// Siblings that are made of others have rows of their own, which name them.
	{packages: "internal/wsconn/...", imports: []string{"internal/wsframe"}},
	{packages: "internal/jws/...", imports: []string{"internal/strictjson"}},
	{packages: "internal/discovery/...", imports: []string{"internal/askhttp", "internal/strictjson"}},
	{packages: "internal/keyset/...", imports: []string{"internal/askhttp", "internal/discovery", "internal/jws", "internal/strictjson"}, thirdParty: true},
	// Other modules are for those that the root package does not use: see checkRoot.
	{packages: "internal/...", thirdParty: true},

	{packages: "verify/...", imports: []string{".", "internal/..."}, thirdParty: true},
	{packages: "revoke/...", imports: []string{".", "internal/..."}, thirdParty: true},
	{packages: "store/...", imports: []string{".", "internal/..."}, thirdParty: true},

	{packages: "gateway/relay/...", imports: []string{".", "internal/..."}, thirdParty: true},
	{packages: "gateway/config/...", imports: []string{"gateway/rule", "verify/...", "revoke/...", "store/...", ".", "internal/..."}, thirdParty: true},
	{packages: "gateway/...", imports: []string{"verify/...", "revoke/...", "store/...", ".", "internal/..."}, thirdParty: true},
	{packages: "admin/...", imports: []string{".", "internal/..."}, thirdParty: true},

	// The token system and the demo meet the product over HTTP only.
	{packages: "dev/...", thirdParty: true},

	{packages: "cmd/...", imports: []string{
		"gateway/...", "admin/...", "dev/...", "verify/...", "revoke/...", "store/...", ".", "internal/...",
	}, thirdParty: true},

	// Examples are written as a user would write them: with what we export.
	{packages: "examples/...", imports: []string{".", "verify/...", "revoke/...", "store/..."}, thirdParty: true},

	// Only the tests of these have anything to import.
	{packages: "client/..."},
	{packages: "interop/...", thirdParty: true},
}

// vague are the names that say nothing of what is inside.
var vague = []string{
	"common", "helper", "helpers", "manager", "managers", "misc", "pkg", "shared", "util", "utils",
}

// matches reports whether name is in pattern.
func matches(pattern, name string) bool {
	tree, ok := strings.CutSuffix(pattern, "/...")
	return name == tree || ok && strings.HasPrefix(name, tree+"/")
}

// relative returns an import path relative to the module, if it is ours.
func relative(importPath string) (name string, ours bool) {
	if importPath == module {
		return ".", true
	}
	return strings.CutPrefix(importPath, module+"/")
}

// isStandard reports whether an import path is the standard library's: there the
// first element has no dot.
func isStandard(importPath string) bool {
	first, _, _ := strings.Cut(importPath, "/")
	return !strings.Contains(first, ".")
}

func layerOf(name string) (layer, bool) {
	for _, l := range layers {
		if matches(l.packages, name) {
			return l, true
		}
	}
	return layer{}, false
}

// checkImports returns what breaks the table, one sentence each.
func checkImports(packages []listed) []string {
	var broken []string
	for _, p := range packages {
		from, ours := relative(p.ImportPath)
		if !ours {
			continue
		}
		l, ok := layerOf(from)
		if !ok {
			broken = append(broken, fmt.Sprintf("%s stands in no layer: add it to the table in internal/archtest/rules_test.go", from))
			continue
		}
		for _, imp := range p.Imports {
			to, ours := relative(imp)
			switch {
			case ours:
				if why := l.refuses(from, to); why != "" {
					broken = append(broken, fmt.Sprintf("%s imports %s: %s", from, to, why))
				}
			case !isStandard(imp) && !l.thirdParty:
				broken = append(broken, fmt.Sprintf("%s imports %s: %s may import the standard library only, and our own packages", from, imp, l.packages))
			}
		}
	}
	return broken
}

// refuses returns the rule against an import of one of our packages by another,
// or "" if there is none.
func (l layer) refuses(from, to string) string {
	if from != "." && strings.HasPrefix(to, from+"/") {
		return ""
	}
	for _, pattern := range l.imports {
		if matches(pattern, to) {
			return ""
		}
	}
	switch {
	case matches("dev/...", to):
		return "only cmd and tests may import dev"
	case matches(l.packages, to):
		return "siblings never import each other"
	case len(l.imports) == 0:
		return l.packages + " may import none of our packages"
	}
	return fmt.Sprintf("%s may import only %s of ours", l.packages, strings.Join(l.imports, ", "))
}

// checkRoot returns what the root package depends on, directly or not, and should
// not. A user of the library pays for the standard library and nothing else.
func checkRoot(deps []listed) []string {
	var broken []string
	for _, p := range deps {
		name, ours := relative(p.ImportPath)
		switch {
		case !ours && !p.Standard:
			broken = append(broken, fmt.Sprintf("the root package depends on %s: it may depend on the standard library and internal only", p.ImportPath))
		case ours && name != "." && !matches("internal/...", name):
			broken = append(broken, fmt.Sprintf("the root package depends on %s: of ours it may depend on internal only", name))
		}
	}
	return broken
}

// checkNames returns the packages whose names say nothing.
func checkNames(packages []listed) []string {
	var broken []string
	for _, p := range packages {
		name, ours := relative(p.ImportPath)
		if !ours {
			continue
		}
		words := append(strings.Split(name, "/"), p.Name)
		if i := slices.IndexFunc(words, func(w string) bool { return slices.Contains(vague, strings.TrimSuffix(w, "_test")) }); i >= 0 {
			broken = append(broken, fmt.Sprintf("%s is called %q: name a package after what it provides", path.Clean(name), words[i]))
		}
	}
	return broken
}
