// Package childtest lets tests start their own program as a child.
package childtest

import (
	"os"
	"testing"

	"go.uber.org/goleak"

	"github.com/portcullis-auth/portcullis/bench/internal/child"
)

// Main is TestMain of a program with these parts: its main, where the command
// line names a part, else the tests.
func Main(m *testing.M, parts child.Parts, main func()) {
	if len(os.Args) > 1 && parts[os.Args[1]] != nil {
		main()
		return
	}
	_ = os.Setenv("GORACE", "atexit_sleep_ms=0") // else each child takes a second to end
	goleak.VerifyTestMain(m)
}
