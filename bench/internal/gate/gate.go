// Package gate starts a portcullis gateway for others to measure.
package gate

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/portcullis-auth/portcullis/bench/internal/child"
)

// A Gate is a gateway's process.
type Gate struct {
	*child.Child
	Public, Admin string // its addresses

	traced int64 // how much of the log Live has read
	live   int
}

// Build builds the portcullis beside this module in the folder dir, and returns
// its name.
func Build(ctx context.Context, dir string) (string, error) {
	binary := filepath.Join(dir, "portcullis")
	cmd := exec.CommandContext(ctx, "go", "build", "-trimpath", "-ldflags", "-s -w", "-o", binary, "./cmd/portcullis") //nolint:gosec // ours
	cmd.Dir, cmd.Env = "..", append(os.Environ(), "CGO_ENABLED=0")
	if said, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("go build: %w: %s", err, said)
	}
	return binary, nil
}

// Commit returns of which commit the tree is that Build builds.
func Commit() string {
	out, err := exec.Command("git", "--no-optional-locks", "describe", "--always", "--dirty").Output()
	if err != nil {
		return "unknown"
	}
	return strings.TrimSpace(string(out))
}

// Start starts a gateway with that configuration in the folder dir, and returns
// once it serves. binary is a portcullis, or "" for this program in the part of
// Serve. env has what the configuration wants of the environment.
func Start(ctx context.Context, binary, dir, configuration string, env ...string) (*Gate, error) {
	if binary == "" {
		var err error
		if binary, err = os.Executable(); err != nil {
			return nil, err
		}
	}
	file := filepath.Join(dir, "portcullis.yaml")
	if err := os.WriteFile(file, []byte(configuration), 0o600); err != nil {
		return nil, err
	}
	cmd := exec.Command(binary, "serve", "-c", file) //nolint:gosec // the user has named it
	cmd.Env = append(os.Environ(), env...)
	c, err := child.Server(cmd, filepath.Join(dir, "gateway.log"))
	if err != nil {
		return nil, err
	}
	for end := time.Now().Add(child.Patience); time.Now().Before(end) && ctx.Err() == nil; time.Sleep(10 * time.Millisecond) {
		if public, admin, err := serving(c.Log()); err == nil {
			return &Gate{Child: c, Public: public, Admin: admin}, nil
		}
	}
	return nil, errors.Join(fmt.Errorf("the gateway doesn't start: %s", c.Log()), c.Stop())
}

// serving finds in the gateway's log where it listens. What the runtime writes
// there may stand in front of a record.
func serving(log string) (public, admin string, err error) {
	for line := range strings.Lines(log) {
		_, record, _ := strings.Cut(line, "{")
		var r struct{ Msg, Listen, Admin string }
		if json.Unmarshal([]byte("{"+record), &r) == nil && r.Msg == "serving" {
			return r.Listen, r.Admin, nil
		}
	}
	return "", "", errors.New("it isn't serving")
}
