package gateway

import (
	"context"
	"encoding/base64"
	"net/http"
	"net/url"

	"github.com/portcullis-auth/portcullis"
	"github.com/portcullis-auth/portcullis/gateway/config"
	"github.com/portcullis-auth/portcullis/verify/choose"
)

// An Explanation says what becomes of a token, and why. It never holds it.
type Explanation struct {
	Steps    []choose.Step        // what each token system was asked and said
	Identity *portcullis.Identity // who the token speaks for; nil if Err isn't
	Err      error                // why nobody
	Routes   []Passage            // in the order of the file; nil if Err isn't
}

// A Passage says what becomes of a good token on one route.
type Passage struct {
	Route *config.Route
	Ways  []Way // by which a token may come there, in order
	Err   error // of the rule; nil: it passes
}

// A Way is a place for a token in a request, and whether this token can come
// that way: there are places that can't hold each character.
type Way struct {
	Place config.Place
	Fits  bool
}

// Explain asks the token systems about the token, as a request does, and the
// routes' rules about who it speaks for: as for a GET of the route's own path.
// Revocations are known to a running gateway only.
func (g *Gateway) Explain(ctx context.Context, token string) *Explanation {
	e, now := new(Explanation), g.current.Load()
	e.Steps, e.Err = now.verifiers.choice.Explain(ctx, token)
	for _, s := range e.Steps {
		if s.Identity != nil {
			e.Identity = s.Identity
		}
	}
	if e.Err != nil {
		return e
	}
	// The Guard has the last word: about the time, for one.
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://localhost/", http.NoBody)
	if err != nil {
		e.Err = err
		return e
	}
	s, err := g.guard.Admit(r, &portcullis.Policy{Sources: []portcullis.TokenSource{
		func(*http.Request) (string, bool) { return token, true },
	}})
	if err != nil {
		e.Err = err
		return e
	}
	s.Close()
	for i := range now.config.Routes {
		if c := &now.config.Routes[i]; !c.Public {
			e.Routes = append(e.Routes, now.passage(ctx, now.routes[c], token, e.Identity))
		}
	}
	return e
}

// passage says what becomes of a token on a route.
func (g *gate) passage(ctx context.Context, rt *route, token string, id *portcullis.Identity) Passage {
	p := Passage{Route: rt.Route}
	places := g.places(rt.Route)
	for i, source := range sources(places) {
		place := places[i]
		got, ok := source(carrying(ctx, rt.Route, place, token))
		p.Ways = append(p.Ways, Way{place, ok && got == token})
	}
	if rt.policy.Allow != nil {
		p.Err = rt.policy.Allow(carrying(ctx, rt.Route, config.Place{}, ""), id)
	}
	return p
}

// carrying returns a request for the route with the token in that place, as a
// client would put it there.
func carrying(ctx context.Context, c *config.Route, place config.Place, token string) *http.Request {
	r := (&http.Request{
		Method: http.MethodGet, Host: c.Host, URL: &url.URL{Path: c.Path},
		Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1, Header: http.Header{},
	}).WithContext(ctx)
	switch place.In {
	case "bearer":
		r.Header.Set("Authorization", "Bearer "+token)
	case "cookie":
		r.Header.Set("Cookie", place.Name+"="+token)
	case "query":
		r.URL.RawQuery = url.Values{place.Name: {token}}.Encode()
	case "subprotocol":
		r.Header.Set("Sec-Websocket-Protocol", "base64url.bearer.authorization."+base64.RawURLEncoding.EncodeToString([]byte(token)))
	}
	r.RequestURI = r.URL.RequestURI()
	return r
}
