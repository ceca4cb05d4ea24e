package main

import (
	"bytes"
	"os"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"
)

// TestMain lets the test's own program be the gateway and the backend.
func TestMain(m *testing.M) {
	if _, ok := role(os.Args[1:]); ok {
		main()
		return
	}
	_ = os.Setenv("GORACE", "atexit_sleep_ms=0") // else each child takes a second to end
	goleak.VerifyTestMain(m)
}

// R1, R2: every signal ends the sockets that it is for, and no other, with a
// Close frame of the right code on both sides. No time is tested here.
func TestR1R2Signals(t *testing.T) {
	for _, m := range []struct{ name, figures string }{
		{"one", "5 revocations, each until its last Close: "},
		{"subject", " 0 cut without Close"},
		{"expiry", " 0 cut without Close"},
	} {
		t.Run(m.name, func(t *testing.T) {
			t.Parallel()
			var out bytes.Buffer
			p := &plan{sockets: 50, others: 5, revokes: 5, rounds: 1, before: 100 * time.Millisecond, grace: patience, only: m.name}
			if err := measure(t.Context(), p, &out); err != nil {
				t.Fatal(err)
			}
			if table := out.String(); !strings.Contains(table, m.figures) {
				t.Errorf("%q is not in the table:\n%s", m.figures, table)
			}
		})
	}
}

func TestPercentile(t *testing.T) {
	times := make([]time.Duration, 200)
	for i := range times {
		times[i] = time.Duration(200 - i) // 1 to 200, not in order
	}
	for _, test := range []struct {
		name  string
		times []time.Duration
		p     int
		want  time.Duration
	}{
		{"half", times, 50, 100},
		{"two are worse", times, 99, 198},
		{"longest", times, 100, 200},
		{"of one", times[:1], 99, 200},
		{"of none", nil, 99, 0},
	} {
		if got := percentile(test.times, test.p); got != test.want {
			t.Errorf("%s: %d, want %d", test.name, got, test.want)
		}
	}
}

func TestLater(t *testing.T) {
	early, late := time.Unix(1, 0), time.Unix(2, 0)
	for _, pair := range [][2]time.Time{{early, late}, {late, early}, {late, {}}, {late, late}} {
		if got := later(pair[0], pair[1]); !got.Equal(late) {
			t.Errorf("of %v: %v", pair, got)
		}
	}
}
