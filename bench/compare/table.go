//go:build linux

package main

import (
	"fmt"
	"io"
	"text/tabwriter"

	"github.com/portcullis-auth/portcullis/bench/report"
)

// printTable prints the medians, for who looks at a terminal.
func printTable(out io.Writer, r *report.Results) error {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', tabwriter.AlignRight)
	for _, t := range r.Targets {
		_, _ = fmt.Fprintf(w, "\t%s", t.ID)
	}
	_, _ = fmt.Fprintln(w, "\t")
	for _, m := range r.Measures {
		_, _ = fmt.Fprintf(w, "%s, %s", m.ID, m.Unit)
		for _, v := range m.Values {
			if v.Missing != "" {
				_, _ = fmt.Fprint(w, "\t–")
			} else {
				_, _ = fmt.Fprintf(w, "\t%.4g", v.Median)
			}
		}
		_, _ = fmt.Fprintln(w, "\t")
	}
	if err := w.Flush(); err != nil {
		return err
	}
	_, err := fmt.Fprintf(out, "\n%s: %s, %d cores, which load, backend and target share, Linux %s, %s; noise: %s\n", r.Date, r.Machine.CPU, r.Machine.Cores, r.Machine.Kernel, r.Machine.Go, r.Noise)
	return err
}
