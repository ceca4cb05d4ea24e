package gateway

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math"
	"mime"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/portcullis-auth/portcullis"
	"github.com/portcullis-auth/portcullis/gateway/config"
	"github.com/portcullis-auth/portcullis/internal/strictjson"
)

// Our own endpoints on the public listener.
const (
	ticketPath  = "/.portcullis/ticket"
	renewPath   = "/.portcullis/renew"
	sessionPath = "/.portcullis/session"
)

// maxAsked bounds the body of a call to one of them, in bytes.
const maxAsked = 4 << 10

// own serves the endpoints that pages call. They take tokens by bearer header
// and cookie only, and answer pages of the routes' origins, with their cookies.
type own struct {
	g       *gate
	policy  portcullis.Policy
	origins []hostOrigin
}

// A hostOrigin is an origin that a route lists, and the route's host.
type hostOrigin struct{ host, origin string }

func (g *gate) newOwn() *own {
	o := &own{g: g}
	for i := range g.config.Routes {
		for _, origin := range g.config.Routes[i].Origins {
			o.origins = append(o.origins, hostOrigin{g.config.Routes[i].Host, origin})
		}
	}
	for i, place := range g.config.Tokens {
		if place.In == "bearer" || place.In == "cookie" {
			o.policy.Sources = append(o.policy.Sources, sources(g.config.Tokens)[i])
		}
	}
	if o.policy.Sources == nil {
		o.policy.Sources = []portcullis.TokenSource{portcullis.Bearer}
	}
	return o
}

// serve answers if the path is one of ours.
func (o *own) serve(w http.ResponseWriter, r *http.Request) bool {
	var method string
	var handler func(http.ResponseWriter, *http.Request)
	switch r.URL.Path {
	case ticketPath:
		method, handler = http.MethodPost, o.ticket
	case renewPath:
		method, handler = http.MethodPost, o.renew
	case sessionPath:
		method, handler = http.MethodGet, o.session
	default:
		return false
	}
	h := w.Header()
	h.Set("Cache-Control", "no-store")
	h.Add("Vary", "Origin")
	origin, ok := o.origin(r)
	if !ok {
		o.g.refuse(w, r, http.StatusForbidden, "origin: list it in the origins of a route if its pages may call this")
		return true
	}
	if origin != "" {
		h.Set("Access-Control-Allow-Origin", origin)
		h.Set("Access-Control-Allow-Credentials", "true")
		h.Set("Access-Control-Expose-Headers", "Retry-After")
	}
	switch {
	case r.Method == http.MethodOptions && origin != "":
		h.Set("Access-Control-Allow-Methods", method)
		h.Set("Access-Control-Allow-Headers", "Authorization, Content-Type")
		h.Set("Access-Control-Max-Age", "600")
		w.WriteHeader(http.StatusNoContent)
	case r.Method != method:
		h.Set("Allow", method)
		o.g.refuse(w, r, http.StatusMethodNotAllowed, "use "+method)
	default:
		handler(w, r)
	}
	return true
}

// origin returns the Origin of a page, which must be the own one or that of a
// route; "" where there is none.
func (o *own) origin(r *http.Request) (origin string, ok bool) {
	switch origins := r.Header["Origin"]; len(origins) {
	case 0:
		return "", true
	case 1:
		origin = origins[0]
	default:
		return "", false
	}
	listed := func(l hostOrigin) bool {
		return strings.EqualFold(origin, l.origin) && config.HostMatches(l.host, r.Host)
	}
	return origin, strings.EqualFold(origin, scheme(r)+"://"+r.Host) || slices.ContainsFunc(o.origins, listed)
}

// admitted is who calls one of our endpoints.
type admitted struct {
	*portcullis.Session
	token string
}

// admit lets a call through, or answers it. The caller closes the session.
func (o *own) admit(w http.ResponseWriter, r *http.Request, allow func(*http.Request, *portcullis.Identity) error) (a admitted, ok bool) {
	p := portcullis.Policy{Allow: allow}
	byCookie := false
	for _, source := range o.policy.Sources {
		p.Sources = append(p.Sources, func(r *http.Request) (string, bool) {
			before := r.Header["Cookie"]
			token, ok := source(r)
			if ok && a.token == "" {
				a.token, byCookie = token, !slices.Equal(before, r.Header["Cookie"])
			}
			return token, ok
		})
	}
	var err error
	a.Session, err = o.g.guard.Admit(r, &p)
	if err == nil && byCookie && r.Method != http.MethodGet && r.Header.Get("Origin") == "" {
		// Browsers send the Origin with each POST: somebody hides it (CSRF).
		a.Close()
		err = fmt.Errorf("%w: a call by cookie needs an Origin header; clients that aren't browsers send a bearer token", portcullis.ErrForbidden)
		o.g.logRefused(r, slog.String("why", err.Error()))
	}
	if err == nil {
		if err = o.g.signals.check(a.Request().Context(), a.Identity()); err != nil {
			a.Close()
		}
	}
	if err != nil {
		portcullis.DenyStatus(w, r, err)
		return a, false
	}
	return a, true
}

