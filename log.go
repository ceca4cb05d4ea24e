package portcullis

import (
	"context"
	"log/slog"
	"net/http"
	"time"
)

func (g *Guard) log(ctx context.Context, message string, attrs ...slog.Attr) {
	if g.Log != nil {
		g.Log.LogAttrs(ctx, slog.LevelInfo, message, attrs...)
	}
}

// logs reports whether anybody wants to know: a record costs more than the check.
func (g *Guard) logs() bool {
	return g.Log != nil && g.Log.Enabled(context.Background(), slog.LevelInfo)
}

func (g *Guard) logRefused(r *http.Request, err error) {
	if !g.logs() {
		return
	}
	g.log(r.Context(), "refused", append(where(r), slog.String("why", err.Error()))...)
}

func (g *Guard) logOpened(s *Session) {
	if !g.logs() {
		return
	}
	r := s.Request()
	g.log(r.Context(), "socket opened", append(where(r), who(s)...)...)
}

func (g *Guard) logRenewed(s *Session) {
	if !g.logs() {
		return
	}
	r := s.Request()
	g.log(r.Context(), "session renewed", append(where(r), who(s)...)...)
}

func (g *Guard) logClosed(s *Session, cause error) {
	if !g.logs() {
		return
	}
	why := "closed"
	if cause != nil {
		why = cause.Error()
	}
	r := s.Request()
	attrs := append(where(r), who(s)...)
	what := "request ended"
	if s.upgrade {
		what = "socket ended"
	}
	g.log(r.Context(), what, append(attrs,
		slog.String("why", why), slog.Duration("after", time.Since(s.opened)))...)
}

// where says what was asked for. The query is left out: others put secrets there too.
func where(r *http.Request) []slog.Attr {
	return []slog.Attr{
		slog.String("method", r.Method), slog.String("host", r.Host),
		slog.String("path", r.URL.Path), slog.String("remote", r.RemoteAddr),
	}
}

func who(s *Session) []slog.Attr {
	id := s.Identity()
	return []slog.Attr{
		slog.String("session", s.Handle()), slog.String("iss", id.Issuer),
		slog.String("sub", id.Subject), slog.String("sid", id.SessionID),
	}
}
