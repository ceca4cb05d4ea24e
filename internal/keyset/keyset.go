// Package keyset holds the public keys with which one token issuer signs: found
// by its metadata (OpenID Connect Discovery 1.0 or RFC 8414) or at a JWK Set URL
// (RFC 7517), fetched when needed, kept while the issuer is down; or given from
// the start.
//
// It never looks where a token points (jku, x5u, jwk: J3): all that it takes
// from a token is the name of a key and of an algorithm. Each key is good for
// one algorithm, out of the issuer's list (J1).
//
// Limits: a token without kid is matched only where a single key fits, and does
// not cause a fetch. A key that the issuer withdraws is used for up to twice
// [Config.MaxAge] more, and for [Config.MaxStale] while the issuer cannot be
// reached.
package keyset

import (
	"cmp"
	"context"
	"crypto"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"time"

	"github.com/portcullis-auth/portcullis/internal/askhttp"
	"github.com/portcullis-auth/portcullis/internal/discovery"
)

// ErrTooSoon says that a key is not in the set, which was fetched so recently,
// and without an error, that it isn't fetched again for one more unknown name.
// The key may have come into being since; who must not wait takes it for a no.
var ErrTooSoon = errors.New("keyset: unknown key, and the keys were fetched a short while ago")

// A Config says whose keys they are. Issuer, URL or Local is required.
type Config struct {
	// Issuer is where the metadata lies, and the "issuer" that it must state,
	// to the letter. Not looked at if URL or Local is set.
	Issuer string

	// URL is that of the JWK Set, for issuers without metadata.
	URL string

	// Local is the keys themselves: a JWK Set, or PEM blocks "PUBLIC KEY" (or
	// "RSA PUBLIC KEY"). One that has no name, as in PEM, fits any, and all that
	// fit are returned. No call is made then, and Issuer, URL and all that is
	// about fetching is not looked at.
	Local []byte

	// Algorithms are those that the issuer signs with. A key that states no
	// algorithm is good for the first one here that its type fits. nil:
	// DefaultAlgorithms.
	Algorithms []string

	// Cooldown is the least time between two fetches that unknown names of
	// keys, or old age, cause. 0: 1 min.
	Cooldown time.Duration

	// MaxAge is when keys in use are fetched again, in the background. The
	// max-age of the answer they came in (RFC 9111) makes it earlier, but no
	// earlier than Cooldown. 0: 1 h.
	MaxAge time.Duration

	// MaxStale is how long after that age keys are still used while fetching
	// them fails. 0: 24 h.
	MaxStale time.Duration

	// Timeout bounds each call; a fetch makes one, or two or three by Issuer.
	// 0: 5 s.
	Timeout time.Duration

	// Client lends its Transport and Timeout. nil: our own.
	Client *http.Client

	// InsecurePlainHTTP permits http to hosts that are not loopback: whoever
	// can change what passes there can sign tokens.
	InsecurePlainHTTP bool
}

// DefaultAlgorithms are the algorithms of a Config that states none. There are
// no symmetric ones to choose (RFC 8725, section 3.2).
var DefaultAlgorithms = []string{"RS256", "ES256", "PS256", "EdDSA"}

// retryAfter is how long a set without usable keys waits after a fetch that
// failed. It is short, since all it protects is an issuer that is coming back.
const retryAfter = 5 * time.Second

// A Set is the keys of one issuer. It is made by [New], safe for concurrent
// use, and needs no closing: its only goroutines are fetches, which end within
// their timeout.
type Set struct {
	config Config
	asker  *askhttp.Asker    // nil: the keys are local
	issuer *discovery.Issuer // nil: there is a URL, or the keys are local

	mu       sync.Mutex // guards what follows; local keys never change
	keys     []key
	fetched  time.Time     // when the fetch that brought keys began; zero: none has
	lifetime time.Duration // how long from then on they are fresh
	tried    time.Time     // when the last fetch ended
	err      error         // how it ended
	inFlight chan struct{} // closed when the running fetch ends; nil: none runs
}

