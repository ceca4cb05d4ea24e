package ssf_test

import (
	"bytes"
	"context"
	"crypto"
	"crypto/ed25519"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"log/slog"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/portcullis-auth/portcullis"
	"github.com/portcullis-auth/portcullis/revoke/ssf"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	issuer   = "https://id.example.com"
	other    = "https://other.example.com"
	audience = "https://app.example.com/ssf"

	verification  = "https://schemas.openid.net/secevent/ssf/event-type/verification"
	streamUpdated = "https://schemas.openid.net/secevent/ssf/event-type/stream-updated"
	disabled      = "https://schemas.openid.net/secevent/risc/event-type/account-disabled"
)

var (
	public, private, _ = ed25519.GenerateKey(rand.Reader)
	_, forger, _       = ed25519.GenerateKey(rand.Reader)
)

// fixed are keys that need no fetching.
type fixed struct{ err error }

func (f fixed) Keys(_ context.Context, kid, alg string) ([]crypto.PublicKey, error) {
	if f.err == nil && alg == "EdDSA" && (kid == "" || kid == "k") {
		return []crypto.PublicKey{public}, nil
	}
	return nil, f.err
}

type object = map[string]any

var gone = new(int) // as a value, it removes the member

func with(o, change object) object {
	o = maps.Clone(o)
	maps.Copy(o, change)
	maps.DeleteFunc(o, func(_ string, v any) bool { return v == gone })
	return o
}

// claims are those of a good SET that revokes ann's sessions, with changes.
func claims(change object) object {
	return with(object{
		"iss": issuer, "aud": audience, "iat": time.Now().Unix(), "jti": rand.Text(),
		"sub_id": object{"format": "iss_sub", "iss": issuer, "sub": "ann"},
		"events": object{ssf.SessionRevoked: object{}},
	}, change)
}

func header(change object) object {
	return with(object{"alg": "EdDSA", "kid": "k", "typ": "secevent+jwt"}, change)
}

func marshal(v any) []byte {
	raw, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	return raw
}

func encode(raw []byte) string { return base64.RawURLEncoding.EncodeToString(raw) }

// sign signs any bytes under any header.
func sign(header object, payload []byte, key ed25519.PrivateKey) string {
	input := encode(marshal(header)) + "." + encode(payload)
	return input + "." + encode(ed25519.Sign(key, []byte(input)))
}

func good(change object) string { return sign(header(nil), marshal(claims(change)), private) }

func symmetric() string {
	input := encode(marshal(header(object{"alg": "HS256"}))) + "." + encode(marshal(claims(nil)))
	mac := hmac.New(sha256.New, public)
	mac.Write([]byte(input))
	return input + "." + encode(mac.Sum(nil))
}

// people are whose sessions live; the keys are their tokens.
var people = map[string]portcullis.Identity{
	"ann1":  {Issuer: issuer, Subject: "ann", SessionID: "s1", TokenID: "t1", Claims: []byte(`{"email":"Ann@example.com","tid":"acme","device_id":"d1"}`)},
	"ann2":  {Issuer: issuer, Subject: "ann", SessionID: "s2", TokenID: "t2", Claims: []byte(`{"email":"ann@example.com","tid":"acme","device_id":"d2"}`)},
	"bob":   {Issuer: issuer, Subject: "bob", SessionID: "s3", TokenID: "t3", Claims: []byte(`{"email":"bob@example.com","tid":"acme","device_id":"d3"}`)},
	"ann/o": {Issuer: other, Subject: "ann", SessionID: "s1", TokenID: "t1", Claims: []byte(`{"email":"ann@example.com","tid":"acme","device_id":"d1"}`)},
	"bare":  {Subject: "ann", SessionID: "s1", TokenID: "t1", Claims: []byte(`{"email":"ann@example.com"}`)},
}

// A site is a Guard with live sessions, and a Receiver that ends them.
type site struct {
	*ssf.Receiver
	t     testing.TB
	guard portcullis.Guard
	live  map[string]*portcullis.Session

	mu      sync.Mutex // guards what follows
	issued  time.Time  // "iat" of tokens verified from now on
	err     error      // what Revoke returns after it has revoked
	revoked []portcullis.Revocation
	asked   []string // whom to ask about again
	log     bytes.Buffer
}

