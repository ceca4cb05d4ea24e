package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// patience bounds what should take no time: only a failure waits as long.
const patience = 30 * time.Second

// role returns what this program is to be as somebody's child, if it is one. It
// then talks JSON, and ends when there is nothing more to read or ctx is done.
func role(args []string) (play func(ctx context.Context, in *json.Decoder, out *json.Encoder) error, ok bool) {
	switch {
	case len(args) == 1 && args[0] == "backend":
		return backend, true
	case len(args) == 2 && args[0] == "others":
		return func(ctx context.Context, in *json.Decoder, out *json.Encoder) error {
			return others(ctx, args[1], in, out)
		}, true
	case len(args) == 3 && args[0] == "serve": // as portcullis has it: serve -c FILE
		return func(ctx context.Context, _ *json.Decoder, _ *json.Encoder) error { return serve(ctx, args[2]) }, true
	}
	return nil, false
}

// A child is a process of ours.
type child struct {
	cmd *exec.Cmd
	in  io.Closer
	log string // file with its standard error
	*json.Encoder
	*json.Decoder
}

// spawn starts the binary, or this program if it is "".
func spawn(binary, log string, args ...string) (*child, error) {
	if binary == "" {
		var err error
		if binary, err = os.Executable(); err != nil {
			return nil, err
		}
	}
	file, err := os.Create(log)
	if err != nil {
		return nil, err
	}
	defer func() { _ = file.Close() }()  // the child has its own
	cmd := exec.Command(binary, args...) //nolint:gosec // the user has named it
	cmd.Stderr = file
	in, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	return &child{cmd, in, log, json.NewEncoder(in), json.NewDecoder(out)}, nil
}

// hear takes what the child says next.
func (c *child) hear(v any) error {
	if err := c.Decode(v); err != nil {
		return fmt.Errorf("%s says nothing (%w): %s", c.cmd.Args[1], err, read(c.log))
	}
	return nil
}

// stop ends the child, and wants it to end well.
func (c *child) stop() error {
	_ = c.in.Close()
	if c.cmd.Args[1] == "serve" { // the only one that doesn't read
		_ = c.cmd.Process.Signal(syscall.SIGTERM)
	}
	late := time.AfterFunc(patience, func() { _ = c.cmd.Process.Kill() })
	defer late.Stop()
	if err := c.cmd.Wait(); err != nil {
		return fmt.Errorf("%s: %w", c.cmd.Args[1], err)
	}
	return nil
}

// configuration is the gateway's. JWTs with keys in a file: nobody has to be
// asked about a token, so that nothing but the gateway is measured.
const configuration = `listen: 127.0.0.1:0
admin: {listen: "127.0.0.1:0"}
leeway: %v
grace: %v
verify:
  jwt: {issuer: %s, audience: %s, keys_file: keys.json}
routes:
  - {path: /, backend: "http://%s"}
  - {path: /others, backend: "http://%s"}
`

// startGateway starts a gateway before two backends, and returns once it serves.
func startGateway(ctx context.Context, p *plan, dir, backend, others string) (c *child, public, admin string, err error) {
	file := filepath.Join(dir, "portcullis.yaml")
	text := fmt.Sprintf(configuration, leeway, p.grace, issuerName, audience, backend, others)
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		return nil, "", "", err
	}
	if c, err = spawn(p.gateway, filepath.Join(dir, "gateway.log"), "serve", "-c", file); err != nil {
		return nil, "", "", err
	}
	for end := time.Now().Add(patience); time.Now().Before(end) && ctx.Err() == nil; time.Sleep(10 * time.Millisecond) {
		if public, admin, err = serving(read(c.log)); err == nil {
			return c, public, admin, nil
		}
	}
	return nil, "", "", errors.Join(fmt.Errorf("the gateway doesn't start: %s", read(c.log)), c.stop())
}

// serving finds in the gateway's log where it listens.
func serving(log string) (public, admin string, err error) {
	var record struct{ Msg, Listen, Admin string }
	for lines := json.NewDecoder(strings.NewReader(log)); record.Msg != "serving"; {
		if err := lines.Decode(&record); err != nil {
			return "", "", err
		}
	}
	return record.Listen, record.Admin, nil
}