// New returns a Set, or what is wrong with c. It makes no call.
func New(c Config) (*Set, error) {
	if len(c.Algorithms) == 0 {
		c.Algorithms = DefaultAlgorithms
	}
	for _, alg := range c.Algorithms {
		if !Supported(alg) {
			return nil, fmt.Errorf("keyset: algorithm %q is not one for public keys", alg)
		}
	}
	if c.Cooldown < 0 || c.MaxAge < 0 || c.MaxStale < 0 || c.Timeout < 0 {
		return nil, errors.New("keyset: Cooldown, MaxAge, MaxStale or Timeout is negative")
	}
	if c.Local != nil {
		keys, err := parseLocal(c.Local, c.Algorithms)
		if err != nil {
			return nil, fmt.Errorf("keyset: local keys: %w", err)
		}
		return &Set{config: c, keys: keys}, nil
	}
	c.Cooldown = cmp.Or(c.Cooldown, time.Minute)
	c.MaxAge = cmp.Or(c.MaxAge, time.Hour)
	c.MaxStale = cmp.Or(c.MaxStale, 24*time.Hour)
	s := &Set{config: c, asker: askhttp.New(c.Client, c.Timeout)}
	var err error
	if c.URL != "" {
		_, err = askhttp.CheckURL(c.URL, c.InsecurePlainHTTP)
	} else {
		s.issuer, err = discovery.New(c.Issuer, c.InsecurePlainHTTP, s.asker)
	}
	if err != nil {
		return nil, fmt.Errorf("keyset: %w", err)
	}
	return s, nil
}

// Keys returns the keys called kid that are good for the algorithm alg; with
// kid "" the only key that is. None and no error means that the issuer has no
// such key. An error means that we cannot tell: the keys could not be fetched,
// or [ErrTooSoon]. It never holds kid or alg, which come from a token nobody
// has checked. Keys waits for a fetch only if there is no key to return, until
// ctx is done.
func (s *Set) Keys(ctx context.Context, kid, alg string) ([]crypto.PublicKey, error) {
	if s.asker == nil {
		return s.find(kid, alg), nil
	}
	asked := time.Now()
	for {
		s.mu.Lock()
		var found []crypto.PublicKey
		usable := s.usable()
		if usable {
			found = s.find(kid, alg)
		}
		var done chan struct{}
		if s.due(usable, len(found) > 0, kid, asked) {
			done = s.start()
		}
		err, fetched := s.err, s.fetched
		s.mu.Unlock()

		switch {
		case len(found) > 0:
			return found, nil
		case done != nil:
			select {
			case <-done:
				continue
			case <-ctx.Done():
				return nil, fmt.Errorf("keyset: gave up waiting for the keys: %w", ctx.Err())
			}
		case err != nil:
			return nil, err
		case kid != "" && fetched.Before(asked):
			return nil, ErrTooSoon
		}
		return nil, nil
	}
}

// usable reports whether the keys are not too old. Twice their lifetime is: a
// set that nobody asked for so long must not answer with keys that may have
// been withdrawn. Only where fetching them has failed, they are good for
// longer. s.mu is held.
func (s *Set) usable() bool {
	stale := s.lifetime
	if s.err != nil {
		stale = s.config.MaxStale
	}
	return time.Since(s.fetched) < s.lifetime+stale
}

// due reports whether a caller that asked at that time, and found its key or
// didn't, should have the keys fetched, or wait for the fetch that runs. s.mu
// is held.
func (s *Set) due(usable, found bool, kid string, asked time.Time) bool {
	since := time.Since(s.tried)
	switch {
	case s.inFlight != nil: // joining costs nothing
		return true
	case !s.tried.Before(asked): // this caller has waited for one already
		return false
	case !usable:
		return since >= min(retryAfter, s.config.Cooldown)
	case time.Since(s.fetched) > s.lifetime:
		return since >= s.config.Cooldown
	}
	return !found && kid != "" && since >= s.config.Cooldown
}

// start returns the channel that is closed when the running fetch ends. There
// is one at a time, and it doesn't end with the caller that started it: others
// wait for it too. s.mu is held.
func (s *Set) start() chan struct{} {
	if s.inFlight == nil {
		done := make(chan struct{})
		s.inFlight = done
		began := time.Now()
		go func() { // ends with the asker's timeouts
			keys, lifetime, err := s.fetch()
			s.mu.Lock()
			defer s.mu.Unlock()
			s.inFlight, s.tried, s.err = nil, time.Now(), err
			if err == nil { // else the old keys stay
				s.keys, s.fetched, s.lifetime = keys, began, time.Since(began)+lifetime
			}
			close(done)
		}()
	}
	return s.inFlight
}

// find returns the keys for a token. s.mu is held, or the keys are local.
func (s *Set) find(kid, alg string) []crypto.PublicKey {
	local := s.asker == nil
	var found []crypto.PublicKey
	for _, k := range s.keys {
		if k.alg == alg && (k.id == kid || kid == "" || k.id == "" && local) {
			found = append(found, k.public)
		}
	}
	if kid == "" && len(found) > 1 && !local { // OpenID Connect Core 1.0, section 10.1
		return nil
	}
	return found
}
