// Package proc says what processes use, as the kernel has it in proc(5). Where there is no
// /proc, it says so, or nothing.
package proc

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// Group are the processes of a process group: a target, and the workers that it
// has made. Those that come later aren't in it.
type Group []int

// NewGroup returns the processes that are in the group now, at least one.
func NewGroup(id int) (g Group, err error) {
	dirs, err := filepath.Glob("/proc/[0-9]*/stat")
	if err != nil {
		return nil, err
	}
	for _, name := range dirs {
		raw, err := os.ReadFile(name)
		if err != nil { // it has ended meanwhile
			continue
		}
		s, err := parseStat(string(raw))
		if err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		if s.group == id && s.state != "Z" {
			g = append(g, s.pid)
		}
	}
	if len(g) == 0 {
		return nil, fmt.Errorf("process group %d is empty", id)
	}
	return g, nil
}

// stat is a part of /proc/PID/stat.
type stat struct {
	pid, group int
	state      string
}

func parseStat(text string) (s stat, err error) {
	// The name stands in parentheses, and may hold any of them, and spaces.
	open, shut := strings.IndexByte(text, '('), strings.LastIndexByte(text, ')')
	if open < 0 || shut < open {
		return s, errors.New("no name in it")
	}
	f := strings.Fields(text[shut+1:])
	if len(f) < 3 {
		return s, errors.New("it is short")
	}
	pid, err1 := strconv.Atoi(strings.TrimSpace(text[:open]))
	group, err2 := strconv.Atoi(f[2])
	return stat{pid, group, f[0]}, errors.Join(err1, err2)
}

// Memory returns how many bytes the group keeps resident: what it shares with
// others counts for its part (PSS). What the kernel keeps for its sockets is not
// in it.
func (g Group) Memory() (bytes int, err error) {
	return g.sum("smaps_rollup", "Pss:", 1024)
}

// Threads returns how many threads the group has.
func (g Group) Threads() (int, error) { return g.sum("status", "Threads:", 1) }

func (g Group) sum(file, field string, unit int) (total int, err error) {
	for _, pid := range g {
		raw, err := os.ReadFile(fmt.Sprintf("/proc/%d/%s", pid, file))
		if err != nil {
			return 0, err
		}
		n, err := parseField(string(raw), field)
		if err != nil {
			return 0, fmt.Errorf("/proc/%d/%s: %w", pid, file, err)
		}
		total += n * unit
	}
	return total, nil
}

// parseField returns the number in the line that begins with the field's name.
func parseField(text, field string) (int, error) {
	for line := range strings.Lines(text) {
		if f := strings.Fields(line); len(f) > 1 && f[0] == field {
			return strconv.Atoi(f[1])
		}
	}
	return 0, fmt.Errorf("no field %q", field)
}

// Files returns how many descriptors the group has open.
func (g Group) Files() (total int, err error) {
	for _, pid := range g {
		list, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", pid))
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return 0, err
		}
		total += len(list)
	}
	return total, nil
}
