//go:build linux

package steady

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"time"
)

// A Crowd comes to a scene, all of it at once.
type Crowd struct {
	Size, More int                              // how many there are to the end, and how many more while it warms up
	Client     func(ctx context.Context, i int) // one of them; it ends soon after ctx
}

// A Record is what a run has seen.
type Record struct {
	Before, After Sample // with nobody there
	Samples       []Sample
}

// Keep keeps the gateway busy for as long as the run says. It returns what it has
// seen also if it fails.
func (s *Scene) Keep(ctx context.Context, r *Run, out io.Writer, crowds ...Crowd) (seen Record, err error) {
	if seen.Before, err = s.gone(); err != nil {
		return seen, err
	}
	busy, stop := context.WithTimeout(ctx, r.For)
	defer stop()
	warming, warm := context.WithTimeout(busy, r.For/warmUp)
	defer warm()
	var clients sync.WaitGroup
	for _, c := range crowds {
		for i := range c.Size + c.More {
			until := busy
			if i >= c.Size {
				until = warming
			}
			clients.Go(func() { c.Client(until, i) })
		}
	}
	seen.Samples, err = s.watch(busy, r.Every, out)
	stop()
	clients.Wait()
	if err == nil {
		seen.After, err = s.left(seen.Before.Files + r.Spare)
	}
	return seen, err
}

// Judge writes and returns what is wrong: what has grown, what is left, and what
// the caller knows of. If nothing is, it writes that all is well.
func (r *Run) Judge(out io.Writer, seen Record, well string, failed []string) error {
	problems := Growth(seen.Samples)
	if seen.After.Files > seen.Before.Files+r.Spare {
		problems = append(problems, fmt.Sprintf("%d descriptors are left, %d were there before", seen.After.Files, seen.Before.Files))
	}
	if problems = append(problems, failed...); len(problems) == 0 {
		_, err := fmt.Fprintf(out, "%s; everybody gone: %v\n", well, seen.After)
		return err
	}
	_, err := fmt.Fprintf(out, "GROWTH OR FAILURE\n%s\neverybody gone: %v\n", strings.Join(problems, "\n"), seen.After)
	return errors.Join(errors.New(strings.Join(problems, "; ")), err)
}

// Pause waits, but no longer than ctx.
func Pause(ctx context.Context, d time.Duration) {
	ctx, cancel := context.WithTimeout(ctx, d)
	defer cancel()
	<-ctx.Done()
}
