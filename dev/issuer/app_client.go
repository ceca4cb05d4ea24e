package issuer

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"
)

// opClient talks to the issuer's endpoints in HTTP, but without a network: so it works
// behind any proxy, certificate and firewall.
type opClient struct {
	issuer string
	http   *http.Client
}

func newOPClient(issuer string, h http.Handler) *opClient {
	return &opClient{issuer, &http.Client{
		Transport:     direct{h},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
}

// appTokens is the answer of the token endpoint.
type appTokens struct {
	Access  string `json:"access_token"`
	Refresh string `json:"refresh_token"`
	ID      string `json:"id_token"`

	subject string // of the ID token
	nonce   string
}

func (c *opClient) authorizeURL(p pendingLogin, state, redirectURI string, scopes []string) string {
	return c.issuer + "/authorize?" + url.Values{
		"response_type":         {"code"},
		"client_id":             {p.clientID},
		"redirect_uri":          {redirectURI},
		"scope":                 {strings.Join(append(append([]string(nil), protocolScopes...), scopes...), " ")},
		"state":                 {state},
		"nonce":                 {p.nonce},
		"code_challenge":        {codeChallenge(p.verifier)},
		"code_challenge_method": {"S256"},
	}.Encode()
}

func (c *opClient) exchange(ctx context.Context, p pendingLogin, code, redirectURI string) (*appTokens, error) {
	tokens, err := c.token(ctx, url.Values{
		"grant_type":    {"authorization_code"},
		"client_id":     {p.clientID},
		"code":          {code},
		"redirect_uri":  {redirectURI},
		"code_verifier": {p.verifier},
	})
	if err != nil {
		return nil, err
	}
	if tokens.nonce != p.nonce {
		return nil, errors.New("the ID token has another nonce")
	}
	return tokens, nil
}

func (c *opClient) refresh(ctx context.Context, clientID, refresh string) (*appTokens, error) {
	return c.token(ctx, url.Values{
		"grant_type":    {"refresh_token"},
		"client_id":     {clientID},
		"refresh_token": {refresh},
	})
}

// token calls the token endpoint. Its errors hold no token.
func (c *opClient) token(ctx context.Context, form url.Values) (*appTokens, error) {
	resp, err := c.post(ctx, "/oauth/token", form)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxBody))
	if err != nil {
		return nil, err
	}
	if resp.StatusCode != http.StatusOK {
		var problem struct {
			Error       string `json:"error"`
			Description string `json:"error_description"`
		}
		_ = json.Unmarshal(body, &problem) // what is no JSON stays empty
		return nil, fmt.Errorf("token endpoint: %s: %s %s", resp.Status, problem.Error, problem.Description)
	}
	var tokens appTokens
	if err := json.Unmarshal(body, &tokens); err != nil {
		return nil, errors.New("token endpoint: the answer is not JSON")
	}
	// The ID token comes from the issuer directly, so its signature need not be verified
	// (OpenID Connect Core, section 3.1.3.7, step 6).
	id, err := jwt.ParseSigned(tokens.ID, []jose.SignatureAlgorithm{jose.RS256})
	if err != nil {
		return nil, errors.New("token endpoint: bad ID token")
	}
	var claims struct {
		Subject string `json:"sub"`
		Nonce   string `json:"nonce"`
	}
	if err := id.UnsafeClaimsWithoutVerification(&claims); err != nil {
		return nil, errors.New("token endpoint: bad ID token")
	}
	tokens.subject, tokens.nonce = claims.Subject, claims.Nonce
	return &tokens, nil
}

// endSession is RP-initiated logout on behalf of the browser.
func (c *opClient) endSession(ctx context.Context, idToken string) error {
	resp, err := c.post(ctx, "/end_session", url.Values{"id_token_hint": {idToken}})
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusFound {
		return fmt.Errorf("end_session: %s", resp.Status)
	}
	return nil
}

func (c *opClient) post(ctx context.Context, path string, form url.Values) (*http.Response, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, c.issuer+path, strings.NewReader(form.Encode()))
	if err != nil {
		return nil, err
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	return c.http.Do(req)
}

// codeChallenge is the S256 code challenge of a PKCE verifier (RFC 7636, section 4.2).
func codeChallenge(verifier string) string {
	sum := sha256.Sum256([]byte(verifier))
	return base64.RawURLEncoding.EncodeToString(sum[:])
}

// direct is a RoundTripper that calls a handler.
type direct struct{ handler http.Handler }

func (d direct) RoundTrip(req *http.Request) (*http.Response, error) {
	in := req.Clone(req.Context())
	in.Host, in.RequestURI = req.URL.Host, req.URL.RequestURI()
	if in.Body == nil {
		in.Body = http.NoBody
	}
	out := &answer{header: make(http.Header), status: http.StatusOK}
	d.handler.ServeHTTP(out, in)
	return &http.Response{
		Status:     fmt.Sprintf("%d %s", out.status, http.StatusText(out.status)),
		StatusCode: out.status,
		Proto:      "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		Header:        out.header,
		Body:          io.NopCloser(&out.body),
		ContentLength: int64(out.body.Len()),
		Request:       req,
	}, nil
}

// answer collects what a handler writes.
type answer struct {
	header http.Header
	body   bytes.Buffer
	status int
	wrote  bool
}

func (a *answer) Header() http.Header { return a.header }

func (a *answer) WriteHeader(status int) {
	if !a.wrote {
		a.status, a.wrote = status, true
	}
}

func (a *answer) Write(p []byte) (int, error) {
	a.WriteHeader(http.StatusOK)
	return a.body.Write(p)
}
