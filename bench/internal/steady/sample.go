//go:build linux

package steady

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/portcullis-auth/portcullis/bench/internal/child"
	"github.com/portcullis-auth/portcullis/bench/internal/server"
)

// A Sample is what the gateway has at a time.
type Sample struct {
	At         time.Duration // since the start
	Sockets    int           // that the backend has
	Memory     int           // resident, in bytes
	Live       int           // of the heap, at the last collection, in bytes
	Files      int
	Threads    int
	Goroutines int // 0: it doesn't tell
}

func (s Sample) String() string {
	text := fmt.Sprintf("%8s %5d sockets %8d KB %5d MB live %6d descriptors %4d threads",
		s.At.Round(time.Second), s.Sockets, s.Memory>>10, s.Live>>20, s.Files, s.Threads)
	if s.Goroutines > 0 {
		text += fmt.Sprintf(" %6d goroutines", s.Goroutines)
	}
	return text
}

// watch takes and writes samples until ctx is done.
func (s *Scene) watch(ctx context.Context, every time.Duration, out io.Writer) (all []Sample, err error) {
	began, tick := time.Now(), time.NewTicker(every)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return all, nil
		case <-tick.C:
		}
		now, err := s.sample()
		if err != nil {
			return nil, err
		}
		now.At = time.Since(began)
		all = append(all, now)
		if _, err := fmt.Fprintln(out, now); err != nil {
			return nil, err
		}
	}
}

// sample takes a sample, without its time.
func (s *Scene) sample() (now Sample, err error) {
	var n server.Counts
	if err := s.backend.Ask(struct{}{}, &n); err != nil {
		return now, err
	}
	now.Sockets = n.Sockets
	if now.Memory, err = s.group.Memory(); err != nil {
		return now, err
	}
	if now.Live, err = s.Gateway.Live(); err != nil {
		return now, err
	}
	if now.Files, err = s.group.Files(); err != nil {
		return now, err
	}
	if now.Threads, err = s.group.Threads(); err != nil {
		return now, err
	}
	now.Goroutines = s.goroutines()
	return now, nil
}

// Client speaks to a gateway, but for sockets.
var Client = &http.Client{Timeout: child.Patience}

// goroutines returns how many the gateway says it has, if it has metrics.
func (s *Scene) goroutines() (n int) {
	answer, err := Client.Get("http://" + s.Gateway.Admin + "/metrics")
	if err != nil {
		return 0
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	if err != nil || answer.StatusCode != http.StatusOK {
		return 0
	}
	for line := range strings.Lines(string(text)) {
		if value, ok := strings.CutPrefix(line, "go_goroutines "); ok {
			_, _ = fmt.Sscan(value, &n)
		}
	}
	return n
}

// gone waits until the backend has no socket any more, for one sample.
func (s *Scene) gone() (Sample, error) {
	for end := time.Now().Add(child.Patience); ; time.Sleep(10 * time.Millisecond) {
		now, err := s.sample()
		if err != nil || now.Sockets == 0 {
			return now, err
		}
		if time.Now().After(end) {
			return now, fmt.Errorf("%d sockets of the backend are left open", now.Sockets)
		}
	}
}

// kept is how long the gateway may keep a connection for the next request.
const kept = 2 * time.Minute

// left waits until nobody is there any more and there are no more descriptors
// than so many, for a last sample.
func (s *Scene) left(files int) (Sample, error) {
	Client.CloseIdleConnections()
	now, err := s.gone()
	for end := time.Now().Add(kept); err == nil && now.Files > files && time.Now().Before(end); time.Sleep(100 * time.Millisecond) {
		now, err = s.sample()
	}
	return now, err
}
