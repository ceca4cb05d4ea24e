// Command tally reads what "go test -json" writes and prints it as plain go test
// would: one line a package, and the whole output of what failed. It ends with
// one line that counts tests and subtests, fuzz seeds and examples among them:
//
//	412 passed, 0 failed
//
// A package that failed without a failed test (it did not compile, its TestMain
// or the process died, it timed out) counts as one failure. So does input that
// stops in the middle. The exit status is 1 if anything failed or nothing ran.
//
// Usage:
//
//	go test -json ./... | tally [-o file]
//
// With -o the last line is also written to that file.
package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"strings"
)

func main() {
	if err := run(os.Args[1:], os.Stdin, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "tally:", err)
		os.Exit(1)
	}
}

func run(args []string, in io.Reader, out io.Writer) error {
	flags := flag.NewFlagSet("tally", flag.ContinueOnError)
	file := flags.String("o", "", "also write the last line to this `file`")
	if err := flags.Parse(args); err != nil {
		return err
	}
	t := tally{out: out, packages: make(map[string]*result)}
	if err := t.read(in); err != nil {
		return err
	}
	t.finish()
	if t.err != nil {
		return t.err
	}
	if *file != "" {
		if err := os.WriteFile(*file, []byte(t.String()+"\n"), 0o600); err != nil {
			return err
		}
	}
	switch {
	case t.failed > 0:
		return errors.New("there were failures")
	case t.passed == 0:
		return errors.New("no test ran")
	}
	return nil
}

// event is one line of go test -json; see go doc test2json.
type event struct {
	Action     string
	Package    string
	ImportPath string // of build-output and build-fail
	Test       string
	Output     string
}

// result is what is known of a package that has not ended yet.
type result struct {
	output map[string][]string // by test; "" is the package's own
	order  []string            // tests in order of their first event
	failed map[string]bool
}

type tally struct {
	out                     io.Writer
	err                     error // the first error in writing to out
	packages                map[string]*result
	order                   []string // packages in order of their first event
	passed, failed, skipped int
}

// String returns the closing line.
func (t *tally) String() string {
	s := fmt.Sprintf("%d passed, %d failed", t.passed, t.failed)
	if t.skipped > 0 {
		s += fmt.Sprintf(", %d skipped", t.skipped)
	}
	return s
}

func (t *tally) printf(format string, args ...any) {
	if _, err := fmt.Fprintf(t.out, format, args...); err != nil && t.err == nil {
		t.err = err
	}
}

func (t *tally) read(in io.Reader) error {
	r := bufio.NewReader(in)
	for {
		line, err := r.ReadBytes('\n')
		if len(line) > 0 {
			var e event
			if json.Unmarshal(line, &e) == nil && e.Action != "" {
				t.add(e)
			} else {
				t.printf("%s", line)
			}
		}
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

func (t *tally) add(e event) {
	switch e.Action {
	case "build-output":
		t.printf("%s", e.Output)
		return
	case "build-fail":
		return // the packages that needed it say so themselves
	}
	p := t.packages[e.Package]
	if p == nil {
		p = &result{output: make(map[string][]string), failed: make(map[string]bool)}
		t.packages[e.Package] = p
		t.order = append(t.order, e.Package)
	}
	if e.Action == "output" {
		if _, ok := p.output[e.Test]; !ok {
			p.order = append(p.order, e.Test)
		}
		p.output[e.Test] = append(p.output[e.Test], e.Output)
		return
	}
	if e.Test == "" {
		switch e.Action {
		case "pass", "skip", "fail":
			t.end(e.Package, p, e.Action == "fail")
		}
		return
	}
	switch e.Action {
	case "pass":
		t.passed++
		delete(p.output, e.Test)
	case "skip":
		// Kept and shown: nothing here is skipped in silence.
		t.skipped++
	case "fail":
		t.failed++
		p.failed[e.Test] = true
	}
}

// end prints what is left of a package that has ended.
func (t *tally) end(name string, p *result, failed bool) {
	if failed && len(p.failed) == 0 {
		t.failed++
	}
	for _, test := range p.order {
		if test == "" {
			continue
		}
		lines := p.output[test]
		// The verdict comes last; a reader wants it first.
		for _, verdict := range []bool{true, false} {
			for _, line := range lines {
				if isVerdict(line) == verdict && !isProgress(line) {
					t.printf("%s", line)
				}
			}
		}
	}
	for _, line := range p.output[""] {
		if failed || strings.HasPrefix(line, "ok  \t") || strings.HasPrefix(line, "?   \t") {
			t.printf("%s", line)
		}
	}
	delete(t.packages, name)
}

// isProgress reports whether a line only says which test goes on now; go test
// prints such lines with -v alone.
func isProgress(line string) bool {
	return strings.HasPrefix(line, "=== ")
}

// isVerdict reports whether a line says how a test ended.
func isVerdict(line string) bool {
	return strings.HasPrefix(strings.TrimLeft(line, " "), "--- ")
}

// finish accounts for the packages that never ended and prints the closing line.
func (t *tally) finish() {
	for _, name := range t.order {
		if p := t.packages[name]; p != nil {
			p.failed = nil
			t.end(name, p, true)
			t.printf("FAIL\t%s [output ends here]\n", name)
		}
	}
	t.printf("%s\n", t)
}
