package gateway

import (
	"errors"
	"log/slog"
	"math"
	"net/http"
	"strconv"

	"github.com/portcullis-auth/portcullis"
	"github.com/portcullis-auth/portcullis/gateway/config"
	"github.com/portcullis-auth/portcullis/gateway/limit"
)

// limited returns a Limiter with these limits that goes on with what before has
// counted, unless that is nil.
func limited(before *limit.Limiter, limits limit.Limits, within *limit.Limiter) *limit.Limiter {
	if before == nil {
		return limit.New(limits, within)
	}
	before.Set(limits)
	return before
}

// limitsFor returns the Limiter of a route, within that of all of them. It goes on
// with what the route's has counted in old, if it had one within the same.
func (g *gate) limitsFor(c *config.Route, old *gate) *limit.Limiter {
	var before *limit.Limiter
	if rt := old.called(c.Host + c.Path); rt != nil && rt.limits != old.limits && old.limits == g.limits {
		before = rt.limits
	}
	return limited(before, limitsOf(&c.Limits), g.limits)
}

// limitsOf returns the limits of a route.
func limitsOf(c *config.RouteLimits) limit.Limits {
	l := ratesOf(&c.Rates)
	l.Messages, l.MessagesPerUser = each(c.MessagesPerSecond), each(c.MessagesPerUser)
	l.Bytes, l.BytesPerUser = each(c.BytesPerSecond), each(c.BytesPerUser)
	return l
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

// overLimit refuses what is over a limit, and logs it.
func (g *gate) overLimit(w http.ResponseWriter, r *http.Request, deny denier, err error) {
	g.logRefused(r, slog.Int("status", http.StatusTooManyRequests), slog.String("why", err.Error()))
	denyLimit(w, r, deny, err)
}

// denyLimit answers what a limit has refused: with 429, or as deny has it.
func denyLimit(w http.ResponseWriter, r *http.Request, deny denier, err error) {
	var over *limit.Exceeded
	if errors.As(err, &over) && over.RetryAfter > 0 {
		w.Header().Set("Retry-After", strconv.Itoa(int(math.Ceil(over.RetryAfter.Seconds()))))
	}
	deny(w, r, err)
}

// metered holds users to how many requests they may make.
func (g *gate) metered(rt *route, next http.Handler) http.Handler {
	if rt.limits == nil {
		return next
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		id, _ := portcullis.FromContext(r.Context())
		if err := rt.limits.UserRequest(id); err != nil {
			g.overLimit(w, r, rt.policy.Deny, err)
			return
		}
		next.ServeHTTP(w, r)
	})
}
