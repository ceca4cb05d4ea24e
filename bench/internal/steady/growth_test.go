//go:build linux

package steady_test

import (
	"strings"
	"testing"

	"github.com/portcullis-auth/portcullis/bench/internal/steady"
)

func TestGrowth(t *testing.T) {
	steadily := func(i int) steady.Sample {
		return steady.Sample{Memory: 50<<20 + i%3<<20, Live: 18<<20 + i%2<<20, Files: 400 + i%7, Threads: 9, Goroutines: 1000}
	}
	for _, test := range []struct {
		name string
		n    int
		at   func(i int) steady.Sample
		want string // "": no growth
	}{
		{"none", 0, steadily, ""},
		{"one", 1, steadily, ""},
		{"steady", 120, steadily, ""},
		{"a start", 120, func(i int) steady.Sample {
			s := steadily(i)
			s.Memory -= max(0, 40-i) << 20
			return s
		}, ""},
		{"shrinks", 120, func(i int) steady.Sample { return steady.Sample{Files: 1000 - i} }, ""},
		{"memory", 120, func(i int) steady.Sample {
			s := steadily(i)
			s.Memory += i << 17 // 7.5 MB of 50 between the halves
			return s
		}, "bytes of memory grew from "},
		{"live heap", 120, func(i int) steady.Sample {
			s := steadily(i)
			s.Live += i << 16 // 3 MB of 18 between the halves
			return s
		}, "bytes of live heap grew from "},
		{"a little live heap", 120, func(i int) steady.Sample { return steady.Sample{Live: 18<<20 + i/100<<20} }, ""},
		{"descriptors", 120, func(i int) steady.Sample { return steady.Sample{Files: 400 + i*2} }, "descriptors grew from "},
		{"threads", 120, func(i int) steady.Sample { return steady.Sample{Threads: 9 + i/8} }, "threads grew from "},
		{"goroutines", 120, func(i int) steady.Sample { return steady.Sample{Goroutines: 1000 + i*4} }, "goroutines grew from "},
	} {
		var all []steady.Sample
		for i := range test.n {
			all = append(all, test.at(i))
		}
		got := strings.Join(steady.Growth(all), "; ")
		if (got == "") != (test.want == "") || !strings.HasPrefix(got, test.want) {
			t.Errorf("%s: %q, want %q", test.name, got, test.want)
		}
	}
}
