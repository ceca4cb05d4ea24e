//go:build linux

package main

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"github.com/portcullis-auth/portcullis/bench/internal/child/childtest"
	"github.com/portcullis-auth/portcullis/bench/internal/steady"
)

// TestMain lets the test's own program be the gateway and what is behind it.
func TestMain(m *testing.M) { childtest.Main(m, steady.Parts, main) }

// R1, R2: whatever the cause, every visit ends as it must, and nothing is left.
func TestR1R2Soak(t *testing.T) {
	defer steady.Client.CloseIdleConnections()
	var out bytes.Buffer
	p := &plan{Run: steady.Run{For: 2 * time.Second, Every: 500 * time.Millisecond, Spare: 100}, stay: 200 * time.Millisecond, clients: 2 * len(causes)}
	s, err := newScene(t.Context(), p)
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := s.Close(); err != nil {
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
	if !strings.Contains(out.String(), " MB live ") {
		t.Errorf("no samples:\n%s", out.String())
	}
}
