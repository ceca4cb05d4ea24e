//go:build linux

// Command soak keeps a gateway busy for long, and fails if it grows.
//
//	go run ./soak -for 20m            prints what it sees
//	go run ./soak -for 20m -o results appends it to results/soak-YYYY-MM-DD.txt too
//
// Clients connect, talk and end in every way there is, over and over, through a
// portcullis that is built for it. All the while it counts the gateway's resident
// memory, what of its heap is live, its descriptors and threads, and goroutines if
// it tells them. The first fifth of these samples is for warming up, with twice as
// many clients; of the others, the second half may not be above the first. In the
// end, when everybody has left, the gateway must have let go of their descriptors.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"time"

	"github.com/portcullis-auth/portcullis/bench/internal/steady"
)

// A plan says how long, how often and how much. All of it must be positive.
type plan struct {
	steady.Run
	stay    time.Duration // what a socket lives at most before its end is brought about
	clients int           // at once
}

func main() { steady.Parts.Main("soak", run) }

func run(ctx context.Context, args []string) error {
	p := plan{Run: steady.Run{Name: "soak", For: 20 * time.Minute, Every: 10 * time.Second, Spare: 10}, stay: time.Second}
	flags := flag.NewFlagSet("soak", flag.ExitOnError)
	p.Flags(flags)
	flags.IntVar(&p.clients, "clients", 200, "how many clients there are at once")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if p.clients < 1 {
		return errors.New("nobody comes; see -help")
	}
	return p.Do(ctx, fmt.Sprintf("%d clients at once", p.clients), func(out io.Writer) error { return soak(ctx, &p, out) })
}
