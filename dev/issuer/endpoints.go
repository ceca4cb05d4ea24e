package issuer

import (
	"context"
	"crypto/rand"
	"errors"
	"net/http"
	"net/url"
	"strings"

	"github.com/go-jose/go-jose/v4"
	"github.com/zitadel/oidc/v3/pkg/oidc"
	"github.com/zitadel/oidc/v3/pkg/op"
)

// maxBody bounds what anybody may send.
const maxBody = 64 << 10

func (i *Issuer) newProvider(s *storage) (*op.Provider, error) {
	cfg := &op.Config{
		DefaultLogoutRedirectURI:          i.appURL.String(),
		CodeMethodS256:                    true,
		AuthMethodPost:                    true,
		AuthMethodPrivateKeyJWT:           s.key != nil,
		GrantTypeRefreshToken:             true,
		SupportedScopes:                   append(append([]string(nil), protocolScopes...), i.users.scopes()...),
		SupportedClaims:                   supportedClaims,
		BackChannelLogoutSupported:        len(i.logoutURI) > 0,
		BackChannelLogoutSessionSupported: len(i.logoutURI) > 0 && i.subject != LogoutOnlySub,
	}
	rand.Read(cfg.CryptoKey[:])
	opts := []op.Option{
		op.WithCrypto(i.codec),
		// Access tokens are for our codec alone, or an ID token would pass for one.
		op.WithAccessTokenKeySet(noKeys{}),
		op.WithIDTokenHintVerifierOpts(op.WithSupportedIDTokenHintSigningAlgorithms(string(jose.RS256))),
		// op's default lets every origin in, with credentials.
		op.WithCORSOptions(nil),
	}
	if strings.HasPrefix(i.url, "http:") {
		opts = append(opts, op.WithAllowInsecure())
	}
	return op.NewProvider(cfg, s, op.StaticIssuer(i.url), opts...)
}

var supportedClaims = []string{
	"iss", "sub", "aud", "exp", "iat", "auth_time", "nonce", "azp", "client_id", "sid",
	"preferred_username", "name", "email", "email_verified", "groups",
}

// noKeys verifies nothing.
type noKeys struct{}

func (noKeys) VerifySignature(context.Context, *jose.JSONWebSignature) ([]byte, error) {
	return nil, errors.New("issuer: not verified here")
}

// routes opens those of op's endpoints that we offer, with the methods they are meant for,
// next to our pages.
func (i *Issuer) routes(provider *op.Provider, cookieName string, kind Kind) (http.Handler, error) {
	mux := http.NewServeMux()
	mux.Handle("GET "+oidc.DiscoveryEndpoint, i.discovery(provider))
	mux.Handle("GET "+provider.KeysEndpoint().Relative(), provider)
	authorize := provider.AuthorizationEndpoint().Relative()
	for _, path := range []string{authorize, provider.EndSessionEndpoint().Relative()} {
		mux.Handle("GET "+path, provider)
		mux.Handle("POST "+path, provider)
	}
	mux.Handle("GET "+authorize+"/callback", provider)
	mux.Handle("POST "+provider.TokenEndpoint().Relative(), provider)
	mux.Handle("POST "+provider.RevocationEndpoint().Relative(), provider)
	mux.Handle("POST "+provider.IntrospectionEndpoint().Relative(), acceptPostedSecret(provider))
	userinfo := i.challenge(provider)
	mux.Handle("GET "+provider.UserinfoEndpoint().Relative(), userinfo)
	mux.Handle("POST "+provider.UserinfoEndpoint().Relative(), userinfo)

	mux.HandleFunc("POST /check", i.check)

	own := http.NewCrossOriginProtection() // the login page is submitted by itself only
	mux.Handle("GET /login", i.sameHost(http.HandlerFunc(i.showLogin)))
	mux.Handle("POST /login", i.sameHost(own.Handler(http.HandlerFunc(i.doLogin))))
	mux.HandleFunc("GET /style.css", func(w http.ResponseWriter, r *http.Request) {
		http.ServeFileFS(w, r, pageFiles, "pages/style.css")
	})
	app, err := newApp(i, cookieName, kind)
	if err != nil {
		return nil, err
	}
	mux.Handle("/app/", i.sameHost(app.handler))
	mux.Handle("GET /{$}", http.RedirectHandler("/app/login", http.StatusFound))

	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Cache-Control", "no-store")
		h.Set("X-Content-Type-Options", "nosniff")
		// Addresses here hold codes and login ids. "no-referrer" would turn the Origin of our
		// own forms into "null".
		h.Set("Referrer-Policy", "same-origin")
		r.Body = http.MaxBytesReader(w, r.Body, maxBody)
		mux.ServeHTTP(w, r)
	}), nil
}

// sameHost refuses browsers that reached us under another name (DNS rebinding). Endpoints
// for servers do without, since a gateway may know us by an internal name.
func (i *Issuer) sameHost(next http.Handler) http.Handler {
	u, _ := url.Parse(i.url) // checked by origin
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !strings.EqualFold(r.Host, u.Host) {
			http.Error(w, "this token system is at "+i.url, http.StatusMisdirectedRequest)
			return
		}
		next.ServeHTTP(w, r)
	})
}

// discovery tells what we offer. op's own document always adds the implicit, JWT bearer and
// device grants.
func (i *Issuer) discovery(provider *op.Provider) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		doc := op.CreateDiscoveryConfig(op.ContextWithIssuer(r.Context(), i.url), provider, provider.Storage())
		doc.ResponseTypesSupported = []string{string(oidc.ResponseTypeCode)}
		doc.GrantTypesSupported = []oidc.GrantType{oidc.GrantTypeCode, oidc.GrantTypeRefreshToken}
		doc.DeviceAuthorizationEndpoint = ""
		doc.TokenEndpointAuthMethodsSupported = []oidc.AuthMethod{oidc.AuthMethodNone}
		doc.TokenEndpointAuthSigningAlgValuesSupported = nil
		doc.IntrospectionEndpointAuthMethodsSupported = append(doc.IntrospectionEndpointAuthMethodsSupported, oidc.AuthMethodPost)
		if !provider.AuthMethodPrivateKeyJWTSupported() {
			doc.IntrospectionEndpointAuthSigningAlgValuesSupported = nil
			doc.RevocationEndpointAuthSigningAlgValuesSupported = nil
		}
		op.Discover(w, doc)
	})
}

// acceptPostedSecret lets clients authenticate to introspection by client_secret_post, which
// op offers everywhere but there (RFC 6749, section 2.3.1).
func acceptPostedSecret(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if err := r.ParseForm(); err != nil {
			http.Error(w, "bad form", http.StatusBadRequest)
			return
		}
		id, secret := r.PostForm.Get("client_id"), r.PostForm.Get("client_secret")
		if r.Header.Get("Authorization") == "" && id != "" && secret != "" {
			r.SetBasicAuth(url.QueryEscape(id), url.QueryEscape(secret))
		}
		next.ServeHTTP(w, r)
	})
}

// challenge answers 401 with WWW-Authenticate, as RFC 6750, section 3, wants it, when the
// access token is missing or has ended. op sends no such header.
func (i *Issuer) challenge(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		scheme, token, _ := strings.Cut(r.Header.Get("Authorization"), " ")
		if !strings.EqualFold(scheme, "Bearer") {
			token = r.PostFormValue("access_token")
		}
		if _, err := i.codec.Decrypt(token); err != nil {
			w.Header().Set("WWW-Authenticate", `Bearer error="invalid_token"`)
			http.Error(w, "access token missing or invalid", http.StatusUnauthorized)
			return
		}
		next.ServeHTTP(w, r)
	})
}