func newSite(t testing.TB, c ssf.Config) *site {
	t.Helper()
	s := &site{t: t, live: make(map[string]*portcullis.Session), issued: time.Now().Add(-time.Hour)}
	s.guard.Verifier = portcullis.VerifierFunc(func(_ context.Context, token string) (*portcullis.Identity, error) {
		id, ok := people[token]
		if !ok {
			return nil, portcullis.ErrInvalid
		}
		s.mu.Lock()
		defer s.mu.Unlock()
		id.IssuedAt = s.issued
		return &id, nil
	})
	if c.Issuer == "" {
		c.Issuer = issuer
	}
	c.Audience = audience
	if c.Keys == nil && c.Client == nil {
		c.Keys = fixed{}
	}
	if c.Revoke == nil {
		c.Revoke = func(ctx context.Context, rev portcullis.Revocation) error {
			err := s.guard.Revoke(ctx, rev)
			s.mu.Lock()
			defer s.mu.Unlock()
			s.revoked = append(s.revoked, rev)
			if err == nil {
				err = s.err
			}
			return err
		}
	}
	c.Recheck = func(match func(*portcullis.Identity) bool) int {
		s.mu.Lock()
		defer s.mu.Unlock()
		for name, session := range s.live {
			if match(session.Identity()) {
				s.asked = append(s.asked, name)
			}
		}
		slices.Sort(s.asked)
		return len(s.asked)
	}
	c.End = s.guard.End
	c.Log = slog.New(slog.NewTextHandler(&locked{s: s}, &slog.HandlerOptions{Level: slog.LevelDebug}))
	var err error
	if s.Receiver, err = ssf.New(c); err != nil {
		t.Fatal(err)
	}
	for token := range people {
		if s.live[token], err = s.admit(token); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(s.live[token].Close)
	}
	return s
}

// locked lets the log be read while it is written.
type locked struct{ s *site }

func (l *locked) Write(p []byte) (int, error) {
	l.s.mu.Lock()
	defer l.s.mu.Unlock()
	return l.s.log.Write(p)
}

func (s *site) logged() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.log.String()
}

// admit is what a handler behind the Guard does.
func (s *site) admit(token string) (*portcullis.Session, error) {
	req := httptest.NewRequest(http.MethodGet, "/", nil)
	req.Header.Set("Authorization", "Bearer "+token)
	session, err := s.guard.Admit(req, &portcullis.Policy{})
	if err == nil && s.Receiver != nil {
		err = s.Check(req.Context(), session.Identity())
	}
	return session, err
}

// ended returns whose sessions have ended, and checks that they were told so.
func (s *site) ended() string {
	s.t.Helper()
	var list []string
	for name, session := range s.live {
		if err := session.Err(); err != nil {
			list = append(list, name)
			if code, _ := portcullis.CloseStatus(err); code != 3003 {
				s.t.Errorf("%s was told %d", name, code)
			}
		}
	}
	slices.Sort(list)
	return strings.Join(list, " ")
}

// push delivers a SET and checks what holds for every answer.
func (s *site) push(token string) (status int, code string) {
	s.t.Helper()
	req := httptest.NewRequest(http.MethodPost, "/ssf/push", strings.NewReader(token))
	req.Header.Set("Content-Type", "application/secevent+jwt")
	return s.serve(req, token)
}

