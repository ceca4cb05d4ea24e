package issuer

import (
	"context"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"
)

const (
	appSessionCookie = "portcullis_demo_app"   // id of the server-side session
	appLoginCookie   = "portcullis_demo_login" // binds logins that are under way to the browser
	appPath          = "/app/"
)

// app is the demo application's own login system: an OIDC client of the issuer, which keeps
// the access token in a cookie and the refresh token to itself.
type app struct {
	issuer      string
	appURL      *url.URL
	appOrigin   string
	redirectURI string
	cookieName  string
	kind        Kind // of tokens, where a login doesn't say
	secure      bool // cookies: only where the issuer is at an https URL
	lifetime    time.Duration
	op          *opClient
	iss         *Issuer
	handler     http.Handler

	mu       sync.Mutex             // guards what follows
	pending  expiring[pendingLogin] // by state
	sessions expiring[*appSession]  // by the session cookie
}

// pendingLogin is a login between /app/login and /app/callback.
type pendingLogin struct {
	browser  string // value of the login cookie
	clientID string
	verifier string // PKCE
	nonce    string
	returnTo string
}

// appSession is what the application remembers of a logged-in browser.
type appSession struct {
	clientID string
	subject  string

	mu      sync.Mutex // guards what follows, and makes refreshes take turns
	refresh string
	idToken string
	ended   bool
}

