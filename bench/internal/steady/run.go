//go:build linux

package steady

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"time"

	"github.com/portcullis-auth/portcullis/bench/internal/gate"
	"github.com/portcullis-auth/portcullis/bench/internal/proc"
)

// A Run is what the command line says of a long run.
type Run struct {
	Name    string        // of the program
	For     time.Duration // how long it lasts
	Every   time.Duration // the time between two samples
	Spare   int           // descriptors that may be left in the end, beside those before
	Gateway string        // a portcullis binary; "": this program
	results string        // a directory; "": none
}

// Flags defines the flags of the run. The fields that are set are the defaults.
func (r *Run) Flags(f *flag.FlagSet) {
	f.DurationVar(&r.For, "for", r.For, "how long")
	f.DurationVar(&r.Every, "every", r.Every, "the time between two samples")
	f.StringVar(&r.Gateway, "gateway", "", "the portcullis `binary`, in place of one that is built")
	f.StringVar(&r.results, "o", "", "`directory` of the results file to append to")
}

// Do builds the gateway if none was named, and calls do with where to write what
// is seen, which begins with the machine.
func (r *Run) Do(ctx context.Context, about string, do func(out io.Writer) error) (err error) {
	if r.For <= 0 || r.Every <= 0 {
		return errors.New("these flags make no sense together; see -help")
	}
	if r.Gateway == "" {
		bin, err := os.MkdirTemp("", "steady-")
		if err != nil {
			return err
		}
		defer func() { _ = os.RemoveAll(bin) }()
		if r.Gateway, err = gate.Build(ctx, bin); err != nil {
			return err
		}
	}
	var out io.Writer = os.Stdout
	if r.results != "" {
		if err := os.MkdirAll(r.results, 0o755); err != nil { //nolint:gosec // to be read by everybody
			return err
		}
		name := filepath.Join(r.results, r.Name+time.Now().Format("-2006-01-02.txt"))
		file, err := os.OpenFile(name, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o644) //nolint:gosec // to be read by everybody
		if err != nil {
			return err
		}
		defer func() { err = errors.Join(err, file.Close()) }()
		out = io.MultiWriter(os.Stdout, file)
	}
	if _, err := fmt.Fprintf(out, "\n%s, %d cores, Linux %s, %s, %s; %v, %s\n", proc.Processor(), runtime.NumCPU(),
		proc.Kernel(), runtime.Version(), time.Now().Format(time.RFC3339), r.For, about); err != nil {
		return err
	}
	return do(out)
}
