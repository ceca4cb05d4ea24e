// Package admin is the operator's API: which sessions there are, and ending
// them. It belongs on a listener of its own, never on the public one.
//
//	GET  /v1/sessions           the live sessions of this process, see below
//	GET  /v1/sessions/{handle}  one of them, and in words why it lives
//	GET  /v1/verifiers          the token systems, and how they have been asked
//	POST /v1/revocations        a portcullis.Revocation: ends what it names. Refused
//	                            is one with a member that is empty, with issued_before
//	                            in the future, or with until in the past. Or
//	                            {"session": handle}: ends that session, and no more
//	GET  /v1/openapi.json       all of this as OpenAPI 3.1
//	GET  /livez, /readyz        200; they need no key and tell nothing else
//
// # Lists of sessions
//
// A list is narrowed by parameters, all of which must match:
//
//	iss, sub, sid, jti, client_id, verifier  equal, byte for byte
//	kind                                     http or socket
//	host                                     as the request named it, with its port if
//	                                         it did; upper and lower case are the same
//	path                                     begins with it: /ws finds /wsapi/ too
//
// It begins with the session that was admitted first. limit is how many it
// holds at most, 1 to 1000, by default 100; if there are more, the answer has
// "next", which as the parameter after continues the list. Whatever comes and
// goes meanwhile, a session that stays is listed once.
//
// Parameters that are unknown, empty or given twice are refused. Errors are
// problem details (RFC 9457).
package admin

import (
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	_ "embed"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strings"

	"github.com/portcullis-auth/portcullis"
)

// openAPI describes the API.
//
//go:embed openapi.json
var openAPI string

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

// An api is the handlers' common ground.
type api struct {
	Config
	lists string // what this api's cursors begin with
}

// An endpoint is one thing that can be asked of the API.
type endpoint struct {
	method, path string
	serve        http.HandlerFunc
}

// endpoints are all that need the key. Only sessions takes parameters.
func (a *api) endpoints() []endpoint {
	list := []endpoint{
		{"GET", "/v1/sessions", a.sessions},
		{"GET", "/v1/sessions/{handle}", bare(a.session)},
		{"POST", "/v1/revocations", bare(a.revoke)},
		{"GET", "/v1/openapi.json", bare(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			_, _ = io.WriteString(w, openAPI)
		})},
	}
	if a.Verifiers != nil {
		list = append(list, endpoint{"GET", "/v1/verifiers", bare(func(w http.ResponseWriter, _ *http.Request) {
			answer(w, map[string]any{"verifiers": a.Verifiers()})
		})})
	}
	return list
}

// New returns the API. It is safe for concurrent use.
func New(c Config) http.Handler {
	if c.Guard == nil {
		panic("admin: Config.Guard is nil")
	}
	inner := http.NewServeMux()
	for _, e := range (&api{c, rand.Text()}).endpoints() {
		inner.HandleFunc(e.method+" "+e.path, e.serve)
		allowed := strings.Replace(e.method, "GET", "GET, HEAD", 1)
		inner.HandleFunc(e.path, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Allow", allowed)
			problem(w, http.StatusMethodNotAllowed, "method", "use "+allowed)
		})
	}
	inner.HandleFunc("/", func(w http.ResponseWriter, _ *http.Request) {
		problem(w, http.StatusNotFound, "not_found", "there is no such thing; GET /v1/openapi.json says what there is")
	})
	mux := http.NewServeMux()
	ok := func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "ok\n") }
	mux.HandleFunc("GET /livez", ok)
	mux.HandleFunc("GET /readyz", ok)
	mux.Handle("/", c.protect(inner))
	return mux
}

// bare refuses parameters, for what takes none.
func bare(next http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if r.URL.RawQuery != "" {
			problem(w, http.StatusBadRequest, "parameters", "this takes no parameters")
			return
		}
		next(w, r)
	}
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
