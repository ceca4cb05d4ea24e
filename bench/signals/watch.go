package main

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"strconv"
	"strings"
	"time"
)

// tick is the unit of CPU times in /proc, on every Linux that Go runs on.
const tick = 10 * time.Millisecond

// watch begins to look at what the processes use; stop says it. It profiles the
// gateway for two seconds too, if the plan says so.
func (s *scene) watch(ctx context.Context) (stop func() (string, error)) {
	profiled := make(chan error, 1)
	if s.plan.profile == "" {
		profiled <- nil
	} else {
		go func() { profiled <- s.profile(ctx) }()
		pause(ctx, 200*time.Millisecond) // it takes a moment to begin
	}
	gateway, backend, client := cpu(s.gateway.cmd.Process.Pid), cpu(s.backend.cmd.Process.Pid), cpu(os.Getpid())
	return func() (string, error) {
		used := fmt.Sprintf("gateway %v, backend %v, client %v",
			cpu(s.gateway.cmd.Process.Pid)-gateway, cpu(s.backend.cmd.Process.Pid)-backend, cpu(os.Getpid())-client)
		return used, <-profiled
	}
}

// cpu returns the time that a process has used, or 0 where there is no /proc.
func cpu(pid int) time.Duration {
	_, stat, _ := strings.Cut(read(fmt.Sprintf("/proc/%d/stat", pid)), ") ")
	fields := strings.Fields(stat)
	if len(fields) < 13 {
		return 0
	}
	user, _ := strconv.Atoi(fields[11]) // proc(5): utime, stime
	system, _ := strconv.Atoi(fields[12])
	return time.Duration(user+system) * tick
}

func (s *scene) profile(ctx context.Context) error {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+s.admin+"/debug/pprof/profile?seconds=2", nil)
	if err != nil {
		return err
	}
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	raw, err := io.ReadAll(answer.Body)
	if err != nil {
		return err
	}
	return os.WriteFile(s.plan.profile, raw, 0o600)
}
