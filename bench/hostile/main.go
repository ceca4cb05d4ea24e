//go:build linux

// Command hostile attacks a gateway in many ways at once for long, while honest
// clients use it, and fails if it grows, if one of the honest is not served, or
// if one of the others is.
//
//	go run ./hostile -for 10m            prints what it sees
//	go run ./hostile -for 10m -o results appends it to results/hostile-YYYY-MM-DD.txt
//	                                     and draws docs/benchmarks/hostile.svg too
//
// Growth is judged as by soak. Load, gateway and the processes behind it share
// the machine, so that the times of the honest are what is left of it.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"path/filepath"
	"time"

	"github.com/portcullis-auth/portcullis/bench/internal/steady"
)

// A plan says how long, how often and how much. All of it must be positive.
type plan struct {
	steady.Run
	honest  int           // clients
	hostile int           // at once
	pace    time.Duration // between two things that a client does
	patient time.Duration // how long an attacker who waits waits at most
}

func main() { steady.Parts.Main("hostile", run) }

func run(ctx context.Context, args []string) error {
	p := plan{
		Run:  steady.Run{Name: "hostile", For: 10 * time.Minute, Every: 5 * time.Second, Spare: 10},
		pace: 100 * time.Millisecond, patient: 15 * time.Second,
	}
	flags := flag.NewFlagSet("hostile", flag.ExitOnError)
	p.Flags(flags)
	flags.IntVar(&p.honest, "honest", 20, "how many honest clients there are")
	flags.IntVar(&p.hostile, "hostile", 4*len(attacks), "how many attackers there are at once")
	docs := flags.String("docs", "../docs/benchmarks", "`directory` of the figure, which is drawn with -o")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if min(p.honest, p.hostile) < 1 {
		return errors.New("nobody comes; see -help")
	}
	return p.Do(ctx, fmt.Sprintf("%d honest clients, %d attackers at once", p.honest, p.hostile), func(out io.Writer) error {
		s, err := newScene(ctx, &p)
		if err != nil {
			return err
		}
		err = s.run(ctx, out)
		if flags.Lookup("o").Value.String() != "" && len(s.seen.Samples) > 0 {
			err = errors.Join(err, s.draw(filepath.Join(*docs, "hostile.svg")))
		}
		return errors.Join(err, s.Close())
	})
}
