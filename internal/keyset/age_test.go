package keyset_test

import (
	"errors"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"github.com/portcullis-auth/portcullis/internal/keyset"
)

// wantAtOnce looks for a key and expects not to wait.
func wantAtOnce(t *testing.T, s *keyset.Set, kid, want string) {
	t.Helper()
	began := time.Now()
	wantLook(t, s, kid, want)
	if took := time.Since(began); took != 0 {
		t.Errorf("key %q: took %v", kid, took)
	}
}

// Keys in use are fetched again in the background, and nobody waits. A key that
// has been withdrawn is used for no more than twice their lifetime, however
// rarely anybody asks.
func TestRefresh(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		i := &issuer{body: set(t, jwk(t, edPublic, object{"kid": "old"}))}
		s := newSet(t, keyset.Config{URL: "https://id/", Client: &http.Client{Transport: i}})
		wantLook(t, s, "old", "found")
		i.set(set(t, jwk(t, edPublic, object{"kid": "new"})), nil, time.Second)
		time.Sleep(59 * time.Minute)
		wantAtOnce(t, s, "old", "found")
		i.wantCalls(t, 0)
		time.Sleep(2 * time.Minute)
		for range 10 {
			wantAtOnce(t, s, "old", "found")
		}
		i.wantCalls(t, 1)
		time.Sleep(time.Second)
		wantAtOnce(t, s, "new", "found")
		wantAtOnce(t, s, "old", "too soon")
		i.wantCalls(t, 1)

		i.set(set(t, jwk(t, edPublic, object{"kid": "newer"})), nil, time.Second)
		time.Sleep(2*time.Hour + time.Minute)
		wantLook(t, s, "new", "none")
		i.wantCalls(t, 1)
	})
}

// RFC 9111: the lifetime is the answer's, within bounds.
func TestCacheControl(t *testing.T) {
	for _, tt := range []struct {
		name   string
		header http.Header
		want   time.Duration
	}{
		{"none", nil, time.Hour},
		{"within bounds", http.Header{"Cache-Control": {"public, max-age=600, must-revalidate"}}, 10 * time.Minute},
		{"in capitals, quoted", http.Header{"Cache-Control": {`MAX-AGE="600"`}}, 10 * time.Minute},
		{"two lines", http.Header{"Cache-Control": {"public", "max-age=600"}}, 10 * time.Minute},
		{"two answers to one question", http.Header{"Cache-Control": {"max-age=900, max-age=600"}}, 10 * time.Minute},
		{"older than it looks", http.Header{"Cache-Control": {"max-age=900"}, "Age": {"300"}}, 10 * time.Minute},
		{"older than it may be", http.Header{"Cache-Control": {"max-age=900"}, "Age": {"99999"}}, time.Minute},
		{"age alone", http.Header{"Age": {"300"}}, time.Hour},
		{"short", http.Header{"Cache-Control": {"max-age=1"}}, time.Minute},
		{"zero", http.Header{"Cache-Control": {"max-age=0"}}, time.Minute},
		{"long", http.Header{"Cache-Control": {"max-age=31536000"}}, time.Hour},
		{"too large", http.Header{"Cache-Control": {"max-age=99999999999999999999999"}}, time.Hour},
		{"nonsense", http.Header{"Cache-Control": {"max-age=-600"}}, time.Minute},
		{"nothing", http.Header{"Cache-Control": {"max-age"}}, time.Minute},
		{"no-store", http.Header{"Cache-Control": {"no-store"}}, time.Minute},
		{"no-cache", http.Header{"Cache-Control": {"max-age=600, no-cache"}}, time.Minute},
		{"for others", http.Header{"Cache-Control": {"s-maxage=600"}}, time.Hour},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				i := &issuer{body: set(t, jwk(t, edPublic, object{"kid": "k"})), header: tt.header}
				s := newSet(t, keyset.Config{URL: "https://id/", Client: &http.Client{Transport: i}})
				wantLook(t, s, "k", "found")
				time.Sleep(tt.want)
				wantLook(t, s, "k", "found")
				i.wantCalls(t, 1)
				time.Sleep(time.Second)
				wantLook(t, s, "k", "found")
				i.wantCalls(t, 2)
			})
		})
	}
}

// J3: old keys are kept while fetching fails, and nobody waits for an issuer
// that is down; but not for ever.
func TestJ3StaleIfError(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		i := &issuer{body: set(t, jwk(t, edPublic, object{"kid": "k"}))}
		s := newSet(t, keyset.Config{URL: "https://id/", MaxStale: 6 * time.Hour, Client: &http.Client{Transport: i}})
		wantLook(t, s, "k", "found")

		i.set("", nil, time.Hour) // hangs
		time.Sleep(time.Hour + time.Second)
		for range 20 {
			wantAtOnce(t, s, "k", "found")
			time.Sleep(30 * time.Second)
		}
		i.wantCalls(t, 7)                  // the cool-down begins when the call has timed out
		wantLook(t, s, "unknown", "error") // cannot tell, not "none"
		time.Sleep(5 * time.Hour)
		wantAtOnce(t, s, "k", "found")
		time.Sleep(time.Hour)
		wantLook(t, s, "k", "error")

		// It comes back without the key: withdrawn.
		i.set(set(t, jwk(t, edPublic, object{"kid": "k2"})), nil, 0)
		time.Sleep(5 * time.Second)
		wantLook(t, s, "k2", "found")
		i.wantCalls(t, 1)
		time.Sleep(time.Minute)
		wantLook(t, s, "k", "none")
	})
}

// A set that nobody has asked for long asks the issuer first; if that fails, the
// old keys are good for a while.
func TestJ3IdleForLong(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		i := &issuer{body: set(t, jwk(t, edPublic, object{"kid": "k"}))}
		s := newSet(t, keyset.Config{URL: "https://id/", Client: &http.Client{Transport: i}})
		wantLook(t, s, "k", "found")
		i.set("", errors.New("down"), time.Second)
		time.Sleep(20 * time.Hour)
		began := time.Now()
		wantLook(t, s, "k", "found")
		if took := time.Since(began); took != time.Second {
			t.Errorf("took %v, want the fetch", took)
		}
		wantAtOnce(t, s, "k", "found")
		i.wantCalls(t, 1)
		time.Sleep(20 * time.Hour)
		wantLook(t, s, "k", "error")
	})
}

// Keys are good for as long as they are, however long they took to come.
func TestSlowFetch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		i := &issuer{body: set(t, jwk(t, edPublic, object{"kid": "k"})), delay: 4 * time.Second, header: http.Header{"Cache-Control": {"no-store"}}}
		s := newSet(t, keyset.Config{URL: "https://id/", Cooldown: time.Second, Client: &http.Client{Transport: i}})
		wantLook(t, s, "k", "found")
	})
}

// One caller waits for one fetch, however short the cool-down.
func TestOneFetchForOneCaller(t *testing.T) {
	i := &issuer{body: set(t, jwk(t, edPublic, object{"kid": "k"}))}
	s := newSet(t, keyset.Config{URL: "https://id/", Cooldown: 1, Client: &http.Client{Transport: i}})
	wantLook(t, s, "unknown", "none")
	if i.calls != 1 {
		t.Errorf("%d fetches", i.calls)
	}
}
