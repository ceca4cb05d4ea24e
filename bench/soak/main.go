//go:build linux

// Command soak keeps a gateway busy for long, and fails if it grows.
//
//	go run ./soak -for 20m            prints what it sees
//	go run ./soak -for 20m -o results appends it to results/soak-YYYY-MM-DD.txt too
//
// Clients connect, talk and end in every way there is, over and over, through a
// portcullis that is built for it. All the while it counts the gateway's resident
// memory, descriptors and threads, and goroutines if it tells them. The first
// fifth of these samples is for warming up; of the others, the second half may not
// be above the first. In the end, when everybody has left, the gateway must have
// let go of their descriptors.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime"
	"syscall"
	"time"

	"github.com/portcullis-auth/portcullis/bench/internal/child"
	"github.com/portcullis-auth/portcullis/bench/internal/gate"
	"github.com/portcullis-auth/portcullis/bench/internal/proc"
	"github.com/portcullis-auth/portcullis/bench/internal/server"
)

// parts are what this program is as its own child.
var parts = child.Parts{"server": server.Part, "serve": gate.Serve}

// A plan says how long, how often and how much. All of it must be positive.
type plan struct {
	last    time.Duration
	every   time.Duration // a sample
	stay    time.Duration // what a socket lives at most before its end is brought about
	clients int           // at once
	spare   int           // descriptors that may be left in the end, beside those before
	gateway string        // a portcullis binary; "": this program
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "soak:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string) error {
	if ok, err := parts.Play(ctx, args); ok {
		return err
	}
	p, flags := plan{stay: time.Second, spare: 10}, flag.NewFlagSet("soak", flag.ExitOnError)
	flags.DurationVar(&p.last, "for", 20*time.Minute, "how long")
	flags.DurationVar(&p.every, "every", 10*time.Second, "the time between two samples")
	flags.IntVar(&p.clients, "clients", 200, "how many clients there are at once")
	flags.StringVar(&p.gateway, "gateway", "", "the portcullis `binary`, in place of one that is built")
	dir := flags.String("o", "", "`directory` of the results file to append to")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if p.last <= 0 || p.every <= 0 || p.clients < 1 {
		return errors.New("these flags make no sense together; see -help")
	}
	if p.gateway == "" {
		bin, err := os.MkdirTemp("", "soak-")
		if err != nil {
			return err
		}
		defer func() { _ = os.RemoveAll(bin) }()
		p.gateway = filepath.Join(bin, "portcullis")
		build := exec.CommandContext(ctx, "go", "build", "-trimpath", "-ldflags", "-s -w", "-o", p.gateway, "./cmd/portcullis") //nolint:gosec // ours
		build.Dir, build.Env = "..", append(os.Environ(), "CGO_ENABLED=0")
		if said, err := build.CombinedOutput(); err != nil {
			return fmt.Errorf("go build: %w: %s", err, said)
		}
	}
	var out io.Writer = os.Stdout
	if *dir != "" {
		if err := os.MkdirAll(*dir, 0o755); err != nil { //nolint:gosec // to be read by everybody
			return err
		}
		name := filepath.Join(*dir, time.Now().Format("soak-2006-01-02.txt"))
		file, err := os.OpenFile(name, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o644) //nolint:gosec // to be read by everybody
		if err != nil {
			return err
		}
		defer func() { _ = file.Close() }()
		out = io.MultiWriter(os.Stdout, file)
	}
	if _, err := fmt.Fprintf(out, "\n%s, %d cores, Linux %s, %s, %s; %v, %d clients at once\n", proc.Processor(), runtime.NumCPU(),
		proc.Kernel(), runtime.Version(), time.Now().Format(time.RFC3339), p.last, p.clients); err != nil {
		return err
	}
	return soak(ctx, &p, out)
}
