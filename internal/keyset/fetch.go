package keyset

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/portcullis-auth/portcullis/internal/askhttp"
	"github.com/portcullis-auth/portcullis/internal/strictjson"
)

// fetch returns the issuer's keys, and how long they are fresh.
func (s *Set) fetch() ([]key, time.Duration, error) {
	url := s.config.URL
	if url == "" {
		var err error
		if url, err = s.discover(); err != nil {
			return nil, 0, fmt.Errorf("keyset: discovery: %w", err)
		}
	}
	body, answer, err := s.get(url)
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

// discover returns the issuer's jwks_uri (OpenID Connect Discovery 1.0,
// section 4).
func (s *Set) discover() (string, error) {
	body, _, err := s.get(strings.TrimSuffix(s.config.Issuer, "/") + "/.well-known/openid-configuration")
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

func (s *Set) get(url string) ([]byte, *askhttp.Answer, error) {
	req, err := http.NewRequestWithContext(context.Background(), http.MethodGet, url, http.NoBody)
	if err != nil {
		return nil, nil, errors.New("the request cannot be made")
	}
	answer, err := s.asker.Ask(req)
	if err != nil {
		return nil, nil, err
	}
	if answer.Status != http.StatusOK {
		return nil, nil, answer.Unexpected()
	}
	body, err := answer.JSON()
	return body, answer, err
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
