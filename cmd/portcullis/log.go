package main

import (
	"context"
	"fmt"
	"log/slog"
)

func newLog(s system, format string) (*slog.Logger, error) {
	switch format {
	case "json":
		return slog.New(slog.NewJSONHandler(s.err, nil)), nil
	case "text":
		return slog.New(slog.NewTextHandler(s.err, nil)), nil
	}
	return nil, fmt.Errorf("no log format %q: write json or text", format)
}

// level returns the level of that name.
func level(name string) (slog.Level, error) {
	switch name {
	case "info":
		return slog.LevelInfo, nil
	case "warn":
		return slog.LevelWarn, nil
	case "error":
		return slog.LevelError, nil
	}
	return 0, fmt.Errorf("no log level %q: write info, warn or error", name)
}

// atLeast handles what is of a level at least, and nothing else.
type atLeast struct {
	slog.Handler
	level slog.Level
}

func (h atLeast) Enabled(ctx context.Context, level slog.Level) bool {
	return level >= h.level && h.Handler.Enabled(ctx, level)
}

func (h atLeast) WithAttrs(attrs []slog.Attr) slog.Handler {
	return atLeast{h.Handler.WithAttrs(attrs), h.level}
}

func (h atLeast) WithGroup(name string) slog.Handler {
	return atLeast{h.Handler.WithGroup(name), h.level}
}
