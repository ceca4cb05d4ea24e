package issuer

import (
	"cmp"
	"context"
	"crypto/rsa"
	"crypto/sha256"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/zitadel/oidc/v3/pkg/op"
)

// Config says what an Issuer is to be like. URL and IntrospectionSecret are required.
type Config struct {
	URL    string // own origin as browsers and gateways see it: the "iss" claim
	AppURL string // origin of the application's pages; empty: URL

	AccessLifetime  time.Duration // of access tokens; 0: 5 minutes
	RefreshLifetime time.Duration // of each refresh token; 0: 12 hours

	IntrospectionClientID string           // the gateway's client id; empty: "gateway"
	IntrospectionSecret   string           // its secret
	IntrospectionKey      *jose.JSONWebKey // its public key, with KeyID, for private_key_jwt; nil: not offered
	Audience              string           // "aud" of access tokens; empty: IntrospectionClientID

	BackchannelLogoutURIs []string           // who is told of logouts; none: nobody
	LogoutToken           LogoutTokenSubject // what logout tokens of one session name
	Transport             http.RoundTripper  // sends the logout tokens; nil: one of its own, without proxies

	Kind       Kind            // of access tokens, where a login doesn't ask for one; zero: Opaque
	CookieName string          // where /app/ keeps the access token; empty: "session"
	Users      []User          // nil: SampleUsers
	SigningKey *rsa.PrivateKey // nil: a fresh 2048-bit key
	Log        *slog.Logger    // nil: slog.Default. No token is ever logged
}

// An Issuer is the token system: an http.Handler for everything under Config.URL. It keeps
// all state in memory and may be used concurrently. It starts no goroutine that outlives a
// call; Close cancels logout tokens on their way.
type Issuer struct {
	url       string
	appURL    *url.URL
	appOrigin string
	audience  string // of logout tokens: the gateway's client id
	logoutURI []string
	subject   LogoutTokenSubject
	users     directory
	log       *slog.Logger

	store   *store
	signer  *signer
	codec   *tokenCodec
	handler http.Handler
	client  *http.Client // sends logout tokens
	closed  context.Context
	close   context.CancelFunc

	callbackURL func(ctx context.Context, loginID string) string
}

// New checks the configuration and returns an Issuer, ready to serve. The caller closes it.
func New(cfg Config) (*Issuer, error) { return newIssuer(cfg, time.Now) }

