package gateway

import (
	"context"
	"log/slog"
	"net/http"
	"time"

	"github.com/portcullis-auth/portcullis"
)

// sampled reports whether the request is one of those that are logged.
func (g *gate) sampled() bool {
	each := uint64(g.config.AccessLog)
	return each > 0 && g.requests.Add(1)%each == 0
}

// An access is what is logged of a request.
type access struct {
	http.ResponseWriter
	status int
	bytes  int64
	id     *portcullis.Identity // whose it was; nil: nobody's
}

type accessKey struct{}

// logged has the route serve a request, and logs how that went.
func (g *gate) logged(rt *route, w http.ResponseWriter, r *http.Request) {
	a, begin, returned := &access{ResponseWriter: w, status: http.StatusOK}, time.Now(), false
	defer func() {
		attrs := []slog.Attr{
			slog.String("route", rt.policy.Name), slog.String("method", r.Method), slog.String("host", r.Host),
			slog.String("path", r.URL.Path), slog.String("remote", r.RemoteAddr), slog.Int("status", a.status),
			slog.Int64("bytes", a.bytes), slog.Duration("after", time.Since(begin)), slog.Bool("aborted", !returned),
		}
		if a.id != nil {
			attrs = append(attrs, slog.String("iss", a.id.Issuer), slog.String("sub", a.id.Subject), slog.String("sid", a.id.SessionID))
		}
		g.log.LogAttrs(r.Context(), slog.LevelInfo, "request", attrs...)
	}()
	rt.serveHTTP(a, r.WithContext(context.WithValue(r.Context(), accessKey{}, a)))
	returned = true
}

// admits notes whose the request is, if it is logged.
func admits(r *http.Request) {
	if a, ok := r.Context().Value(accessKey{}).(*access); ok {
		a.id, _ = portcullis.FromContext(r.Context())
	}
}

func (a *access) WriteHeader(status int) {
	if status >= http.StatusOK {
		a.status = status
	}
	a.ResponseWriter.WriteHeader(status)
}

func (a *access) Write(p []byte) (int, error) {
	n, err := a.ResponseWriter.Write(p)
	a.bytes += int64(n)
	return n, err
}

// Unwrap is for http.ResponseController.
func (a *access) Unwrap() http.ResponseWriter { return a.ResponseWriter }
