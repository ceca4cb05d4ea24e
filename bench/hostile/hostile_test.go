//go:build linux

package main

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/portcullis-auth/portcullis/bench/internal/child/childtest"
	"github.com/portcullis-auth/portcullis/bench/internal/steady"
)

// TestMain lets the test's own program be the gateway and what is behind it.
func TestMain(m *testing.M) { childtest.Main(m, steady.Parts, main) }

// L1, promise 1: every attack is made, none succeeds, and the honest are served.
func TestL1Hostile(t *testing.T) {
	defer steady.Client.CloseIdleConnections()
	var out bytes.Buffer
	p := &plan{
		Run:    steady.Run{For: 2 * time.Second, Every: 500 * time.Millisecond, Spare: 100},
		honest: 3, hostile: len(attacks), pace: 20 * time.Millisecond, patient: time.Second,
	}
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
	for _, list := range []map[string]*tally{s.attacks, s.honest} {
		for what, done := range list {
			if done.failed > 0 {
				t.Errorf("%s: %d failed, as %v", what, done.failed, done.first)
			}
		}
	}
	for _, a := range attacks {
		if s.attacks[a.name] == nil {
			t.Errorf("never: %s", a.name)
		}
	}
	for _, what := range []string{"honest call", "honest handshake", "honest echo"} {
		if s.honest[what] == nil {
			t.Errorf("never: %s", what)
		}
	}
	if !strings.Contains(out.String(), "p99") || !strings.Contains(out.String(), " MB live ") {
		t.Errorf("no samples, or no table:\n%s", out.String())
	}
	file := filepath.Join(t.TempDir(), "hostile.svg")
	if err := s.draw(file); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(file); err != nil {
		t.Error(err)
	}
}

// What must not happen is told.
func TestJudge(t *testing.T) {
	s := &scene{plan: &plan{Run: steady.Run{Spare: 1}}, attacks: map[string]*tally{}, honest: map[string]*tally{}}
	judge := func(files int) string {
		s.seen.Before.Files, s.seen.After.Files = 10, files
		err := s.judge(new(bytes.Buffer))
		if err == nil {
			return ""
		}
		return err.Error()
	}
	s.note(s.attacks, "an attack", 0, nil)
	s.note(s.honest, "honest call", time.Millisecond, nil)
	if got := judge(11); got != "" {
		t.Errorf("nothing is wrong, but: %s", got)
	}
	if got := judge(12); !strings.Contains(got, "12 descriptors are left") {
		t.Errorf("descriptors: %q", got)
	}
	s.note(s.attacks, "an attack", 0, errors.New("let in"))
	s.note(s.honest, "honest call", time.Second, errors.New("kept out"))
	if got := judge(11); !strings.Contains(got, "1 failed, as an attack: let in") || !strings.Contains(got, "1 failed, as honest call: kept out") {
		t.Errorf("failures: %q", got)
	}
}
