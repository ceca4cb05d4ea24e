package issuer

import (
	"bytes"
	"context"
	"embed"
	"html/template"
	"net/http"
	"slices"
	"time"

	"github.com/zitadel/oidc/v3/pkg/oidc"
	"github.com/zitadel/oidc/v3/pkg/op"
)

// login is an authorization request, and once somebody has signed in, who that is. A stored
// login is never changed: signing in replaces it.
type login struct {
	id      string
	request oidc.AuthRequest

	user     *User // nil until somebody has signed in
	sid      string
	scopes   []string
	authTime time.Time
}

var _ op.AuthRequest = (*login)(nil)

func (l *login) GetID() string                      { return l.id }
func (l *login) GetACR() string                     { return "" }
func (l *login) GetAMR() []string                   { return nil }
func (l *login) GetAudience() []string              { return []string{l.request.ClientID} }
func (l *login) GetAuthTime() time.Time             { return l.authTime }
func (l *login) GetClientID() string                { return l.request.ClientID }
func (l *login) GetNonce() string                   { return l.request.Nonce }
func (l *login) GetRedirectURI() string             { return l.request.RedirectURI }
func (l *login) GetResponseType() oidc.ResponseType { return l.request.ResponseType }
func (l *login) GetResponseMode() oidc.ResponseMode { return l.request.ResponseMode }
func (l *login) GetScopes() []string                { return l.scopes }
func (l *login) GetState() string                   { return l.request.State }
func (l *login) Done() bool                         { return l.user != nil }

func (l *login) GetCodeChallenge() *oidc.CodeChallenge {
	return &oidc.CodeChallenge{Challenge: l.request.CodeChallenge, Method: l.request.CodeChallengeMethod}
}

func (l *login) GetSubject() string {
	if l.user == nil {
		return ""
	}
	return l.user.Subject
}

func (l *login) grant() grant {
	return grant{user: l.user, clientID: l.request.ClientID, scopes: l.scopes, sid: l.sid, authTime: l.authTime}
}

// CreateAuthRequest is where PKCE with S256 is demanded: op would only ask for it when the
// code is exchanged, and would take "plain" as well.
func (s *storage) CreateAuthRequest(_ context.Context, req *oidc.AuthRequest, _ string) (op.AuthRequest, error) {
	if req.CodeChallenge == "" || req.CodeChallengeMethod != oidc.CodeChallengeMethodS256 {
		return nil, oidc.ErrInvalidRequest().WithDescription("PKCE with code_challenge_method S256 is required")
	}
	if slices.Contains(req.Prompt, oidc.PromptNone) {
		return nil, oidc.ErrLoginRequired() // nobody stays signed in here
	}
	l := &login{id: newID(), request: *req}
	st := s.store
	st.mu.Lock()
	defer st.mu.Unlock()
	now := st.now()
	if !st.logins.put(now, l.id, l, now.Add(loginLifetime)) {
		return nil, errFull
	}
	return l, nil
}

func (s *storage) AuthRequestByID(_ context.Context, id string) (op.AuthRequest, error) {
	l, ok := s.store.login(id)
	if !ok {
		return nil, oidc.ErrInvalidRequest().WithDescription("this login has expired")
	}
	return l, nil
}

func (s *storage) SaveAuthCode(_ context.Context, id, code string) error {
	st := s.store
	st.mu.Lock()
	defer st.mu.Unlock()
	now := st.now()
	if !st.codes.put(now, code, id, now.Add(loginLifetime)) {
		return errFull
	}
	return nil
}

// AuthRequestByCode uses the code up, whatever comes of it: op asks before it has checked
// anything, and would let two concurrent requests exchange the same code.
func (s *storage) AuthRequestByCode(_ context.Context, code string) (op.AuthRequest, error) {
	st := s.store
	st.mu.Lock()
	defer st.mu.Unlock()
	id, ok := st.codes.take(st.now(), code)
	if !ok {
		return nil, errNoGrant
	}
	l, ok := st.logins.take(st.now(), id)
	if !ok {
		return nil, errNoGrant
	}
	return l, nil
}

func (s *storage) DeleteAuthRequest(_ context.Context, id string) error {
	s.store.mu.Lock()
	defer s.store.mu.Unlock()
	s.store.logins.remove(id)
	return nil
}

func (s *store) login(id string) (*login, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.logins.get(s.now(), id)
}

// signIn finishes a login, once. The scopes are narrowed to what the user may have.
func (s *store) signIn(id string, u *User) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.now()
	l, ok := s.logins.get(now, id)
	if !ok || l.Done() {
		return false
	}
	done := *l
	done.user, done.sid, done.authTime = u, newID(), now
	done.scopes = u.grantable(l.request.Scopes)
	return s.logins.put(now, id, &done, now.Add(loginLifetime))
}

//go:embed pages
var pageFiles embed.FS

var pages = template.Must(template.ParseFS(pageFiles, "pages/*.html"))

// render writes a page. Nothing is loaded but our style sheet, and no page may be framed.
// formTargets are the origins that an answer to the page's form may lead to: Chromium applies
// form-action to the redirects too.
func render(w http.ResponseWriter, status int, page string, formTargets string, data any) {
	var buf bytes.Buffer
	if err := pages.ExecuteTemplate(&buf, page, data); err != nil {
		http.Error(w, "page cannot be shown", http.StatusInternalServerError)
		return
	}
	h := w.Header()
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Content-Security-Policy", "default-src 'none'; style-src 'self'; base-uri 'none'; "+
		"frame-ancestors 'none'; form-action 'self' "+formTargets)
	w.WriteHeader(status)
	w.Write(buf.Bytes())
}

type loginPage struct {
	ID    string
	App   string // host of the application
	Users []loginUser
}

type loginUser struct {
	*User
	Initial string
}

// showLogin is where op sends the browser to.
func (i *Issuer) showLogin(w http.ResponseWriter, r *http.Request) {
	id := r.FormValue("id")
	if l, ok := i.store.login(id); !ok || l.Done() {
		i.showError(w, http.StatusBadRequest, "This sign-in is no longer valid", "It took too long, or it has been used already.")
		return
	}
	data := loginPage{ID: id, App: i.appURL.Host}
	for _, u := range i.users {
		data.Users = append(data.Users, loginUser{u, u.initial()})
	}
	render(w, http.StatusOK, "login.html", i.appOrigin, data)
}

// doLogin signs in the user whose button was pressed.
func (i *Issuer) doLogin(w http.ResponseWriter, r *http.Request) {
	id := r.PostFormValue("id")
	u := i.users.find(r.PostFormValue("user"))
	if u == nil {
		i.showError(w, http.StatusBadRequest, "No such user", "Pick one of the sample users.")
		return
	}
	if !i.store.signIn(id, u) {
		i.showError(w, http.StatusBadRequest, "This sign-in is no longer valid", "It took too long, or it has been used already.")
		return
	}
	i.log.InfoContext(r.Context(), "signed in", "sub", u.Subject)
	http.Redirect(w, r, i.callbackURL(r.Context(), id), http.StatusSeeOther)
}

type messagePage struct{ Title, Text, Link, LinkText string }

func (i *Issuer) showError(w http.ResponseWriter, status int, title, text string) {
	render(w, status, "message.html", "", messagePage{title, text, i.appURL.String(), "Back to the application"})
}
