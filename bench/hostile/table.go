//go:build linux

package main

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"time"

	"github.com/portcullis-auth/portcullis/bench/internal/stat"
)

// table writes one line for each thing that was done, and returns what went
// wrong.
func table(out io.Writer, list map[string]*tally) (problems []string) {
	for _, what := range slices.Sorted(maps.Keys(list)) {
		t := list[what]
		_, _ = fmt.Fprintf(out, "%8d x %s, %d failed", t.times, what, t.failed)
		if len(t.took) > 0 {
			_, _ = fmt.Fprintf(out, "; p50 %v, p99 %v, longest %v", round(t.took, 50), round(t.took, 99), round(t.took, 100))
		}
		_, _ = fmt.Fprintln(out)
		if t.failed > 0 {
			problems = append(problems, fmt.Sprintf("%d failed, as %v", t.failed, t.first))
		}
	}
	return problems
}

func round(took []time.Duration, p int) time.Duration {
	return stat.Quantile(took, p).Round(10 * time.Microsecond)
}
