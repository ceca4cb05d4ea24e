package main

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/portcullis-auth/portcullis/bench/internal/child"
	"github.com/portcullis-auth/portcullis/bench/internal/child/childtest"
)

// TestMain lets the test's own program be the gateway and the backend.
func TestMain(m *testing.M) { childtest.Main(m, parts, main) }

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
			p := &plan{sockets: 50, others: 5, revokes: 5, rounds: 1, before: 100 * time.Millisecond, grace: child.Patience, only: m.name}
			if err := measure(t.Context(), p, &out); err != nil {
				t.Fatal(err)
			}
			if table := out.String(); !strings.Contains(table, m.figures) {
				t.Errorf("%q is not in the table:\n%s", m.figures, table)
			}
		})
	}
}

// Other programs get the time of a revocation as JSON.
func TestJSON(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	p := &plan{sockets: 10, others: 1, revokes: 1, rounds: 1, before: time.Millisecond, grace: child.Patience, only: "subject", json: true}
	if err := measure(t.Context(), p, &out); err != nil {
		t.Fatal(err)
	}
	var first line
	if err := json.NewDecoder(&out).Decode(&first); err != nil || first.Measure != "subject" || first.Milliseconds <= 0 {
		t.Errorf("%+v, %v", first, err)
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