// ask reads the body: an object with one string of that name.
func (o *own) ask(w http.ResponseWriter, r *http.Request, name string) (value string, ok bool) {
	media, _, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if err != nil || media != "application/json" {
		o.g.refuse(w, r, http.StatusUnsupportedMediaType, "send application/json")
		return "", false
	}
	_ = http.NewResponseController(w).SetReadDeadline(time.Now().Add(10 * time.Second)) // L1: nobody is authorized yet
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxAsked))
	members, badJSON := strictjson.Object(body)
	if err != nil || badJSON != nil || len(members) != 1 || json.Unmarshal(members[name], &value) != nil || value == "" {
		o.g.refuse(w, r, http.StatusBadRequest, fmt.Sprintf(`send {%q: "..."}`, name))
		return "", false
	}
	return value, true
}

// ticket gives out a ticket for a socket.
func (o *own) ticket(w http.ResponseWriter, r *http.Request) {
	if o.g.tickets == nil {
		o.g.refuse(w, r, http.StatusNotFound, "tickets are not enabled")
		return
	}
	path, ok := o.ask(w, r, "path")
	if !ok {
		return
	}
	c, found := o.g.table.Find(r.Host, path)
	if u, err := url.ParseRequestURI(path); err != nil || u.Path != path || !found || c.Public {
		o.g.refuse(w, r, http.StatusBadRequest, "path: no route with tokens is there; write it decoded, without query")
		return
	}
	allow := o.g.routes[c].policy.Allow
	a, ok := o.admit(w, r, func(r *http.Request, id *portcullis.Identity) error {
		if allow == nil {
			return nil
		}
		socket := r.Clone(r.Context()) // what the rule will see again when the ticket is redeemed
		socket.Method, socket.URL, socket.RequestURI = http.MethodGet, &url.URL{Path: path}, path
		return allow(socket, id)
	})
	if !ok {
		return
	}
	defer a.Close()
	now := time.Now()
	sealed, session, err := o.g.tickets.issue(a.token, r.Header.Get("Origin"), r.Host, path, now)
	if err != nil {
		o.g.logRefused(r, slog.String("why", err.Error()))
		o.g.refuse(w, r, http.StatusServiceUnavailable, "tickets cannot be made now")
		return
	}
	answerOwn(w, map[string]any{
		"ticket": sealed, "expires_in": int(o.g.tickets.lifetime / time.Second),
		"session": session, "valid_for": seconds(a.Expires(), now),
	})
}

// renew extends a live session by a fresh token.
func (o *own) renew(w http.ResponseWriter, r *http.Request) {
	handle, ok := o.ask(w, r, "session")
	if !ok {
		return
	}
	a, ok := o.admit(w, r, nil)
	if !ok {
		return
	}
	defer a.Close()
	var s *portcullis.Session
	if o.g.tickets != nil {
		s = o.g.tickets.socket(handle)
	}
	if s == nil {
		s = o.g.guard.Session(handle)
	}
	err := portcullis.ErrNoSession
	if s != nil {
		err = o.g.guard.Renew(r.Context(), s.Handle(), a.token)
	}
	switch {
	case err == nil:
		answerOwn(w, map[string]any{"valid_for": seconds(s.Expires(), time.Now())})
	case s == nil || s.Err() != nil && !errors.Is(err, portcullis.ErrForbidden), errors.Is(err, portcullis.ErrNoSession):
		o.g.refuse(w, r, http.StatusNotFound, "no such session, or not any more")
	default:
		o.g.logRefused(r, slog.String("why", err.Error()))
		portcullis.DenyStatus(w, r, err)
	}
}

// session tells who the token speaks for, and which sockets the same login has.
func (o *own) session(w http.ResponseWriter, r *http.Request) {
	a, ok := o.admit(w, r, nil)
	if !ok {
		return
	}
	defer a.Close()
	id, now := a.Identity(), time.Now()
	type socket struct {
		Session  string `json:"session"`
		Path     string `json:"path"`
		ValidFor int    `json:"valid_for"`
	}
	sockets := []socket{}
	for info := range o.g.guard.Sessions() {
		if info.Kind == "socket" && id.Subject != "" && info.Verifier == id.VerifiedBy && info.Issuer == id.Issuer && info.Subject == id.Subject && info.SessionID == id.SessionID {
			sockets = append(sockets, socket{info.Handle, info.Path, seconds(info.Expires, now)})
		}
	}
	answerOwn(w, map[string]any{
		"iss": id.Issuer, "sub": id.Subject, "sid": id.SessionID, "scopes": append([]string{}, id.Scopes...),
		"valid_for": seconds(a.Expires(), now), "sockets": sockets,
	})
}

// seconds returns how many whole seconds there are until then.
func seconds(until, now time.Time) int {
	return int(max(0, math.Floor(until.Sub(now).Seconds())))
}

func answerOwn(w http.ResponseWriter, v any) {
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(v) // the client may have gone
}

// closeCodes are the configured words for what sockets are closed with.
func closeCodes(c *config.Route) func(error) (int, string) {
	switch c.CloseCodes {
	case "4xxx":
		return portcullis.CloseStatus4xxx
	case "policy":
		return portcullis.CloseStatusPolicy
	}
	return portcullis.CloseStatus
}
