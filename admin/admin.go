// Package admin is the operator's API: which sessions there are, and ending
// them. It belongs on a listener of its own, never on the public one.
//
//	GET  /v1/sessions      the live sessions of this process
//	GET  /v1/verifiers     the token systems, and how they have been asked
//	POST /v1/revocations   a portcullis.Revocation: ends what it names. Refused is
//	                       one with a member that is empty, with issued_before in
//	                       the future, or with until in the past
//	GET  /livez, /readyz   200; they need no key and tell nothing else
//
// Errors are problem details (RFC 9457).
package admin

import (
	"cmp"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strings"

	"github.com/portcullis-auth/portcullis"
)

// A Config says what is administrated, and by whom.
type Config struct {
	// Guard is what is administrated. It must be set.
	Guard *portcullis.Guard

	// Verifiers returns what there is to tell of the token systems, fit for
	// JSON. nil: there is no such list.
	Verifiers func() any

	// Key must come with every call, as bearer token. "": there is none, which
	// is for loopback listeners only: calls must then name a loopback host, so
	// that no web page reaches the API by a name of its own (DNS rebinding).
	Key string
}

// New returns the API. It is safe for concurrent use.
func New(c Config) http.Handler {
	if c.Guard == nil {
		panic("admin: Config.Guard is nil")
	}
	api := http.NewServeMux()
	api.HandleFunc("GET /v1/sessions", c.sessions)
	api.HandleFunc("/v1/sessions", wrongMethod("GET, HEAD"))
	if c.Verifiers != nil {
		api.HandleFunc("GET /v1/verifiers", func(w http.ResponseWriter, _ *http.Request) {
			answer(w, map[string]any{"verifiers": c.Verifiers()})
		})
		api.HandleFunc("/v1/verifiers", wrongMethod("GET, HEAD"))
	}
	api.HandleFunc("POST /v1/revocations", c.revoke)
	api.HandleFunc("/v1/revocations", wrongMethod("POST"))
	api.HandleFunc("/", func(w http.ResponseWriter, _ *http.Request) {
		problem(w, http.StatusNotFound, "not_found", "the API has GET /v1/sessions, GET /v1/verifiers and POST /v1/revocations")
	})
	mux := http.NewServeMux()
	ok := func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "ok\n") }
	mux.HandleFunc("GET /livez", ok)
	mux.HandleFunc("GET /readyz", ok)
	mux.Handle("/", c.protect(api))
	return mux
}

// protect lets only the operator through (A2).
func (c Config) protect(next http.Handler) http.Handler {
	want := sha256.Sum256([]byte(c.Key))
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Cache-Control", "no-store")
		if isCrossOrigin(r) {
			problem(w, http.StatusForbidden, "cross_origin", "web pages of other origins may not use the admin API")
			return
		}
		if c.Key == "" {
			if !isLoopback(r.Host) {
				problem(w, http.StatusForbidden, "host", "without a key the admin API answers to loopback names only, as localhost:8081; set admin.key_file")
				return
			}
		} else {
			scheme, key, _ := strings.Cut(r.Header.Get("Authorization"), " ")
			got := sha256.Sum256([]byte(key))
			if !strings.EqualFold(scheme, "Bearer") || subtle.ConstantTimeCompare(got[:], want[:]) != 1 {
				w.Header().Set("WWW-Authenticate", "Bearer")
				problem(w, http.StatusUnauthorized, "key", "send the admin key as bearer token")
				return
			}
		}
		next.ServeHTTP(w, r)
	})
}

// isCrossOrigin reports whether a page of another origin makes the call.
func isCrossOrigin(r *http.Request) bool {
	if site := r.Header.Get("Sec-Fetch-Site"); site != "" && site != "same-origin" && site != "none" {
		return true
	}
	origins := r.Header["Origin"]
	if len(origins) == 0 {
		return false
	}
	u, err := url.Parse(origins[0])
	return err != nil || len(origins) > 1 || !strings.EqualFold(u.Host, r.Host)
}

func isLoopback(host string) bool {
	if h, _, err := net.SplitHostPort(host); err == nil {
		host = h
	}
	if strings.EqualFold(host, "localhost") {
		return true
	}
	ip, err := netip.ParseAddr(strings.Trim(host, "[]"))
	return err == nil && ip.IsLoopback()
}

// sessions lists the live sessions, the oldest first.
func (c Config) sessions(w http.ResponseWriter, _ *http.Request) {
	list := slices.SortedFunc(c.Guard.Sessions(), func(a, b portcullis.SessionInfo) int {
		return cmp.Or(a.Opened.Compare(b.Opened), cmp.Compare(a.Handle, b.Handle))
	})
	if list == nil {
		list = []portcullis.SessionInfo{}
	}
	answer(w, map[string]any{"sessions": list})
}

// wrongMethod answers those who take another method than is allowed.
func wrongMethod(allowed string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Allow", allowed)
		problem(w, http.StatusMethodNotAllowed, "method", "use "+allowed)
	}
}

func answer(w http.ResponseWriter, v any) {
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(v)
}

// problem answers with problem details (RFC 9457).
func problem(w http.ResponseWriter, status int, kind, detail string) {
	w.Header().Set("Content-Type", "application/problem+json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(map[string]any{
		"type": "urn:portcullis:problem:" + kind, "title": http.StatusText(status), "status": status, "detail": detail,
	})
}
