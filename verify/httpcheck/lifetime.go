package httpcheck

import (
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/portcullis-auth/portcullis"
	"github.com/portcullis-auth/portcullis/internal/askhttp"
)

// longest is what every longer time counts as (RFC 9111, section 1.2.2).
const longest = 1 << 31 * time.Second

// hold sets how long the answer to a question asked at that time may be used
// again, if its headers say so.
func hold(id *portcullis.Identity, answer *askhttp.Answer, asked time.Time) {
	lifetime, ok := freshness(answer, asked)
	if !ok {
		return
	}
	asked = asked.Round(0) // the wall clock only: a suspended machine stops the other one
	id.ReuseUntil = asked.Add(lifetime)
	if lifetime > 0 && id.ExpiresAt.IsZero() {
		id.ExpiresAt = id.ReuseUntil
	}
}

// freshness is how long an answer stays fresh (RFC 9111, section 4.2), counted
// from the time of the question, which is on the safe side. 0: it may not be
// used again. It reports whether the answer says anything about that. We are a
// private cache: what we know is for one token only.
func freshness(answer *askhttp.Answer, asked time.Time) (time.Duration, bool) {
	directives, ok := parseDirectives(answer.Header("Cache-Control"))
	if !ok {
		return 0, true
	}
	for _, name := range []string{"no-store", "no-cache"} {
		if _, ok := directives[name]; ok {
			return 0, true
		}
	}
	var lifetime time.Duration
	if maxAge, ok := directives["max-age"]; ok { // section 5.3: Expires is ignored then
		lifetime, _ = parseSeconds(maxAge) // 0 for nonsense
	} else if expires := answer.Header("Expires"); expires != "" {
		// Section 5.3: what is no date, "0" above all, is in the past. So is
		// what exists twice, being no date when joined.
		until, err := http.ParseTime(expires)
		if err != nil {
			return 0, true
		}
		from := asked
		if date := answer.Header("Date"); date != "" { // the other clock's time
			if from, err = http.ParseTime(date); err != nil {
				return 0, true
			}
		}
		lifetime = until.Sub(from)
	} else {
		return 0, false
	}
	if age := answer.Header("Age"); age != "" { // a cache on the way had it for so long
		spent, ok := parseSeconds(age)
		if !ok {
			return 0, true
		}
		lifetime -= spent
	}
	return min(max(lifetime, 0), longest), true
}

// parseDirectives reads a Cache-Control header (RFC 9111, section 5.2): names
// in lower case, with their arguments. It reports whether all of it could be
// read. A directive that is there twice could mean either (section 4.2.1);
// quoted arguments are for the forms of private and no-cache that name headers.
func parseDirectives(header string) (map[string]string, bool) {
	directives := make(map[string]string)
	for part := range strings.SplitSeq(header, ",") {
		part = strings.TrimSpace(part)
		if part == "" {
			continue
		}
		name, argument, _ := strings.Cut(strings.ToLower(part), "=")
		if _, twice := directives[name]; twice || !isName(name) || strings.Contains(argument, `"`) {
			return nil, false
		}
		directives[name] = argument
	}
	return directives, true
}

// parseSeconds reads delta-seconds (RFC 9111, section 1.2.2).
func parseSeconds(s string) (time.Duration, bool) {
	if s == "" || strings.Trim(s, "0123456789") != "" {
		return 0, false
	}
	seconds, err := strconv.ParseInt(s, 10, 64)
	if err != nil { // out of range
		return longest, true
	}
	return time.Duration(min(seconds, int64(longest/time.Second))) * time.Second, true
}
