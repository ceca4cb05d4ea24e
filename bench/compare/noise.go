//go:build linux

package main

import (
	"crypto/sha256"
	"fmt"
	"time"

	"github.com/portcullis-auth/portcullis/bench/internal/proc"
	"github.com/portcullis-auth/portcullis/bench/internal/stat"
)

// noise is how long the same work takes, again and again in the run, while
// nothing is measured.
type noise struct {
	took  []float64 // in ms
	start proc.Times
}

func newNoise() *noise { return &noise{start: proc.Now()} }

// sample does the work: thirty milliseconds or so.
func (n *noise) sample() {
	var block [64 << 10]byte
	began := time.Now()
	for range 400 {
		sum := sha256.Sum256(block[:])
		copy(block[:], sum[:])
	}
	n.took = append(n.took, float64(time.Since(began))/float64(time.Millisecond))
}

func (n *noise) String() string {
	middle := stat.Median(n.took)
	if middle == 0 {
		return "not measured"
	}
	off := func(p int) float64 { return 100 * (stat.Quantile(n.took, p)/middle - 1) }
	now := proc.Now()
	stolen := 100 * float64(now.Stole-n.start.Stole) / float64(max(1, now.All-n.start.All))
	return fmt.Sprintf("a fixed loop of %.1f ms, taken %d times in the run: 5%% of them faster by %.1f%% or more, 5%% slower by %.1f%% or more, the slowest by %.1f%%; the hypervisor took %.1f%% of the time",
		middle, len(n.took), -off(5), off(95), off(100), stolen)
}
