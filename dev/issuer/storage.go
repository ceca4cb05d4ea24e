package issuer

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"slices"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/zitadel/oidc/v3/pkg/oidc"
	"github.com/zitadel/oidc/v3/pkg/op"
)

// storage answers op's questions out of the store. What op asks for grants that we don't
// offer is refused.
type storage struct {
	issuer  string
	store   *store
	signer  *signer
	clients map[string]*client
	secret  [sha256.Size]byte // SHA-256 of the introspection secret
	key     *jose.JSONWebKey  // public key for private_key_jwt; nil: not offered
	logout  func(ctx context.Context, sid string) error
}

var (
	_ op.Storage                        = (*storage)(nil)
	_ op.CanSetUserinfoFromRequest      = (*storage)(nil)
	_ op.CanTerminateSessionFromRequest = (*storage)(nil)
)

var errNotOffered = errors.New("issuer: not offered")

func (*storage) Health(context.Context) error { return nil }

func (s *storage) SigningKey(context.Context) (op.SigningKey, error) {
	return signingKey{s.signer}, nil
}

func (s *storage) SignatureAlgorithms(context.Context) ([]jose.SignatureAlgorithm, error) {
	return []jose.SignatureAlgorithm{jose.RS256}, nil
}

func (s *storage) KeySet(context.Context) ([]op.Key, error) {
	return []op.Key{publicKey{s.signer}}, nil
}

func (s *storage) GetClientByClientID(_ context.Context, id string) (op.Client, error) {
	c, ok := s.clients[id]
	if !ok {
		// A plain error becomes 500 at the token endpoint, though the fault is the client's.
		return nil, oidc.ErrInvalidClient().WithDescription("unknown client")
	}
	return c, nil
}

func (s *storage) AuthorizeClientIDSecret(_ context.Context, id, secret string) error {
	sum := sha256.Sum256([]byte(secret))
	c, ok := s.clients[id]
	if !ok || !c.confidential || subtle.ConstantTimeCompare(sum[:], s.secret[:]) != 1 {
		return oidc.ErrInvalidClient().WithDescription("wrong client id or secret")
	}
	return nil
}

// GetKeyByIDAndClientID has the key that a client assertion is verified with.
func (s *storage) GetKeyByIDAndClientID(_ context.Context, keyID, clientID string) (*jose.JSONWebKey, error) {
	c, ok := s.clients[clientID]
	if !ok || !c.confidential || s.key == nil || keyID != s.key.KeyID {
		return nil, errNotOffered
	}
	return s.key, nil
}

// CreateAccessToken serves grants without a refresh token: a login that did not ask for
// offline_access.
func (s *storage) CreateAccessToken(_ context.Context, req op.TokenRequest) (string, time.Time, error) {
	l, ok := req.(*login)
	if !ok {
		return "", time.Time{}, errNotOffered
	}
	g := l.grant()
	if err := s.store.newSession(g); err != nil {
		return "", time.Time{}, err
	}
	t, err := s.store.issue(accessToken{grant: g, kind: kindOf(g.clientID)}, s.store.accessLifetime)
	if err != nil {
		return "", time.Time{}, err
	}
	return t.id, t.expires, nil
}

func (s *storage) CreateAccessAndRefreshTokens(_ context.Context, req op.TokenRequest, current string) (string, string, time.Time, error) {
	var (
		t       *accessToken
		refresh string
		err     error
	)
	switch req := req.(type) {
	case *login:
		t, refresh, err = s.store.begin(req.grant())
	case *refreshRequest:
		t, refresh, err = s.store.rotate(current, req.scopes)
		if err != nil {
			// Lost the race against another use, or against a logout.
			err = oidc.ErrInvalidGrant().WithParent(err)
		}
	default:
		err = errNotOffered
	}
	if err != nil {
		return "", "", time.Time{}, err
	}
	return t.id, refresh, t.expires, nil
}

func (s *storage) TokenRequestByRefreshToken(_ context.Context, token string) (op.RefreshTokenRequest, error) {
	g, ok := s.store.refreshGrant(token)
	if !ok {
		return nil, errNoGrant
	}
	return &refreshRequest{g: g, scopes: g.scopes}, nil
}

func (s *storage) GetRefreshTokenInfo(_ context.Context, _, token string) (userID, tokenID string, err error) {
	g, ok := s.store.refreshGrant(token)
	if !ok {
		return "", "", op.ErrInvalidRefreshToken
	}
	return g.user.Subject, token, nil
}

