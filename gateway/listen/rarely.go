package listen

import (
	"context"
	"log/slog"
	"sync"
	"time"
)

// A rarely logs once a second at most, and then how often it hasn't.
type rarely struct {
	mu     sync.Mutex // guards what follows
	last   time.Time
	missed int
}

func (r *rarely) log(log *slog.Logger, level slog.Level, msg string, attr slog.Attr) {
	r.mu.Lock()
	now := time.Now()
	if !r.last.IsZero() && now.Sub(r.last) < time.Second {
		r.missed++
		r.mu.Unlock()
		return
	}
	missed := r.missed
	r.last, r.missed = now, 0
	r.mu.Unlock()
	log.LogAttrs(context.Background(), level, msg, attr, slog.Int("unlogged", missed))
}
