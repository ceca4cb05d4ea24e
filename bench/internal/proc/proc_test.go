//go:build linux

package proc_test

import (
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/portcullis-auth/portcullis/bench/internal/proc"
)

func TestParseStat(t *testing.T) {
	for _, test := range []struct {
		name, text, state string
		pid, group        int
		wrong             bool
	}{
		{"plain", "7 (nginx) S 1 5 5 0 -1 4194560", "S", 7, 5, false},
		{"a name with everything", "42 (a) Z 9 (b) ) R 1 42 1 0", "R", 42, 42, false},
		{"no name", "7 nginx S 1 5", "", 0, 0, true},
		{"short", "7 (x) S 1", "", 0, 0, true},
		{"no number", "7 (x) S 1 five 5", "", 0, 0, true},
		{"nothing", "", "", 0, 0, true},
	} {
		pid, group, state, err := proc.ParseStat(test.text)
		if (err != nil) != test.wrong {
			t.Errorf("%s: error %v", test.name, err)
		}
		if err == nil && (pid != test.pid || group != test.group || state != test.state) {
			t.Errorf("%s: %d, group %d, %s", test.name, pid, group, state)
		}
	}
}

func TestParseField(t *testing.T) {
	const rollup = "00400000-7fff ---p 00000000 00:00 0   [rollup]\nRss:    1234 kB\nPss:     567 kB\nPss_Dirty: 89 kB\n"
	if got, err := proc.ParseField(rollup, "Pss:"); got != 567 || err != nil {
		t.Errorf("Pss: %d, %v", got, err)
	}
	for _, field := range []string{"Pss", "Swap:", "00400000-7fff"} {
		if got, err := proc.ParseField(rollup, field); err == nil {
			t.Errorf("%s: %d", field, got)
		}
	}
}

func TestParseTimes(t *testing.T) {
	got := proc.ParseTimes("cpu  100 0 50 800 10 0 5 35 7 0\ncpu0 1 2 3 4 5 6 7 8 9 10\n")
	if diff := cmp.Diff(proc.Times{All: 10 * time.Second, Stole: 350 * time.Millisecond}, got); diff != "" {
		t.Error(diff)
	}
	if got := proc.ParseTimes(""); got != (proc.Times{}) {
		t.Errorf("of nothing: %v", got)
	}
}

// The clock of a process says what /proc/PID/stat does, in finer units.
func TestCPU(t *testing.T) {
	self := proc.Group{os.Getpid()}
	for began := time.Now(); time.Since(began) < 200*time.Millisecond; { // some work
		_ = strings.Repeat("x", 1000)
	}
	ticks := func() time.Duration {
		raw, err := os.ReadFile("/proc/self/stat")
		if err != nil {
			t.Fatal(err)
		}
		f := strings.Fields(string(raw[strings.LastIndexByte(string(raw), ')')+1:]))
		user, _ := strconv.Atoi(f[11])
		system, _ := strconv.Atoi(f[12])
		return time.Duration(user+system) * 10 * time.Millisecond
	}
	before := ticks()
	used, err := self.CPU()
	if err != nil {
		t.Fatal(err)
	}
	const rounding = 20 * time.Millisecond // of two figures in ticks
	if after := ticks(); used < before-rounding || used > after+rounding {
		t.Errorf("%v, but /proc/self/stat had %v before and %v after", used, before, after)
	}
}

// A group is a process and what it has started, and nobody else.
func TestGroup(t *testing.T) {
	cmd := exec.Command("sh", "-c", "sleep 60 & echo; sleep 60 & wait")
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() {
		_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
		_ = cmd.Wait()
	}()
	if _, err := out.Read(make([]byte, 1)); err != nil {
		t.Fatal(err)
	}
	g, err := proc.NewGroup(cmd.Process.Pid)
	if err != nil {
		t.Fatal(err)
	}
	if len(g) < 2 || len(g) > 3 {
		t.Errorf("%d processes, want the shell and its sleepers", len(g))
	}
	for _, measure := range []func() (int, error){g.Memory, g.Threads, g.Files} {
		if n, err := measure(); err != nil || n < len(g) {
			t.Errorf("%d, %v", n, err)
		}
	}
	if _, err := proc.NewGroup(1 << 30); err == nil {
		t.Error("a group that isn't there")
	}
	if _, err := (proc.Group{1 << 22}).CPU(); err == nil {
		t.Error("the CPU time of a process that isn't there")
	}
}
