// Package naive is what one writes in an afternoon: the standard library's
// reverse proxy behind a handler that asks the token system and remembers its
// answers. It checks once, at the handshake.
package naive

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httputil"
	"net/url"
	"strings"
	"sync"
	"time"
)

// An answer of the token system, and how long it is used.
type answer struct {
	Active bool   `json:"active"`
	Sub    string `json:"sub"`
	until  time.Time
}

type proxy struct {
	introspect string
	client     *http.Client
	answers    sync.Map // by token; a real one would forget some
	next       http.Handler
}

func (p *proxy) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	token, _ := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	a, err := p.ask(token)
	switch {
	case err != nil:
		http.Error(w, "cannot tell", http.StatusServiceUnavailable)
	case !a.Active:
		w.Header().Set("WWW-Authenticate", "Bearer")
		http.Error(w, "no", http.StatusUnauthorized)
	default:
		r.Header.Set("X-Forwarded-User", a.Sub)
		p.next.ServeHTTP(w, r)
	}
}

func (p *proxy) ask(token string) (a answer, err error) {
	if known, ok := p.answers.Load(token); ok {
		if a, ok := known.(answer); ok && time.Now().Before(a.until) {
			return a, nil
		}
	}
	response, err := p.client.PostForm(p.introspect, url.Values{"token": {token}})
	if err != nil {
		return a, err
	}
	defer response.Body.Close()
	if err := json.NewDecoder(response.Body).Decode(&a); err != nil {
		return a, err
	}
	a.until = time.Now().Add(5 * time.Minute)
	p.answers.Store(token, a)
	return a, nil
}

// Part is the proxy as a child. Its arguments are where it listens, the backend
// and the token system.
func Part(ctx context.Context, args []string, _ *json.Decoder, _ *json.Encoder) error {
	if len(args) != 3 {
		return errors.New("usage: naive LISTEN BACKEND TOKENS")
	}
	idle := &http.Transport{MaxIdleConnsPerHost: 256}
	backend := &url.URL{Scheme: "http", Host: args[1]}
	p := &proxy{
		introspect: "http://" + args[2] + "/introspect",
		client:     &http.Client{Transport: idle, Timeout: 5 * time.Second},
		next:       &httputil.ReverseProxy{Transport: idle, Rewrite: func(r *httputil.ProxyRequest) { r.SetURL(backend) }},
	}
	server := &http.Server{Addr: args[0], Handler: p, ReadHeaderTimeout: 10 * time.Second}
	context.AfterFunc(ctx, func() { _ = server.Close() })
	if err := server.ListenAndServe(); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}
