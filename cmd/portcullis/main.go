// Command portcullis is the gateway, and a demo of it.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	muzzle(os.Stderr)
	context.AfterFunc(ctx, stop) // a second signal ends the process at once
	os.Exit(exit(ctx, os.Args, system{os.Stdin, os.Stdout, os.Stderr, os.LookupEnv}))
}

// A system is what a command has of the machine beside files and the network.
type system struct {
	in       io.Reader
	out, err io.Writer
	env      func(string) (string, bool)
}

// exit runs the command line and returns its exit status: 0, 1 for what went
// wrong, 2 for a command line that makes no sense.
func exit(ctx context.Context, args []string, s system) int {
	err := run(ctx, args, s)
	if err == nil {
		return 0
	}
	_, _ = fmt.Fprintf(s.err, "portcullis: %v\n", err)
	var usage usageError
	if errors.As(err, &usage) {
		return 2
	}
	return 1
}
