// Package keyset holds the public keys with which one token issuer signs: found
// by its discovery document (OpenID Connect Discovery 1.0, section 4) or at a
// JWK Set URL (RFC 7517), fetched when needed, kept while the issuer is down.
//
// It never looks where a token points (jku, x5u, jwk: J3): all that it takes
// from a token is the name of a key and of an algorithm. Each key is good for
// one algorithm, out of the issuer's list (J1).
//
// Limits: a token without kid is matched only where a single key fits, and does
// not cause a fetch. A key that the issuer withdraws is used for up to
// [Config.MaxAge] more, longer while the issuer cannot be reached.
package keyset

import (
	"context"
	"crypto"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/portcullis-auth/portcullis/internal/askhttp"
	"github.com/portcullis-auth/portcullis/internal/strictjson"
)

// ErrTooSoon says that a key is not in the set, which was fetched so recently
// that it isn't fetched again for one more unknown name: the key may exist.
var ErrTooSoon = errors.New("keyset: unknown key, and the keys were fetched a short while ago")

// A Config says whose keys they are. Issuer or URL is required.
type Config struct {
	// Issuer is where the discovery document lies, and the "issuer" that it
	// must state, to the letter. Not looked at if URL is set.
	Issuer string

	// URL is that of the JWK Set, for issuers without discovery document.
	URL string

	// Algorithms are those that the issuer signs with. A key that states no
	// algorithm is good for the first one here that its type fits. nil:
	// DefaultAlgorithms.
	Algorithms []string

	// Cooldown is the least time between two fetches that unknown names of
	// keys cause. 0: 1 min.
	Cooldown time.Duration

	// MaxAge is when keys in use are fetched again. 0: 1 h.
	MaxAge time.Duration

	// Timeout bounds each call; a fetch makes one or two. 0: 5 s.
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

// retryAfter is how long a set without any keys waits after a fetch that
// failed. It is short, since all it protects is an issuer that is coming back.
const retryAfter = 5 * time.Second

// A Set is the keys of one issuer. It is made by [New], safe for concurrent
// use, and needs no closing: its only goroutines are fetches, which end within
// their timeout.
type Set struct {
	config Config
	plain  bool // whether the key set may come by http
	asker  *askhttp.Asker

	mu       sync.Mutex
	keys     []key
	fetched  time.Time     // when the fetch that brought keys began; zero: none has
	tried    time.Time     // when the last fetch ended
	err      error         // how it ended
	inFlight chan struct{} // closed when the running fetch ends; nil: none runs
}

// New returns an empty Set, or what is wrong with c. It makes no call.
func New(c Config) (*Set, error) {
	source := c.URL
	if source == "" {
		source = c.Issuer
	}
	u, err := askhttp.CheckURL(source, c.InsecurePlainHTTP)
	if err != nil {
		return nil, fmt.Errorf("keyset: %w", err)
	}
	if c.URL == "" && strings.Contains(source, "?") {
		return nil, errors.New("keyset: Issuer must not have a query")
	}
	if len(c.Algorithms) == 0 {
		c.Algorithms = DefaultAlgorithms
	}
	for _, alg := range c.Algorithms {
		if !Supported(alg) {
			return nil, fmt.Errorf("keyset: algorithm %q is not one for public keys", alg)
		}
	}
	if c.Cooldown == 0 {
		c.Cooldown = time.Minute
	}
	if c.MaxAge == 0 {
		c.MaxAge = time.Hour
	}
	if c.Cooldown < 0 || c.MaxAge < 0 || c.Timeout < 0 {
		return nil, errors.New("keyset: Cooldown, MaxAge or Timeout is negative")
	}
	return &Set{
		config: c,
		// An https issuer must not hand us over to http, loopback or not.
		plain: u.Scheme == "http",
		asker: askhttp.New(c.Client, c.Timeout),
	}, nil
}

// Keys returns the keys called kid that are good for the algorithm alg; with
// kid "" the only key that is. None and no error means that the issuer has no
// such key. An error means that we cannot tell: the keys could not be fetched,
// or [ErrTooSoon]. It never holds kid or alg, which come from a token nobody
// has checked. Keys waits for a fetch if that may change what it returns, until
// ctx is done.
func (s *Set) Keys(ctx context.Context, kid, alg string) ([]crypto.PublicKey, error) {
	asked := time.Now()
	for {
		s.mu.Lock()
		found := s.find(kid, alg)
		fetch := s.due(len(found) > 0, kid, asked)
		var done chan struct{}
		if fetch {
			done = s.start()
		}
		err, fetched := s.err, s.fetched
		s.mu.Unlock()

		// Keys that are merely old are worth waiting for newer ones, unless the
		// last fetch failed: else everybody would wait as long as that takes.
		if fetch && (len(found) == 0 || err == nil) {
			select {
			case <-done:
				continue
			case <-ctx.Done():
				return nil, fmt.Errorf("keyset: gave up waiting for the keys: %w", ctx.Err())
			}
		}
		switch {
		case len(found) > 0:
			return found, nil
		case err != nil:
			return nil, err
		case kid != "" && fetched.Before(asked):
			return nil, ErrTooSoon
		}
		return nil, nil
	}
}

// due reports whether a caller that asked at that time, and found its key or
// didn't, should have the keys fetched. s.mu is held.
func (s *Set) due(found bool, kid string, asked time.Time) bool {
	now := time.Now()
	since := now.Sub(s.tried)
	switch {
	case s.inFlight != nil: // joining costs nothing
		return !found || now.Sub(s.fetched) > s.config.MaxAge
	case s.tried.IsZero():
		return true
	case !s.tried.Before(asked): // this caller has waited for one already
		return false
	case s.fetched.IsZero():
		return since >= min(retryAfter, s.config.Cooldown)
	case now.Sub(s.fetched) > s.config.MaxAge:
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
			keys, err := s.fetch()
			s.mu.Lock()
			defer s.mu.Unlock()
			s.inFlight, s.tried, s.err = nil, time.Now(), err
			if err == nil { // else the old keys stay
				s.keys, s.fetched = keys, began
			}
			close(done)
		}()
	}
	return s.inFlight
}

