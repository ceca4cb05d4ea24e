// Package issuer is a small but real OAuth 2.0 and OpenID Connect server for the demo and
// for tests. It plays the part of the external token system: users log in on its page, it
// hands out access tokens (opaque or JWT), answers introspection, and tells the gateway by
// OIDC Back-Channel Logout when somebody has logged out.
//
// It also plays the part of an application's own login system, below /app/: that part is an
// ordinary OIDC client which leaves the access token in a cookie, where a gateway on another
// port of the same host finds it.
//
//	ln, err := issuer.Listen("127.0.0.1:0", false)
//	if err != nil { … }
//	iss, err := issuer.New(issuer.Config{
//		URL:                   "http://" + ln.Addr().String(),
//		AppURL:                "http://127.0.0.1:8080",
//		IntrospectionSecret:   secret,
//		BackchannelLogoutURIs: []string{"http://127.0.0.1:8080/.portcullis/backchannel-logout"},
//	})
//	if err != nil { … }
//	defer iss.Close()
//	go http.Serve(ln, iss)
//
// Protocol endpoints, all found by discovery:
//
//	GET      /.well-known/openid-configuration
//	GET      /keys               JWKS
//	GET/POST /authorize          authorization code with PKCE, S256 only
//	POST     /oauth/token        authorization_code, refresh_token
//	POST     /oauth/introspect   RFC 7662; basic, post or private_key_jwt
//	POST     /revoke             RFC 7009
//	GET/POST /userinfo
//	GET/POST /end_session        RP-initiated logout; id_token_hint is required
//
// Beside these, as a home-made token system would have it:
//
//	POST     /check              token=…; 200 with {"valid":…,"user_id":…,"roles":…}
//
// The application's login system:
//
//	GET      /app/login?return_to=URL&kind=opaque|jwt
//	GET      /app/callback
//	POST     /app/refresh        a fresh token in the cookie: 204, or 401
//	GET      /app/logout         asks for confirmation
//	POST     /app/logout         return_to, everywhere=true; 204 for fetch, else a redirect
//
// Limits: there are no passwords, everything is in memory, and whoever can reach the page
// can be anybody. It is never to be exposed; see [Listen].
package issuer
