package main

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"time"

	"github.com/portcullis-auth/portcullis/bench/internal/proc"
)

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
	gateway, backend, client := cpu(s.gateway.PID()), cpu(s.backend.PID()), cpu(os.Getpid())
	return func() (string, error) {
		used := fmt.Sprintf("gateway %v, backend %v, client %v",
			cpu(s.gateway.PID())-gateway, cpu(s.backend.PID())-backend, cpu(os.Getpid())-client)
		return used, <-profiled
	}
}

// cpu returns the time that a process has used, or 0 where that isn't known.
func cpu(pid int) time.Duration {
	used, _ := proc.Group{pid}.CPU()
	return used.Round(time.Millisecond)
}

func (s *scene) profile(ctx context.Context) error {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+s.gateway.Admin+"/debug/pprof/profile?seconds=2", nil)
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
