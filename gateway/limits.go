package gateway

import (
	"errors"
	"fmt"
	"log/slog"
	"math"
	"net/http"
	"strconv"

	"github.com/portcullis-auth/portcullis"
	"github.com/portcullis-auth/portcullis/gateway/config"
	"github.com/portcullis-auth/portcullis/gateway/limit"
)

// newLimits returns the limits of the whole gateway; nil: there are none.
func newLimits(c *config.Limits) *limit.Limiter { return limit.New(ratesOf(&c.Rates), nil) }

// within returns the limits of a route, which are within those of the gateway.
func within(all *limit.Limiter, c *config.RouteLimits) *limit.Limiter {
	l := ratesOf(&c.Rates)
	l.Messages, l.MessagesPerUser = each(c.MessagesPerSecond), each(c.MessagesPerUser)
	l.Bytes, l.BytesPerUser = each(c.BytesPerSecond), each(c.BytesPerUser)
	return limit.New(l, all)
}

func ratesOf(c *config.Rates) limit.Limits {
	return limit.Limits{
		Sockets: int(c.Sockets), SocketsPerUser: int(c.SocketsPerUser), SocketsPerAddress: int(c.SocketsPerAddress),
		Handshakes: each(c.HandshakesPerSecond), HandshakesPerUser: each(c.HandshakesPerUser), HandshakesPerAddress: each(c.HandshakesPerAddress),
		Requests: each(c.RequestsPerSecond), RequestsPerUser: each(c.RequestsPerUser), RequestsPerAddress: each(c.RequestsPerAddress),
	}
}

// each is so many a second, and twice as many at once.
func each[T ~int64](n T) limit.Rate {
	return limit.Rate{PerSecond: float64(n), Burst: int(min(2*int64(n), math.MaxInt32))}
}

// overLimit answers what a limit refuses: with 429, or as the route has it.
func (g *Gateway) overLimit(w http.ResponseWriter, r *http.Request, rt *route, err error) {
	var over *limit.Exceeded
	if errors.As(err, &over) && over.RetryAfter > 0 {
		w.Header().Set("Retry-After", strconv.Itoa(int(math.Ceil(over.RetryAfter.Seconds()))))
	}
	deny := portcullis.DenyStatus
	if rt != nil {
		deny = rt.policy.Deny
	}
	g.logRefused(r, slog.Int("status", http.StatusTooManyRequests), slog.String("why", err.Error()))
	deny(w, r, fmt.Errorf("%w: %w", portcullis.ErrLimit, err))
}

// limited holds users to how many requests they may make.
func (g *Gateway) limited(rt *route, next http.Handler) http.Handler {
	if rt.limits == nil {
		return next
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		id, _ := portcullis.FromContext(r.Context())
		if err := rt.limits.UserRequest(id); err != nil {
			g.overLimit(w, r, rt, err)
			return
		}
		next.ServeHTTP(w, r)
	})
}
