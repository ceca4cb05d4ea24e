package main

import (
	"encoding/json"
	"fmt"
	"io"
	"runtime"
	"time"

	"github.com/portcullis-auth/portcullis/bench/internal/gate"
	"github.com/portcullis-auth/portcullis/bench/internal/proc"
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
func (p *plan) row(out io.Writer, measure string, round int, load string, r result) error {
	if p.json {
		return json.NewEncoder(out).Encode(line{measure, round, float64(r.took) / float64(time.Millisecond), r.figures})
	}
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

// A line is a result for other programs to read.
type line struct {
	Measure      string
	Round        int
	Milliseconds float64 // until the last Close; 0: the figures are others
	Figures      string
}

// machine says where and when this runs.
func machine() string {
	return fmt.Sprintf("%s, %d cores, %s %s, %s, %s, commit %s", proc.Processor(), runtime.NumCPU(), runtime.GOOS,
		proc.Kernel(), runtime.Version(), time.Now().Format(time.RFC3339), gate.Commit())
}

func ms(d time.Duration) string { return fmt.Sprintf("%.1f ms", float64(d)/float64(time.Millisecond)) }
