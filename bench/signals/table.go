package main

import (
	"cmp"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strings"
	"time"
)

// header writes what the figures are about, and where they come from.
func header(out io.Writer, p *plan) error {
	gateway := "made of the parts of portcullis serve"
	if p.gateway != "" {
		gateway = "portcullis serve"
	}
	_, err := fmt.Fprintf(out, "\n%s\n%d sockets whose right ends, %d others with %d echoes/s; gateway: %s\n%-8s %5s %6s  %-13s %-6s  %s\n",
		machine(), p.sockets, p.others, time.Second/pace, gateway, "measure", "round", "load", "target", "", "figures")
	return err
}

// row writes one result as it came. load is the machine's load average (1 min)
// before the round: what else went on, if it is large in the first one.
func row(out io.Writer, measure string, round int, load string, r result) error {
	verdict := "missed"
	switch {
	case r.target == "":
		verdict = ""
	case r.met:
		verdict = "met"
	}
	_, err := fmt.Fprintf(out, "%-8s %5d %6s  %-13s %-6s  %s\n", measure, round, load, r.target, verdict, r.figures)
	return err
}

// machine says where and when this runs.
func machine() string {
	model := runtime.GOARCH
	for line := range strings.Lines(read("/proc/cpuinfo")) {
		if name, ok := strings.CutPrefix(line, "model name"); ok {
			model = strings.Trim(name, "\t :\n")
			break
		}
	}
	commit := "unknown"
	if out, err := exec.Command("git", "--no-optional-locks", "describe", "--always", "--dirty").Output(); err == nil {
		commit = strings.TrimSpace(string(out))
	}
	return fmt.Sprintf("%s, %d cores, %s %s, %s, %s, commit %s", model, runtime.NumCPU(), runtime.GOOS,
		strings.TrimSpace(read("/proc/sys/kernel/osrelease")), runtime.Version(), time.Now().Format(time.RFC3339), commit)
}

// loadAverage returns that of the last minute.
func loadAverage() string {
	one, _, _ := strings.Cut(read("/proc/loadavg"), " ")
	return cmp.Or(one, "?")
}

// read returns what a file holds; "" if there is no such file.
func read(file string) string {
	raw, _ := os.ReadFile(file)
	return string(raw)
}

// percentile returns the smallest of the times that p of a hundred don't exceed;
// 0 if there are none.
func percentile(times []time.Duration, p int) time.Duration {
	if len(times) == 0 {
		return 0
	}
	sorted := slices.Sorted(slices.Values(times))
	return sorted[(len(sorted)*p+99)/100-1]
}

func ms(d time.Duration) string { return fmt.Sprintf("%.1f ms", float64(d)/float64(time.Millisecond)) }