func newIssuer(cfg Config, now func() time.Time) (*Issuer, error) {
	self, err := origin("URL", cfg.URL)
	if err != nil {
		return nil, err
	}
	app, err := origin("AppURL", cmp.Or(cfg.AppURL, cfg.URL))
	if err != nil {
		return nil, err
	}
	switch {
	case app.Hostname() != self.Hostname():
		return nil, fmt.Errorf("issuer: AppURL %s and URL %s must have the same host name (ports may differ), "+
			"or the cookie set here will not reach the application", app, self)
	case self.Scheme == "https" && app.Scheme != "https":
		return nil, fmt.Errorf("issuer: AppURL %s must be https like URL %s, or the Secure cookie will not reach it", app, self)
	case cfg.IntrospectionSecret == "":
		return nil, errors.New("issuer: IntrospectionSecret is required")
	case cfg.AccessLifetime < 0 || cfg.RefreshLifetime < 0:
		return nil, errors.New("issuer: lifetimes must not be negative")
	case cfg.LogoutToken < LogoutSubAndSid || cfg.LogoutToken > LogoutOnlySid:
		return nil, fmt.Errorf("issuer: unknown LogoutToken %d", cfg.LogoutToken)
	case cfg.IntrospectionKey != nil && (!cfg.IntrospectionKey.IsPublic() || cfg.IntrospectionKey.KeyID == ""):
		return nil, errors.New("issuer: IntrospectionKey must be a public key with a KeyID")
	}
	for _, u := range cfg.BackchannelLogoutURIs {
		if p, err := url.Parse(u); err != nil || p.Host == "" || p.Scheme != "http" && p.Scheme != "https" {
			return nil, fmt.Errorf("issuer: back-channel logout URI %q is not an http(s) URL", u)
		}
	}
	users, err := newDirectory(cfg.Users)
	if err != nil {
		return nil, err
	}
	gateway := cmp.Or(cfg.IntrospectionClientID, "gateway")
	if gateway == ClientOpaque || gateway == ClientJWT {
		return nil, fmt.Errorf("issuer: IntrospectionClientID %q is taken", gateway)
	}
	sg, err := newSigner(cfg.SigningKey)
	if err != nil {
		return nil, err
	}
	st := &store{
		now:             now,
		accessLifetime:  cmp.Or(cfg.AccessLifetime, 5*time.Minute),
		refreshLifetime: cmp.Or(cfg.RefreshLifetime, 12*time.Hour),
		audience:        []string{cmp.Or(cfg.Audience, gateway)},
	}
	codec, err := newTokenCodec(self.String(), st, sg)
	if err != nil {
		return nil, err
	}
	i := &Issuer{
		url: self.String(), appURL: app.JoinPath("/"), appOrigin: app.String(),
		audience: gateway, logoutURI: slices.Clone(cfg.BackchannelLogoutURIs), subject: cfg.LogoutToken,
		users: users, log: cmp.Or(cfg.Log, slog.Default()),
		store: st, signer: sg, codec: codec,
		client: newLogoutClient(cfg.Transport),
	}
	i.closed, i.close = context.WithCancel(context.Background())

	public := client{
		redirectURIs: []string{i.url + "/app/callback"},
		afterLogout:  []string{i.appOrigin, i.appURL.String()},
		scopes:       users.scopes(),
		loginURL:     i.url + "/login",
	}
	opaque, jwt := public, public
	opaque.id, jwt.id, jwt.kind = ClientOpaque, ClientJWT, JWT
	provider, err := i.newProvider(&storage{
		issuer: i.url, store: st, signer: sg, logout: i.LogoutSession,
		secret: sha256.Sum256([]byte(cfg.IntrospectionSecret)), key: cfg.IntrospectionKey,
		clients: map[string]*client{
			opaque.id: &opaque,
			jwt.id:    &jwt,
			gateway:   {id: gateway, confidential: true},
		},
	})
	if err != nil {
		return nil, fmt.Errorf("issuer: %w", err)
	}
	i.callbackURL = func(ctx context.Context, id string) string {
		return op.AuthCallbackURL(provider)(op.ContextWithIssuer(ctx, i.url), id)
	}
	i.handler, err = i.routes(provider, cmp.Or(cfg.CookieName, "session"), cfg.Kind)
	if err != nil {
		return nil, fmt.Errorf("issuer: %w", err)
	}
	return i, nil
}

// URL is the issuer's own URL, without a slash at the end: the "iss" of its tokens.
func (i *Issuer) URL() string { return i.url }

// ServeHTTP serves everything below the issuer's URL.
func (i *Issuer) ServeHTTP(w http.ResponseWriter, r *http.Request) { i.handler.ServeHTTP(w, r) }

// Close gives up logout tokens that are still on their way, and frees their connections. The
// HTTP server and its listener are the caller's. It always returns nil.
func (i *Issuer) Close() error {
	i.close()
	i.client.CloseIdleConnections()
	return nil
}

// origin parses a URL that must be nothing but scheme, host and port.
func origin(name, raw string) (*url.URL, error) {
	u, err := url.Parse(raw)
	if err != nil {
		return nil, fmt.Errorf("issuer: %s: %w", name, err)
	}
	if u.Scheme != "http" && u.Scheme != "https" || u.Hostname() == "" || u.User != nil ||
		u.RawQuery != "" || u.Fragment != "" || strings.Trim(u.Path, "/") != "" {
		return nil, fmt.Errorf("issuer: %s %q must look like http://127.0.0.1:9000", name, raw)
	}
	return &url.URL{Scheme: u.Scheme, Host: strings.ToLower(u.Host)}, nil
}
