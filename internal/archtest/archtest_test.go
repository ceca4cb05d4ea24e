package archtest

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"
)

// systems are those whose files are looked at: the imports of relay_linux.go and
// of relay_other.go are both ours to keep.
var systems = []string{"linux", "darwin", "windows"}

func TestImportsPointOneWay(t *testing.T) {
	root := moduleRoot(t)
	for _, goos := range systems {
		t.Run(goos, func(t *testing.T) {
			for _, complaint := range checkImports(goList(t, root, goos, "./...")) {
				t.Error(complaint)
			}
		})
	}
}

func TestRootDependsOnStandardLibraryOnly(t *testing.T) {
	root := moduleRoot(t)
	for _, goos := range systems {
		t.Run(goos, func(t *testing.T) {
			for _, complaint := range checkRoot(goList(t, root, goos, "-deps", ".")) {
				t.Error(complaint)
			}
		})
	}
}

func TestPackageNamesSaySomething(t *testing.T) {
	for _, complaint := range checkNames(goList(t, moduleRoot(t), "linux", "./...")) {
		t.Error(complaint)
	}
}

// goList returns what go list says of the packages that args name.
func goList(t *testing.T, dir, goos string, args ...string) []listed {
	t.Helper()
	fields := "-json=ImportPath,Name,Standard,Imports,TestImports,XTestImports,Error"
	cmd := exec.Command("go", append([]string{"list", "-e", fields}, args...)...)
	cmd.Dir = dir
	// Without cgo every system's files are listed alike, whatever this one has.
	cmd.Env = append(os.Environ(), "GOOS="+goos, "CGO_ENABLED=0", "GOWORK=off")
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%v: %v\n%s", cmd, err, &stderr)
	}
	var packages []listed
	for dec := json.NewDecoder(bytes.NewReader(out)); ; {
		var p listed
		err := dec.Decode(&p)
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatalf("%v: %v", cmd, err)
		}
		if p.Error != nil {
			t.Errorf("%s: %s", p.ImportPath, p.Error.Err)
		}
		packages = append(packages, p)
	}
	// Looking at nothing must not pass for finding nothing.
	if !slices.ContainsFunc(packages, func(p listed) bool { return p.ImportPath == module }) {
		t.Fatalf("%v: the root package is not among %d packages", cmd, len(packages))
	}
	return packages
}

// moduleRoot returns the directory of go.mod. It also reads every directory below,
// which is how the go command learns that this test depends on the whole tree;
// it does not see what go list reads, and would keep an outdated result.
func moduleRoot(t *testing.T) string {
	t.Helper()
	root, err := filepath.Abs(filepath.Join("..", ".."))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Join(root, "go.mod")); err != nil {
		t.Fatal(err)
	}
	err = filepath.WalkDir(root, func(_ string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() && slices.Contains([]string{".git", "bin", "node_modules"}, d.Name()) {
			return fs.SkipDir
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return root
}
