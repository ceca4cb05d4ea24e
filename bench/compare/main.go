//go:build linux

// Command compare measures Portcullis beside other proxies, in one run on one
// machine, and writes what has come of it: a file with the results, and the page
// and charts of docs/benchmarks.
//
//	./setup               installs the peers that are missing
//	go run ./compare      measures everything, in about twenty-five minutes
//
// It is run in this module's folder. For each measure, the rounds take turns
// among the targets. Each time there is a stage of processes of their own: the
// target, a backend, a token system and a load, on the same cores. CPU times are
// the target's alone, of all its processes. Before anything is measured, each
// target that authorizes must refuse a bad token, and while it is measured, the
// token system counts that it is asked as often as it must be. All files of a
// stage, as caches and logs, are in memory where the machine has /dev/shm.
//
// A missing peer is an error, unless -skip names it. A failure is written in place
// of the figure, and is an error in the end.
//
// With -quick, -only or -target, a run is for trying, and only prints its table.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/portcullis-auth/portcullis/bench/compare/peers/naive"
	"github.com/portcullis-auth/portcullis/bench/compare/peers/relay"
	"github.com/portcullis-auth/portcullis/bench/internal/child"
	"github.com/portcullis-auth/portcullis/bench/internal/gate"
	"github.com/portcullis-auth/portcullis/bench/internal/load"
	"github.com/portcullis-auth/portcullis/bench/internal/proc"
	"github.com/portcullis-auth/portcullis/bench/internal/server"
)

// parts are what this program is as its own child.
var parts = child.Parts{"server": server.Part, "load": load.Part, "naive": naive.Part, "relay": relay.Part, "serve": gate.Serve}

// A plan says what is measured. Its sizes must be positive.
type plan struct {
	rounds  int
	sockets int           // idle ones
	pushed  int           // those that the backend pushes to
	victims int           // of a revocation
	span    time.Duration // of a measure
	pace    time.Duration // of a paced one
	settle  time.Duration // before memory is looked at

	groups  []string // names; none: all
	targets []string // IDs; none: all
	skip    []string // IDs of those that may be missing, and are left out

	portcullis string // the binary; "": this program
	signals    string // the binary that measures revocations
}

// part reports whether it is only a part of everything.
func (p *plan) part() bool { return len(p.groups) > 0 || len(p.targets) > 0 }

func main() { parts.Main("compare", run) }

func run(ctx context.Context, args []string) error {
	p, flags := plan{pushed: 500, victims: 9000, span: 2 * time.Second, pace: 3 * time.Second, settle: 2 * time.Second}, flag.NewFlagSet("compare", flag.ExitOnError)
	flags.IntVar(&p.rounds, "rounds", 3, "how often each measure is taken")
	flags.IntVar(&p.sockets, "sockets", 9500, "how many idle sockets there are")
	quick := flags.Bool("quick", false, "one short round with few sockets: to try whether everything works")
	only := flags.String("only", "", "take `groups` of measures: "+strings.Join(names(), ","))
	which := flags.String("target", "", "measure `targets`: "+strings.Join(ids(), ","))
	skip := flags.String("skip", "", "do without `targets` that are missing")
	results := flags.String("o", "results", "`directory` of the file with the results")
	docs := flags.String("docs", "../docs/benchmarks", "`directory` of the page")
	readme := flags.String("readme", "", "`file` that gets the main lines, between its markers")
	flags.StringVar(&p.portcullis, "portcullis", "", "the portcullis `binary`, in place of one that is built")
	if err := flags.Parse(args); err != nil {
		return err
	}
	p.groups, p.targets, p.skip = list(*only), list(*which), list(*skip)
	if *quick {
		p.rounds, p.sockets, p.victims = 1, min(p.sockets, 500), 500
		p.span, p.pace, p.settle = 200*time.Millisecond, 300*time.Millisecond, 200*time.Millisecond
	}
	if err := p.check(); err != nil {
		return err
	}
	bin, err := os.MkdirTemp("", "compare-")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(bin) }()
	if err := p.build(ctx, bin); err != nil {
		return err
	}
	r, err := p.measure(ctx)
	if r == nil {
		return err
	}
	err = errors.Join(err, printTable(os.Stdout, r))
	if *quick || p.part() || ctx.Err() != nil {
		return err
	}
	return errors.Join(err, write(r, *results, *docs, *readme))
}

// list takes words apart.
func list(words string) []string {
	return strings.FieldsFunc(words, func(r rune) bool { return r == ',' || r == ' ' })
}

func names() (all []string) {
	for _, g := range groups {
		all = append(all, g.name)
	}
	return all
}

func ids() (all []string) {
	for _, t := range targets {
		all = append(all, t.ID)
	}
	return all
}

// check wants what the plan names to be there.
func (p *plan) check() error {
	if min(p.rounds, p.sockets) < 1 {
		return errors.New("nothing to do; see -help")
	}
	for _, c := range []struct {
		flag       string
		words, all []string
	}{{"-only", p.groups, names()}, {"-target", p.targets, ids()}, {"-skip", p.skip, ids()}} {
		for _, w := range c.words {
			if !slices.Contains(c.all, w) {
				return fmt.Errorf("%s knows no %s, but %s", c.flag, w, strings.Join(c.all, ", "))
			}
		}
	}
	return proc.EnoughFiles(2*max(p.sockets, p.victims+500) + 200)
}

// build builds the programs to run that aren't parts of this one.
func (p *plan) build(ctx context.Context, dir string) (err error) {
	p.signals = filepath.Join(dir, "signals")
	if said, err := exec.CommandContext(ctx, "go", "build", "-o", p.signals, "./signals").CombinedOutput(); err != nil { //nolint:gosec // ours
		return fmt.Errorf("go build: %w: %s", err, said)
	}
	if p.portcullis == "" {
		p.portcullis, err = gate.Build(ctx, dir)
	}
	return err
}
