// Command signals measures how fast a right ends: the time from a signal to the
// last Close frame, through a real gateway, with 9,000 sockets open.
//
//	go run ./signals            prints a table
//	go run ./signals -o results appends it to results/signals-YYYY-MM-DD.txt too
//
// Each round of a measure starts a gateway and echo backends of its own, and
// opens the sockets, and as many as -others beside them that carry 500 echoes of
// 64 bytes a second all the time. As many again go to the backend directly: what
// the machine, busy with the load, does to an echo without the gateway. The
// measures are
//
//   - one: one of the sockets is revoked, 200 times, each time another user;
//   - subject: all sockets are one user's, who is revoked;
//   - expiry: the tokens of all sockets expire in the same second.
//
// A time ends with the last Close frame that any client or the backend has
// read, whichever is later; a socket that ends without one misses the target.
// A Close frame of another code, the end of another socket or a lost echo is a
// failure, not a figure. An echo takes from just before it is written until it
// has been read.
//
// The gateway, the client, the echoing clients, and a backend for both kinds of
// sockets are processes of their own: one couldn't have all the descriptors, and
// an echo must not wait for what the load has to do when 9,000 sockets end. (Each
// raises its soft limit to the hard one: Go does that at the start.) The gateway
// is made of the same parts as portcullis serve; -gateway names a portcullis
// binary to run instead.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"github.com/portcullis-auth/portcullis/bench/internal/child"
	"github.com/portcullis-auth/portcullis/bench/internal/gate"
	"github.com/portcullis-auth/portcullis/bench/internal/proc"
)

// A plan says what is measured. Its sizes must be positive.
type plan struct {
	sockets int           // whose right ends
	others  int           // whose doesn't, with the echoes
	revokes int           // of one socket each
	rounds  int           // of each measure
	before  time.Duration // how long the echoes are watched before a signal
	grace   time.Duration // what an ended socket has to say goodbye
	only    string        // one measure; "": all
	gateway string        // a portcullis binary; "": this program
	json    bool          // lines, in place of the table
	profile string        // file for the CPU profile of the gateway from the signal on; "": none
}

// measures are in the order of the table.
var measures = []struct {
	name string
	run  func(context.Context, *scene) ([]result, error)
}{{"one", one}, {"subject", subject}, {"expiry", expiry}}

// parts are what this program is as its own child.
var parts = child.Parts{"backend": backend, "others": others, "serve": gate.Serve}

func main() { parts.Main("signals", run) }

func run(ctx context.Context, args []string) error {
	p, flags := plan{}, flag.NewFlagSet("signals", flag.ExitOnError)
	flags.IntVar(&p.sockets, "sockets", 9000, "how many sockets' right ends")
	flags.IntVar(&p.others, "others", 500, "how many sockets carry echoes beside them")
	flags.IntVar(&p.revokes, "revokes", 200, "how many of the sockets are revoked alone")
	flags.IntVar(&p.rounds, "rounds", 3, "how often each measure is taken")
	flags.DurationVar(&p.before, "before", 5*time.Second, "how long echoes are watched before a signal")
	flags.DurationVar(&p.grace, "grace", time.Second, "how long an ended socket has to say goodbye")
	flags.StringVar(&p.only, "only", "", "take one `measure`: one, subject or expiry")
	flags.StringVar(&p.gateway, "gateway", "", "the portcullis `binary` to run, in place of this program")
	flags.StringVar(&p.profile, "cpuprofile", "", "`file` for the gateway's CPU profile, from the signal on; not with -gateway")
	flags.BoolVar(&p.json, "json", false, "print lines of JSON, in place of the table")
	dir := flags.String("o", "", "`directory` of the results file to append to")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if min(p.sockets, p.others, p.revokes, p.rounds) < 1 || p.revokes > p.sockets || p.profile != "" && p.gateway != "" {
		return errors.New("these flags make no sense together; see -help")
	}
	var out io.Writer = os.Stdout
	if *dir != "" {
		if err := os.MkdirAll(*dir, 0o755); err != nil { //nolint:gosec // to be read by everybody
			return err
		}
		name := filepath.Join(*dir, time.Now().Format("signals-2006-01-02.txt"))
		file, err := os.OpenFile(name, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o644) //nolint:gosec // to be read by everybody
		if err != nil {
			return err
		}
		defer func() { _ = file.Close() }()
		out = io.MultiWriter(os.Stdout, file)
	}
	return measure(ctx, &p, out)
}

// measure takes the measures of the plan and writes the table to out.
func measure(ctx context.Context, p *plan, out io.Writer) error {
	if err := proc.EnoughFiles(2*(p.sockets+p.others) + 100); err != nil {
		return err
	}
	if !p.json {
		if err := header(out, p); err != nil {
			return err
		}
	}
	for _, m := range measures {
		for round := 1; round <= p.rounds && (p.only == "" || p.only == m.name); round++ {
			load := proc.Load()
			results, err := take(ctx, p, m.run)
			if err != nil {
				return fmt.Errorf("%s, round %d: %w", m.name, round, err)
			}
			for _, r := range results {
				if err := p.row(out, m.name, round, load, r); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

// take takes one measure in a scene of its own.
func take(ctx context.Context, p *plan, measure func(context.Context, *scene) ([]result, error)) ([]result, error) {
	s, err := newScene(ctx, p)
	if err != nil {
		return nil, err
	}
	results, err := measure(ctx, s)
	return results, errors.Join(err, s.close())
}
