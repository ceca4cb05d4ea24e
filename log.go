package portcullis

import (
	"context"
	"log/slog"
	"time"
)

func (g *Guard) log(ctx context.Context, message string, attrs ...slog.Attr) {
	if g.Log != nil {
		g.Log.LogAttrs(ctx, slog.LevelInfo, message, attrs...)
	}
}

// record logs what happens to a session: one record for each refusal, opening,
// renewal and end (A1). Why, and what else there is to say, comes last.
func (g *Guard) record(s *Session, what string, more ...slog.Attr) {
	// A record costs more than the check: nobody may want to know.
	if g.Log == nil || !g.Log.Enabled(context.Background(), slog.LevelInfo) {
		return
	}
	r := s.Request()
	attrs := make([]slog.Attr, 0, 16)
	if name := s.Policy().Name; name != "" {
		attrs = append(attrs, slog.String("route", name))
	}
	attrs = append(attrs, // without the query: others put secrets there too
		slog.String("method", r.Method), slog.String("host", r.Host),
		slog.String("path", r.URL.Path), slog.String("remote", r.RemoteAddr))
	if id := s.Identity(); id != nil {
		attrs = append(attrs,
			slog.String("session", s.Handle()), slog.String("iss", id.Issuer),
			slog.String("sub", id.Subject), slog.String("sid", id.SessionID))
	}
	g.log(r.Context(), what, append(attrs, more...)...)
}

func (g *Guard) logRefused(s *Session, err error) {
	g.record(s, "refused", slog.String("why", err.Error()))
}

func (g *Guard) logClosed(s *Session, cause error, more []slog.Attr) {
	why := "closed"
	if cause != nil {
		why = cause.Error()
	}
	what := "request ended"
	if s.upgrade {
		what = "socket ended"
	}
	g.record(s, what, append([]slog.Attr{slog.String("why", why), slog.Duration("after", time.Since(s.opened))}, more...)...)
}