// RevokeToken ends an access token, or with a refresh token the whole session (RFC 7009,
// section 2.1: access tokens of the same grant should go too). What is unknown counts as
// revoked (section 2.2). A client may revoke its own tokens only; the gateway may revoke any.
func (s *storage) RevokeToken(_ context.Context, tokenOrID, _, clientID string) *oidc.Error {
	g, isRefresh := s.store.refreshGrant(tokenOrID)
	if !isRefresh {
		t, ok := s.store.live(tokenOrID)
		if !ok {
			return nil
		}
		g = t.grant
	}
	if c := s.clients[clientID]; c == nil || clientID != g.clientID && !c.confidential {
		return oidc.ErrUnauthorizedClient().WithDescription("the token was issued to another client")
	}
	if isRefresh {
		s.store.endSession(g.sid)
	} else {
		s.store.revokeAccess(tokenOrID)
	}
	return nil
}

// TerminateSessionFromRequest is RP-initiated logout. The session is that of the ID token;
// one that has ended already is not an error.
func (s *storage) TerminateSessionFromRequest(ctx context.Context, req *op.EndSessionRequest) (string, error) {
	// op also accepts other tokens of ours as id_token_hint; only ID tokens have "azp".
	if req.IDTokenHintClaims == nil || req.IDTokenHintClaims.AuthorizedParty == "" || req.IDTokenHintClaims.SessionID == "" {
		return "", oidc.ErrInvalidRequest().WithDescription("id_token_hint is required")
	}
	// A browser that goes away does not undo its logout.
	err := s.logout(context.WithoutCancel(ctx), req.IDTokenHintClaims.SessionID)
	if errors.Is(err, errNoSession) || errors.Is(err, errNotDelivered) {
		err = nil // the logout stands, and what was not delivered has been logged
	}
	return req.RedirectURI, err
}

func (*storage) TerminateSession(context.Context, string, string) error { return errNotOffered }

// SetUserinfoFromScopes is superseded by SetUserinfoFromRequest.
func (*storage) SetUserinfoFromScopes(context.Context, *oidc.UserInfo, string, string, []string) error {
	return nil
}

// SetUserinfoFromRequest fills the ID token.
func (s *storage) SetUserinfoFromRequest(_ context.Context, info *oidc.UserInfo, req op.IDTokenRequest, scopes []string) error {
	var g grant
	switch req := req.(type) {
	case *login:
		g = req.grant()
	case *refreshRequest:
		g = req.g
	default:
		return errNotOffered
	}
	describe(info, g.user, scopes)
	info.AppendClaims("sid", g.sid)
	return nil
}

// SetUserinfoFromToken fills the answer of the userinfo endpoint.
func (s *storage) SetUserinfoFromToken(_ context.Context, info *oidc.UserInfo, tokenID, _, _ string) error {
	t, ok := s.store.live(tokenID)
	if !ok {
		return errBadToken
	}
	describe(info, t.user, t.scopes)
	return nil
}

// describe tells about a user what the scopes allow (OpenID Connect Core, section 5.4).
func describe(info *oidc.UserInfo, u *User, scopes []string) {
	info.Subject = u.Subject
	if slices.Contains(scopes, oidc.ScopeProfile) {
		info.Name = u.Name
		info.PreferredUsername = u.Username
		if len(u.Groups) > 0 {
			info.AppendClaims("groups", u.Groups)
		}
	}
	if slices.Contains(scopes, oidc.ScopeEmail) {
		info.Email = u.Email
		info.EmailVerified = true
	}
}

// SetIntrospectionFromToken fills the answer to an introspection; an error makes op answer
// {"active":false}.
func (s *storage) SetIntrospectionFromToken(_ context.Context, resp *oidc.IntrospectionResponse, tokenID, _, _ string) error {
	t, ok := s.store.live(tokenID)
	if !ok {
		return errBadToken
	}
	// Not in resp's own fields, so that what the token is to omit is left out.
	resp.Claims = t.claims(s.issuer)
	resp.Claims["username"] = t.user.Username
	resp.Claims["token_type"] = oidc.BearerToken
	for _, name := range t.omit {
		delete(resp.Claims, name)
	}
	return nil
}

// GetPrivateClaimsFromScopes is for JWTs that op makes; ours come from tokenCodec.
func (*storage) GetPrivateClaimsFromScopes(context.Context, string, string, []string) (map[string]any, error) {
	return nil, errNotOffered
}

func (*storage) ValidateJWTProfileScopes(context.Context, string, []string) ([]string, error) {
	return nil, errNotOffered
}

// refreshRequest is the use of a refresh token, perhaps with fewer scopes than were granted.
type refreshRequest struct {
	g      grant
	scopes []string
}

var _ op.RefreshTokenRequest = (*refreshRequest)(nil)

func (r *refreshRequest) GetAMR() []string            { return nil }
func (r *refreshRequest) GetAudience() []string       { return []string{r.g.clientID} }
func (r *refreshRequest) GetAuthTime() time.Time      { return r.g.authTime }
func (r *refreshRequest) GetClientID() string         { return r.g.clientID }
func (r *refreshRequest) GetScopes() []string         { return r.scopes }
func (r *refreshRequest) GetSubject() string          { return r.g.user.Subject }
func (r *refreshRequest) SetCurrentScopes(s []string) { r.scopes = s }
