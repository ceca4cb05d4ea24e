//go:build linux

package steady

import (
	"fmt"

	"github.com/portcullis-auth/portcullis/bench/internal/stat"
)

// warmUp is the part of the samples that Growth leaves out: caches fill. Who has
// clients should have twice as many of them then. The heap's pages are touched
// only when there is garbage enough, and what was once touched stays resident.
const warmUp = 5

// Growth says what has grown: the median of the second half of the samples is
// above that of the first by more than chance explains. The first 1/warmUp of all
// is left out.
func Growth(all []Sample) (problems []string) {
	all = all[len(all)/warmUp:]
	half := len(all) / 2
	if half == 0 {
		return nil
	}
	for _, g := range []struct {
		what  string
		of    func(Sample) int
		slack float64 // beside five percent
	}{
		{"bytes of memory", func(s Sample) int { return s.Memory }, 2 << 20},
		{"bytes of live heap", func(s Sample) int { return s.Live }, 1 << 20},
		{"descriptors", func(s Sample) int { return s.Files }, 30},
		{"threads", func(s Sample) int { return s.Threads }, 3},
		{"goroutines", func(s Sample) int { return s.Goroutines }, 30},
	} {
		median := func(part []Sample) float64 {
			var f []float64
			for _, s := range part {
				f = append(f, float64(g.of(s)))
			}
			return stat.Median(f)
		}
		first, last := median(all[:half]), median(all[len(all)-half:])
		if last > first*1.05+g.slack {
			problems = append(problems, fmt.Sprintf("%s grew from %.0f to %.0f", g.what, first, last))
		}
	}
	return problems
}