func (s *Set) fetch() ([]key, error) {
	url := s.config.URL
	if url == "" {
		var err error
		if url, err = s.discover(); err != nil {
			return nil, fmt.Errorf("keyset: discovery: %w", err)
		}
	}
	body, err := s.get(url)
	if err != nil {
		return nil, fmt.Errorf("keyset: fetching the keys: %w", err)
	}
	keys, err := parse(body, s.config.Algorithms)
	if err != nil {
		return nil, fmt.Errorf("keyset: %w", err)
	}
	return keys, nil
}

// discover returns the issuer's jwks_uri (OpenID Connect Discovery 1.0,
// section 4).
func (s *Set) discover() (string, error) {
	body, err := s.get(strings.TrimSuffix(s.config.Issuer, "/") + "/.well-known/openid-configuration")
	if err != nil {
		return "", err
	}
	members, err := strictjson.Object(body)
	if err != nil {
		return "", fmt.Errorf("the document is %w", err)
	}
	// Section 4.3: or another issuer's keys would be taken for this one's.
	if issuer, err := text(members, "issuer"); err != nil || issuer != s.config.Issuer {
		return "", errors.New(`the document's "issuer" is not the one configured (a slash at the end counts)`)
	}
	uri, err := text(members, "jwks_uri")
	if err != nil {
		return "", err
	}
	u, err := askhttp.CheckURL(uri, s.config.InsecurePlainHTTP)
	if err != nil {
		return "", fmt.Errorf("jwks_uri: %w", err)
	}
	if u.Scheme == "http" && !s.plain {
		return "", errors.New("jwks_uri: is http, the issuer https")
	}
	return uri, nil
}

func (s *Set) get(url string) ([]byte, error) {
	req, err := http.NewRequestWithContext(context.Background(), http.MethodGet, url, http.NoBody)
	if err != nil {
		return nil, errors.New("the request cannot be made")
	}
	answer, err := s.asker.Ask(req)
	if err != nil {
		return nil, err
	}
	if answer.Status != http.StatusOK {
		return nil, answer.Unexpected()
	}
	return answer.JSON()
}

// find returns the keys for a token. s.mu is held.
func (s *Set) find(kid, alg string) []crypto.PublicKey {
	var found []crypto.PublicKey
	for _, k := range s.keys {
		if k.alg == alg && (k.id == kid || kid == "") {
			found = append(found, k.public)
		}
	}
	if kid == "" && len(found) > 1 { // OpenID Connect Core 1.0, section 10.1
		return nil
	}
	return found
}
