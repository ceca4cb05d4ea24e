//go:build linux

package main

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/portcullis-auth/portcullis/bench/internal/server"
	"github.com/portcullis-auth/portcullis/bench/internal/stat"
)

// A sample is what the gateway has at a time.
type sample struct {
	at         time.Duration // since the start
	sockets    int           // that the backend has
	memory     int           // bytes
	files      int
	threads    int
	goroutines int // 0: it doesn't tell
}

func (s sample) String() string {
	text := fmt.Sprintf("%8s %5d sockets %8d KB %6d descriptors %4d threads", s.at.Round(time.Second), s.sockets, s.memory>>10, s.files, s.threads)
	if s.goroutines > 0 {
		text += fmt.Sprintf(" %6d goroutines", s.goroutines)
	}
	return text
}

// watch takes and writes samples until ctx is done.
func (s *scene) watch(ctx context.Context, out io.Writer) (all []sample, err error) {
	began, tick := time.Now(), time.NewTicker(s.plan.every)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return all, nil
		case <-tick.C:
		}
		now, err := s.sample()
		if err != nil {
			return nil, err
		}
		now.at = time.Since(began)
		all = append(all, now)
		if _, err := fmt.Fprintln(out, now); err != nil {
			return nil, err
		}
	}
}

func (s *scene) sample() (now sample, err error) {
	var n server.Counts
	if err := s.backend.Ask(struct{}{}, &n); err != nil {
		return now, err
	}
	now.sockets = n.Sockets
	if now.memory, err = s.group.Memory(); err != nil {
		return now, err
	}
	if now.files, err = s.group.Files(); err != nil {
		return now, err
	}
	if now.threads, err = s.group.Threads(); err != nil {
		return now, err
	}
	now.goroutines = s.goroutines()
	return now, nil
}

// goroutines returns how many the gateway says it has, if it has metrics.
func (s *scene) goroutines() (n int) {
	answer, err := client.Get("http://" + s.gateway.Admin + "/metrics")
	if err != nil {
		return 0
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	if err != nil || answer.StatusCode != http.StatusOK {
		return 0
	}
	for line := range strings.Lines(string(text)) {
		if value, ok := strings.CutPrefix(line, "go_goroutines "); ok {
			_, _ = fmt.Sscan(value, &n)
		}
	}
	return n
}

// client speaks to the gateway, but for sockets.
var client = &http.Client{Timeout: 30 * time.Second}

// growth says what has grown: the median of the second half of the samples is
// above that of the first by more than chance explains. The first fifth of all
// is left out: caches fill.
func growth(all []sample) (problems []string) {
	all = all[len(all)/5:]
	half := len(all) / 2
	if half == 0 {
		return nil
	}
	for _, g := range []struct {
		what  string
		of    func(sample) int
		slack float64 // beside five percent
	}{
		{"bytes of memory", func(s sample) int { return s.memory }, 2 << 20},
		{"descriptors", func(s sample) int { return s.files }, 30},
		{"threads", func(s sample) int { return s.threads }, 3},
		{"goroutines", func(s sample) int { return s.goroutines }, 30},
	} {
		median := func(part []sample) float64 {
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