func (s *site) serve(req *http.Request, token string) (status int, code string) {
	s.t.Helper()
	w := httptest.NewRecorder()
	s.ServeHTTP(w, req)
	if got := w.Header().Get("Cache-Control"); got != "no-store" {
		s.t.Errorf("Cache-Control %q", got)
	}
	if (w.Code == 503) != (w.Header().Get("Retry-After") != "") {
		s.t.Errorf("status %d with Retry-After %q", w.Code, w.Header().Get("Retry-After"))
	}
	var body struct {
		Err         string `json:"err"`
		Description string `json:"description"`
	}
	switch w.Code {
	case 202, 503:
		if w.Body.Len() > 0 {
			s.t.Errorf("%d with body %q", w.Code, w.Body)
		}
	default:
		if err := json.Unmarshal(w.Body.Bytes(), &body); err != nil || body.Err == "" || body.Description == "" ||
			w.Header().Get("Content-Type") != "application/json" || w.Header().Get("Content-Language") == "" {
			s.t.Errorf("%d %v with body %q", w.Code, w.Header(), w.Body)
		}
	}
	for _, part := range append(strings.Split(token, "."), token) {
		if len(part) > 8 && (strings.Contains(s.logged(), part) || strings.Contains(w.Body.String(), part)) {
			s.t.Errorf("the SET shows in the log or the answer:\n%s%s", s.logged(), w.Body)
		}
	}
	return w.Code, body.Err
}

// want pushes a SET, and says whom it ended.
func (s *site) want(token string, status int, ended string) {
	s.t.Helper()
	if got, code := s.push(token); got != status {
		s.t.Errorf("status %d %s, want %d\n%s", got, code, status, s.logged())
	}
	if got := s.ended(); got != ended {
		s.t.Errorf("ended: %q, want %q", got, ended)
	}
}

func TestNew(t *testing.T) {
	revoke := func(context.Context, portcullis.Revocation) error { return nil }
	recheck := func(func(*portcullis.Identity) bool) int { return 0 }
	for _, tt := range []struct {
		name   string
		change func(*ssf.Config)
		want   string
	}{
		{"discovery", func(*ssf.Config) {}, ""},
		{"JWKS URL", func(c *ssf.Config) { c.Issuer, c.JWKSURL = "home", "https://id/keys" }, ""},
		{"bad JWKS URL", func(c *ssf.Config) { c.JWKSURL = "http://id/keys" }, "InsecurePlainHTTP"},
		{"a name that is no URL", func(c *ssf.Config) { c.Issuer = "home" }, "URL"},
		{"that name, with keys", func(c *ssf.Config) { c.Issuer, c.Keys = "home", fixed{} }, ""},
		{"no Issuer", func(c *ssf.Config) { c.Issuer = "" }, "Issuer"},
		{"no Audience", func(c *ssf.Config) { c.Audience = "" }, "Audience"},
		{"no Revoke", func(c *ssf.Config) { c.Revoke = nil }, "Revoke"},
		{"no Recheck", func(c *ssf.Config) { c.Recheck = nil }, "Recheck"},
		{"no Recheck, and no need", func(c *ssf.Config) {
			c.Recheck, c.Actions = nil, map[string]ssf.Action{
				ssf.CredentialChange: ssf.Revoke, ssf.TokenClaimsChange: ssf.Ignore,
				ssf.AssuranceLevelChange: ssf.Ignore, ssf.DeviceComplianceChange: ssf.Revoke,
			}
		}, ""},
		{"an event of the stream", func(c *ssf.Config) { c.Actions = map[string]ssf.Action{verification: ssf.Revoke} }, "Action"},
		{"no Action", func(c *ssf.Config) { c.Actions = map[string]ssf.Action{ssf.SessionRevoked: 3} }, "Action"},
		{"a member that we know", func(c *ssf.Config) { c.Members = map[string]string{"user": "sub"} }, "Members"},
		{"negative", func(c *ssf.Config) { c.Hold = -1 }, "negative"},
		{"none", func(c *ssf.Config) { c.Algorithms = []string{"none"} }, "algorithm"},
		{"HMAC", func(c *ssf.Config) { c.Algorithms = []string{"HS256"} }, "algorithm"},
	} {
		c := ssf.Config{Issuer: issuer, Audience: audience, Revoke: revoke, Recheck: recheck}
		tt.change(&c)
		_, err := ssf.New(c)
		if (err == nil) != (tt.want == "") || err != nil && !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: err = %v, want %q", tt.name, err, tt.want)
		}
	}
}
