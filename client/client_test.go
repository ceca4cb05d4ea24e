// Package client_test tests the npm package portcullis-client, which is no Go: that
// dist is what the sources make, that it is small, and that its own tests pass.
package client_test

//go:generate node build.mjs

import (
	"bytes"
	"compress/gzip"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// maxGzipped is what a page may have to load for us, in bytes.
const maxGzipped = 3072

const bundle = "portcullis-client.js"

func TestDistIsWhatTheSourcesMake(t *testing.T) {
	out := t.TempDir()
	node(t, "build.mjs", out)
	if diff := cmp.Diff(files(t, out), files(t, "dist")); diff != "" {
		t.Errorf("dist is not up to date (run: make generate); built (-), there (+):\n%s", diff)
	}
}

func TestBundleIsSmall(t *testing.T) {
	code := files(t, "dist")[bundle]
	var zipped bytes.Buffer
	w := gzip.NewWriter(&zipped)
	if _, err := w.Write([]byte(code)); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	t.Logf("%d bytes, %d gzipped", len(code), zipped.Len())
	if code == "" || zipped.Len() > maxGzipped {
		t.Errorf("%s has %d bytes gzipped, want 1 to %d", bundle, zipped.Len(), maxGzipped)
	}
	if strings.Contains(code, "console") || strings.Contains(code, "import") {
		t.Errorf("%s logs or imports", bundle)
	}
}

// TestTypes compiles the uses that the README shows, and more.
func TestTypes(t *testing.T) {
	node(t, filepath.Join("node_modules", "typescript", "bin", "tsc"), "-p", "test")
}

func TestPackage(t *testing.T) {
	files(t, "test") // so that go test knows that this one depends on them
	tests, err := filepath.Glob("test/*.test.mjs")
	if err != nil || len(tests) == 0 {
		t.Fatalf("no tests: %v", err)
	}
	t.Log(node(t, append([]string{"--test", "--test-timeout=60000"}, tests...)...))
}

func TestLockFileNamesNoOtherRegistry(t *testing.T) {
	lock, err := os.ReadFile("package-lock.json")
	if err != nil {
		t.Fatal(err)
	}
	for _, url := range regexp.MustCompile(`"resolved": *"([^"]*)"`).FindAllStringSubmatch(string(lock), -1) {
		if !strings.HasPrefix(url[1], "https://registry.npmjs.org/") {
			t.Errorf("package-lock.json names %s", url[1])
		}
	}
}

// node runs Node with args in this directory and returns what it printed.
func node(t *testing.T, args ...string) string {
	t.Helper()
	files(t, "src")
	for _, name := range []string{"esbuild", "typescript", "ws"} {
		if _, err := os.Stat(filepath.Join("node_modules", name)); err != nil {
			t.Fatalf("this test needs the packages of client: %v; run make setup", err)
		}
	}
	out, err := exec.Command("node", args...).CombinedOutput()
	if err != nil {
		t.Fatalf("node %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return string(out)
}

// files returns the files under dir, by name.
func files(t *testing.T, dir string) map[string]string {
	t.Helper()
	found := map[string]string{}
	root := os.DirFS(dir)
	err := fs.WalkDir(root, ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		text, err := os.ReadFile(filepath.Join(dir, name))
		found[name] = string(text)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}