func newApp(i *Issuer, cookieName string, kind Kind) (*app, error) {
	if err := (&http.Cookie{Name: cookieName, Value: "x"}).Valid(); err != nil {
		return nil, err
	}
	a := &app{
		issuer:      i.url,
		appURL:      i.appURL,
		appOrigin:   i.appOrigin,
		redirectURI: i.url + appPath + "callback",
		cookieName:  cookieName,
		kind:        kind,
		secure:      strings.HasPrefix(i.url, "https:"),
		lifetime:    i.store.refreshLifetime,
		op:          newOPClient(i.url, i),
		iss:         i,
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /app/login", a.login)
	mux.HandleFunc("GET /app/callback", a.callback)
	mux.HandleFunc("POST /app/refresh", a.refresh)
	mux.HandleFunc("GET /app/logout", a.confirmLogout)
	mux.HandleFunc("POST /app/logout", a.logout)
	var err error
	a.handler, err = guardOrigin(a.appOrigin, mux)
	return a, err
}

// login sends the browser to the issuer: authorization code with PKCE, state and nonce.
func (a *app) login(w http.ResponseWriter, r *http.Request) {
	returnTo, ok := a.returnTo(r)
	if !ok {
		a.iss.showError(w, http.StatusBadRequest, "Not that way", "return_to must be a page of "+a.appOrigin+".")
		return
	}
	kind := a.kind
	switch r.FormValue("kind") {
	case "":
	case "opaque":
		kind = Opaque
	case "jwt":
		kind = JWT
	default:
		a.iss.showError(w, http.StatusBadRequest, "Not that way", "kind must be opaque or jwt.")
		return
	}
	// One cookie for all tabs: each login has its own state, and the cookie says whose it is.
	p := pendingLogin{clientID: kind.clientID(), verifier: newID() + newID(), nonce: newID(), returnTo: returnTo}
	if c, err := r.Cookie(appLoginCookie); err == nil && len(c.Value) == len(newID()) {
		p.browser = c.Value
	} else {
		p.browser = newID()
	}
	state := newID()
	now := a.iss.store.now()
	a.mu.Lock()
	stored := a.pending.put(now, state, p, now.Add(loginLifetime))
	a.mu.Unlock()
	if !stored {
		a.iss.showError(w, http.StatusServiceUnavailable, "Too many sign-ins", "Try again later.")
		return
	}
	a.setCookie(w, &http.Cookie{
		Name: appLoginCookie, Value: p.browser, Path: appPath,
		MaxAge: int(loginLifetime / time.Second), HttpOnly: true,
	})
	http.Redirect(w, r, a.op.authorizeURL(p, state, a.redirectURI, a.iss.users.scopes()), http.StatusFound)
}

// callback is where the issuer sends the browser back to.
func (a *app) callback(w http.ResponseWriter, r *http.Request) {
	now := a.iss.store.now()
	a.mu.Lock()
	p, ok := a.pending.take(now, r.FormValue("state"))
	a.mu.Unlock()
	c, err := r.Cookie(appLoginCookie)
	if !ok || err != nil || c.Value != p.browser {
		a.iss.showError(w, http.StatusBadRequest, "This sign-in is not yours", "It took too long, or was begun in another browser.")
		return
	}
	if code := r.FormValue("error"); code != "" {
		a.iss.showError(w, http.StatusBadRequest, "Sign-in failed", "The token system says: "+code+".")
		return
	}
	tokens, err := a.op.exchange(r.Context(), p, r.FormValue("code"), a.redirectURI)
	if err != nil {
		a.iss.log.WarnContext(r.Context(), "code exchange failed", "error", err)
		a.iss.showError(w, http.StatusBadRequest, "Sign-in failed", "The token system did not accept the code.")
		return
	}
	// Whoever was logged in here before is so no longer (ASVS 5.0, 7.2.4).
	a.endSession(r)

	s := &appSession{clientID: p.clientID, subject: tokens.subject, refresh: tokens.Refresh, idToken: tokens.ID}
	id := newID()
	a.mu.Lock()
	stored := a.sessions.put(now, id, s, now.Add(a.lifetime))
	a.mu.Unlock()
	if !stored {
		a.iss.showError(w, http.StatusServiceUnavailable, "Too many sessions", "Try again later.")
		return
	}
	a.setToken(w, tokens.Access)
	a.setCookie(w, &http.Cookie{Name: appSessionCookie, Value: id, Path: appPath, HttpOnly: true})
	http.Redirect(w, r, p.returnTo, http.StatusSeeOther)
}

// refresh puts a fresh access token into the cookie. 401 says that the session is over, and
// takes the cookies away.
func (a *app) refresh(w http.ResponseWriter, r *http.Request) {
	id, s := a.session(r)
	if s == nil {
		a.forget(w)
		http.Error(w, "not logged in", http.StatusUnauthorized)
		return
	}
	// Refresh tokens are good for one use: two tabs take turns.
	s.mu.Lock()
	defer s.mu.Unlock()
	tokens, err := a.op.refresh(r.Context(), s.clientID, s.refresh)
	if err != nil || s.ended {
		a.mu.Lock()
		a.sessions.remove(id)
		a.mu.Unlock()
		a.forget(w)
		http.Error(w, "the session is over", http.StatusUnauthorized)
		return
	}
	s.refresh, s.idToken = tokens.Refresh, tokens.ID
	now := a.iss.store.now()
	a.mu.Lock()
	if _, ok := a.sessions.get(now, id); ok {
		a.sessions.put(now, id, s, now.Add(a.lifetime))
	}
	a.mu.Unlock()
	a.setToken(w, tokens.Access)
	w.WriteHeader(http.StatusNoContent)
}

// logout ends the session, here and at the issuer. When it answers, the tokens are dead and
// the receivers of logout tokens have been told.
func (a *app) logout(w http.ResponseWriter, r *http.Request) {
	returnTo, ok := a.returnTo(r)
	if !ok {
		a.iss.showError(w, http.StatusBadRequest, "Not that way", "return_to must be a page of "+a.appOrigin+".")
		return
	}
	if r.FormValue("everywhere") == "true" {
		if _, s := a.session(r); s != nil {
			// What could not be delivered has been logged; the logout stands.
			_ = a.iss.LogoutUser(context.WithoutCancel(r.Context()), s.subject)
		}
	}
	a.endSession(r)
	a.forget(w)
	if wantsPage(r) {
		http.Redirect(w, r, returnTo, http.StatusSeeOther)
		return
	}
	w.WriteHeader(http.StatusNoContent)
}

type logoutPage struct{ App, ReturnTo string }

// confirmLogout asks: a GET must not log anybody out.
func (a *app) confirmLogout(w http.ResponseWriter, r *http.Request) {
	returnTo, ok := a.returnTo(r)
	if !ok {
		a.iss.showError(w, http.StatusBadRequest, "Not that way", "return_to must be a page of "+a.appOrigin+".")
		return
	}
	render(w, http.StatusOK, "logout.html", a.appOrigin, logoutPage{App: a.appURL.Host, ReturnTo: returnTo})
}

// session finds the browser's session by its cookie; nil if there is none.
func (a *app) session(r *http.Request) (id string, s *appSession) {
	c, err := r.Cookie(appSessionCookie)
	if err != nil {
		return "", nil
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	s, _ = a.sessions.get(a.iss.store.now(), c.Value)
	return c.Value, s
}

// endSession logs the browser's session out at the issuer, if there is one. It goes on when
// the browser does not wait for it.
func (a *app) endSession(r *http.Request) {
	id, s := a.session(r)
	if s == nil {
		return
	}
	a.mu.Lock()
	a.sessions.remove(id)
	a.mu.Unlock()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.ended = true
	if err := a.op.endSession(context.WithoutCancel(r.Context()), s.idToken); err != nil {
		a.iss.log.WarnContext(r.Context(), "logout failed", "error", err)
	}
}

// setToken hands the access token to the browser.
//
// The cookie is deliberately not HttpOnly: the page puts the token into the WebSocket URL or
// subprotocol, which is what the demo is to show. It has no Max-Age, so that it outlives the
// token and an expired token is seen to be refused.
func (a *app) setToken(w http.ResponseWriter, access string) {
	a.setCookie(w, &http.Cookie{Name: a.cookieName, Value: access, Path: "/"})
}

// forget takes the cookies of a session away.
func (a *app) forget(w http.ResponseWriter) {
	a.setCookie(w, &http.Cookie{Name: a.cookieName, Path: "/", MaxAge: -1})
	a.setCookie(w, &http.Cookie{Name: appSessionCookie, Path: appPath, MaxAge: -1, HttpOnly: true})
}

func (a *app) setCookie(w http.ResponseWriter, c *http.Cookie) {
	c.SameSite, c.Secure = http.SameSiteLaxMode, a.secure
	http.SetCookie(w, c)
}
