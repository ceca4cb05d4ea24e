package keyset

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/portcullis-auth/portcullis/internal/discovery"
)

// fetch returns the issuer's keys, and how long they are fresh.
func (s *Set) fetch() ([]key, time.Duration, error) {
	url := s.config.URL
	if url == "" {
		var err error
		if url, err = s.issuer.Endpoint("jwks_uri"); err != nil {
			return nil, 0, fmt.Errorf("keyset: %w", err)
		}
	}
	body, answer, err := discovery.Get(s.asker, url)
	if err != nil {
		return nil, 0, fmt.Errorf("keyset: fetching the keys: %w", err)
	}
	keys, err := parse(body, s.config.Algorithms)
	if err != nil {
		return nil, 0, fmt.Errorf("keyset: %w", err)
	}
	lifetime := freshness(answer.Header("Cache-Control"), answer.Header("Age"), s.config.MaxAge)
	return keys, max(lifetime, s.config.Cooldown), nil
}

// freshness returns how long an answer with these headers may be used (RFC 9111,
// sections 4.2.1 and 5.2.2), at most limit, which is also for one that doesn't
// say. What can't be read counts as 0.
func freshness(cacheControl, age string, limit time.Duration) time.Duration {
	fresh := limit
	for directive := range strings.SplitSeq(cacheControl, ",") {
		name, value, _ := strings.Cut(strings.TrimSpace(directive), "=")
		switch strings.ToLower(name) {
		case "no-store", "no-cache":
			return 0
		case "max-age":
			fresh = min(fresh, seconds(strings.Trim(value, `"`))-seconds(age))
		}
	}
	return max(fresh, 0)
}

// seconds reads a number of seconds (RFC 9111, section 1.2.2): one that is too
// large as the largest, anything else as 0.
func seconds(s string) time.Duration {
	n, _ := strconv.ParseUint(s, 10, 31)
	return time.Duration(n) * time.Second
}
