package interop

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
)

// callback is where an application takes codes; there is none.
const callback = "http://127.0.0.1/callback"

// register makes a client (RFC 7591) that takes codes at the one URI, and is to
// be told about logouts at the other.
func (p *oidcProvider) register(t testing.TB, redirectURI, logoutURI string) (client string) {
	t.Helper()
	wish, err := json.Marshal(map[string]any{
		"redirect_uris": []string{redirectURI}, "token_endpoint_auth_method": "none",
		"backchannel_logout_uri": logoutURI, "backchannel_logout_session_required": true,
	})
	if err != nil {
		t.Fatal(err)
	}
	resp, err := newBrowser(t).Post(p.issuer+"/reg", "application/json", bytes.NewReader(wish))
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	var made struct {
		ID string `json:"client_id"`
	}
	if err := json.NewDecoder(resp.Body).Decode(&made); err != nil || made.ID == "" {
		t.Fatalf("no client: %s, %v", resp.Status, err)
	}
	return made.ID
}

// An authorization is one that an application asks a user for, by authorization
// code and PKCE.
type authorization struct {
	url      string // where the user is sent
	state    string
	endpoint string     // where the code is redeemed
	form     url.Values // with which
}

// authorize begins an authorization. With a resource the access token is a JWT
// for it.
func (p *oidcProvider) authorize(client, redirectURI, resource string) authorization {
	state, verifier := rand.Text(), rand.Text()+rand.Text()
	challenge := sha256.Sum256([]byte(verifier))
	ask := url.Values{
		"client_id": {client}, "redirect_uri": {redirectURI}, "response_type": {"code"},
		"scope": {"openid chat"}, "state": {state},
		"code_challenge": {base64.RawURLEncoding.EncodeToString(challenge[:])}, "code_challenge_method": {"S256"},
	}
	form := url.Values{
		"client_id": {client}, "redirect_uri": {redirectURI}, "grant_type": {"authorization_code"}, "code_verifier": {verifier},
	}
	if resource != "" {
		ask.Set("resource", resource)
		form.Set("resource", resource)
	}
	return authorization{p.issuer + "/auth?" + ask.Encode(), state, p.issuer + "/token", form}
}

// redeem gets the tokens for what the user came back with.
func (a authorization) redeem(ctx context.Context, back url.Values) (access, idToken string, err error) {
	if back.Get("state") != a.state {
		return "", "", errors.New("the user came back with another state")
	}
	a.form.Set("code", back.Get("code"))
	body, err := post(ctx, a.endpoint, "application/x-www-form-urlencoded", strings.NewReader(a.form.Encode()), nil)
	if err != nil {
		return "", "", err
	}
	var tokens struct {
		Access string `json:"access_token"`
		ID     string `json:"id_token"`
	}
	if err := json.Unmarshal(body, &tokens); err != nil {
		return "", "", err
	}
	return said.secret("an access token of a login", tokens.Access), said.secret("an ID token of a login", tokens.ID), nil
}

// startApplication starts a backend that serves a page, and signs its users in:
// they leave by /app/login, and come back to /app/callback.
func (p *oidcProvider) startApplication(t *testing.T, client, origin string) (backend string) {
	t.Helper()
	var begun sync.Map // authorizations by state
	mux := http.NewServeMux()
	mux.Handle("GET /", http.FileServer(http.Dir("page")))
	mux.HandleFunc("GET /app/login", func(w http.ResponseWriter, r *http.Request) {
		a := p.authorize(client, origin+"/app/callback", "")
		begun.Store(a.state, a)
		http.Redirect(w, r, a.url, http.StatusFound)
	})
	mux.HandleFunc("GET /app/callback", func(w http.ResponseWriter, r *http.Request) {
		a, _ := begun.LoadAndDelete(r.FormValue("state"))
		known, _ := a.(authorization)
		access, _, err := known.redeem(r.Context(), r.Form)
		if err != nil {
			t.Error(err)
			http.Error(w, "no tokens", http.StatusBadGateway)
			return
		}
		http.SetCookie(w, &http.Cookie{Name: "session", Value: access, Path: "/", HttpOnly: true, SameSite: http.SameSiteLaxMode})
		http.Redirect(w, r, "/", http.StatusFound)
	})
	s := httptest.NewServer(mux)
	t.Cleanup(s.Close)
	return s.URL
}
