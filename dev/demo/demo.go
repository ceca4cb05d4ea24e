// Package demo is the backend of the demo: a page, one API call and a chat,
// written the way a backend behind the gateway should be. The gateway lets
// nobody through whom it cannot vouch for, and says in request headers who it
// is; this package believes those headers and knows nothing else about how
// anybody logged in.
//
//	backend, err := demo.New(demo.Options{LoginURL: "http://127.0.0.1:9100"})
//	…
//	defer backend.Close()
//	http.Serve(listener, backend)
//
// Whoever can reach it without passing the gateway can claim to be anybody: it
// belongs on loopback or a private network. A request without the gateway's
// headers is answered with 500.
package demo

import (
	"bytes"
	"embed"
	"encoding/json"
	"errors"
	"fmt"
	"html/template"
	"log/slog"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"
)

//go:generate cp ../../client/dist/portcullis-client.js assets/portcullis-client.js

//go:embed assets
var assets embed.FS

// ways are the names of the routes to the chat below /wsapi/. The gateway looks
// in another place for each; to the backend they are labels.
var ways = []string{"cookie", "query", "subprotocol", "ticket"}

// Options of a Server. The zero value is a page without a login system.
type Options struct {
	// LoginURL is the base URL of the login system as browsers reach it, with
	// http or https. The page sends its users there to log in, to renew and to
	// log out. Empty: the page offers none of these.
	LoginURL string

	// Log hears of connections that came without the gateway and of chat members
	// that were dropped. Nil: [slog.Default].
	Log *slog.Logger
}

// Server answers for the demo's backend. It is safe for concurrent use. Whoever
// made it closes it.
type Server struct {
	mux  *http.ServeMux
	room *room
	log  *slog.Logger
	csp  string
	page []byte
}

var _ http.Handler = (*Server)(nil)

// New returns a Server, or an error if o.LoginURL is no URL that a page could
// use. It starts no goroutine; each socket has two, which end with it.
func New(o Options) (*Server, error) {
	if o.Log == nil {
		o.Log = slog.Default()
	}
	login, origin, err := parseLogin(o.LoginURL)
	if err != nil {
		return nil, err
	}
	tmpl, err := template.ParseFS(assets, "assets/index.html")
	if err != nil {
		return nil, fmt.Errorf("demo: page: %w", err)
	}
	var page bytes.Buffer
	if err := tmpl.Execute(&page, struct{ Login string }{login}); err != nil {
		return nil, fmt.Errorf("demo: page: %w", err)
	}

	s := &Server{
		mux:  http.NewServeMux(),
		room: newRoom(o.Log),
		log:  o.Log,
		csp:  policy(origin),
		page: page.Bytes(),
	}
	s.mux.HandleFunc("GET /{$}", s.servePage)
	s.mux.Handle("GET /assets/", http.FileServerFS(assets))
	s.mux.HandleFunc("GET /assets/index.html", http.NotFound) // the bare template
	s.mux.HandleFunc("GET /assets/{$}", http.NotFound)
	s.mux.HandleFunc("GET /api/me", serveMe)
	s.mux.HandleFunc("GET /wsapi/{$}", s.serveChat)
	s.mux.HandleFunc("GET /wsapi/{way}/{$}", s.serveChat)
	return s, nil
}

// Close tells every chat member that the service restarts (Close 1012), cuts
// those that don't answer within a second, and returns when all have gone. Later
// ones are told the same. It may be called again and always returns nil.
func (s *Server) Close() error {
	s.room.close()
	return nil
}

// ServeHTTP refuses whatever did not come through the gateway, before anything
// else is looked at: the page as well as the API and the chat.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	h.Set("Cache-Control", "no-store")
	h.Set("X-Content-Type-Options", "nosniff")
	u, err := vouched(r.Header)
	if err != nil {
		s.log.Warn("request did not come through the gateway", "path", r.URL.Path, "remote", r.RemoteAddr, "error", err)
		writeJSON(w, http.StatusInternalServerError, map[string]string{
			"error":  "not_behind_gateway",
			"detail": "This backend answers only behind the gateway: " + err.Error() + ".",
		})
		return
	}
	h.Set("Content-Security-Policy", s.csp)
	h.Set("Referrer-Policy", "same-origin")
	s.mux.ServeHTTP(w, r.WithContext(withUser(r.Context(), u)))
}

func (s *Server) servePage(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	_, _ = w.Write(s.page)
}

// me is the answer of GET /api/me.
type me struct {
	Subject  string          `json:"subject"`
	Name     string          `json:"name"`
	Email    string          `json:"email,omitempty"`
	Groups   []string        `json:"groups"`
	Userinfo json.RawMessage `json:"userinfo"`
	// VouchedBy are the headers that the above was read from, as they came.
	VouchedBy map[string]string `json:"vouched_by"`
	// Received names every header of the request, so that anybody can see what
	// did not get past the gateway.
	Received []string `json:"received"`
	// Now is this machine's time in Unix milliseconds; a browser's clock may differ.
	Now int64 `json:"now"`
}

func serveMe(w http.ResponseWriter, r *http.Request) {
	u := userFrom(r.Context())
	a := me{
		Subject: u.subject, Name: u.name, Email: u.email, Groups: u.groups, Userinfo: u.info,
		VouchedBy: map[string]string{},
		Now:       time.Now().UnixMilli(),
	}
	for name, values := range r.Header {
		a.Received = append(a.Received, name)
		if slices.Contains(identityHeaders, name) {
			a.VouchedBy[name] = values[0]
		}
	}
	slices.Sort(a.Received)
	writeJSON(w, http.StatusOK, a)
}

func (s *Server) serveChat(w http.ResponseWriter, r *http.Request) {
	way := r.PathValue("way")
	if way != "" && !slices.Contains(ways, way) {
		http.NotFound(w, r)
		return
	}
	s.room.serve(w, r, userFrom(r.Context()), way)
}

func writeJSON(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(v)
}

// parseLogin returns the login system's base URL without a trailing slash, and
// its origin.
func parseLogin(raw string) (base, origin string, err error) {
	if raw == "" {
		return "", "", nil
	}
	u, err := url.Parse(raw)
	if err != nil {
		return "", "", errors.New("demo: LoginURL is not a URL")
	}
	// The host becomes part of a header in which these would start something new.
	if (u.Scheme != "http" && u.Scheme != "https") || u.Host == "" || u.User != nil ||
		u.RawQuery != "" || u.Fragment != "" || strings.ContainsAny(u.Host, ";, '\"*") {
		return "", "", errors.New("demo: LoginURL must be http(s)://host[:port][/path]")
	}
	return strings.TrimSuffix(u.String(), "/"), u.Scheme + "://" + u.Host, nil
}

// policy returns the page's Content-Security-Policy: everything from here,
// nothing inline, calls only to here and to the login system.
func policy(loginOrigin string) string {
	return strings.Join([]string{
		"default-src 'self'",
		strings.TrimSpace("connect-src 'self' ws: wss: " + loginOrigin),
		"object-src 'none'",
		"base-uri 'none'",
		"form-action 'self'",
		"frame-ancestors 'none'",
		"require-trusted-types-for 'script'",
	}, "; ")
}
