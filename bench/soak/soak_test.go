//go:build linux

package main

import (
	"bytes"
	"os"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"
)

// TestMain lets the test's own program be the gateway and what is behind it.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 && parts[os.Args[1]] != nil {
		main()
		return
	}
	_ = os.Setenv("GORACE", "atexit_sleep_ms=0") // else each child takes a second to end
	goleak.VerifyTestMain(m)
}

// R1, R2: whatever the cause, every visit ends as it must, and nothing is left.
func TestR1R2Soak(t *testing.T) {
	defer client.CloseIdleConnections()
	var out bytes.Buffer
	p := &plan{last: 2 * time.Second, every: 500 * time.Millisecond, stay: 200 * time.Millisecond, clients: 2 * len(causes), spare: 100}
	s, err := newScene(t.Context(), p)
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := s.close(); err != nil {
			t.Error(err)
		}
	}()
	// So short a time says nothing of growth.
	if err := s.run(t.Context(), &out); err != nil && !strings.Contains(err.Error(), " grew from ") {
		t.Fatalf("%v\n%s", err, out.String())
	}
	if len(s.failed) > 0 {
		t.Error(s.failed)
	}
	for _, c := range causes {
		if s.ends[c.name] == 0 {
			t.Errorf("never: %s", c.name)
		}
	}
	if !strings.Contains(out.String(), " descriptors ") {
		t.Errorf("no samples:\n%s", out.String())
	}
}

func TestGrowth(t *testing.T) {
	steady := func(i int) sample {
		return sample{memory: 50<<20 + i%3<<20, files: 400 + i%7, threads: 9, goroutines: 1000}
	}
	for _, test := range []struct {
		name string
		n    int
		at   func(i int) sample
		want string // "": no growth
	}{
		{"none", 0, steady, ""},
		{"one", 1, steady, ""},
		{"steady", 120, steady, ""},
		{"a start", 120, func(i int) sample {
			s := steady(i)
			s.memory -= max(0, 40-i) << 20
			return s
		}, ""},
		{"shrinks", 120, func(i int) sample { return sample{files: 1000 - i} }, ""},
		{"memory", 120, func(i int) sample {
			s := steady(i)
			s.memory += i << 17 // 7.5 MB of 50 between the halves
			return s
		}, "bytes of memory grew from "},
		{"descriptors", 120, func(i int) sample { return sample{files: 400 + i*2} }, "descriptors grew from "},
		{"threads", 120, func(i int) sample { return sample{threads: 9 + i/8} }, "threads grew from "},
		{"goroutines", 120, func(i int) sample { return sample{goroutines: 1000 + i*4} }, "goroutines grew from "},
	} {
		var all []sample
		for i := range test.n {
			all = append(all, test.at(i))
		}
		got := strings.Join(growth(all), "; ")
		if (got == "") != (test.want == "") || !strings.HasPrefix(got, test.want) {
			t.Errorf("%s: %q, want %q", test.name, got, test.want)
		}
	}
}
