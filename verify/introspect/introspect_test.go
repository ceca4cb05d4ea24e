package introspect_test

import (
	"bytes"
	"context"
	"encoding/base64"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"github.com/portcullis-auth/portcullis"
	"github.com/portcullis-auth/portcullis/verify/introspect"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	token    = "t0ken.S3CR3T-+/=~"
	clientID = "gate:way & co"
	secret   = "cl13nt S3CR3T:%+"
)

// holdsSecret reports whether s shows the token or our credentials, in a
// spelling that they travel in.
func holdsSecret(s string) bool {
	basic := base64.StdEncoding.EncodeToString([]byte(url.QueryEscape(clientID) + ":" + url.QueryEscape(secret)))
	for _, bad := range []string{token, url.QueryEscape(token), secret, url.QueryEscape(secret), basic, "S3CR3T"} {
		if strings.Contains(s, bad) {
			return true
		}
	}
	return false
}

func newVerifier(t *testing.T, c introspect.Config) *introspect.Verifier {
	t.Helper()
	c.ClientID, c.ClientSecret = clientID, secret
	v, err := introspect.New(c)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// verify lets the handler answer for the token system.
func verify(t *testing.T, c introspect.Config, handler http.HandlerFunc) (*portcullis.Identity, error) {
	t.Helper()
	srv := httptest.NewServer(handler)
	defer srv.Close()
	c.URL = srv.URL + "/introspect"
	id, err := newVerifier(t, c).Verify(t.Context(), token)
	if err != nil && holdsSecret(err.Error()) {
		t.Errorf("the error holds a secret: %v", err)
	}
	if (id == nil) == (err == nil) {
		t.Errorf("identity %v and error %v", id, err)
	}
	return id, err
}

func reply(status int, media, body string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", media)
		w.WriteHeader(status)
		_, _ = io.WriteString(w, body)
	}
}

func answer(body string) http.HandlerFunc { return reply(200, "application/json", body) }

// I1: only true is a yes, only false is a no, all else is neither.
func TestI1ActiveMustBeBooleanTrue(t *testing.T) {
	for _, tt := range []struct {
		body string
		want error // nil: let in
	}{
		{`{"active":true}`, nil},
		{" {\n\t\"active\" : true\n} ", nil},
		{`{"Active":false,"active":true}`, nil}, // another name
		{`{"active":false}`, portcullis.ErrInvalid},
		{`{"active": false, "exp": "nonsense"}`, portcullis.ErrInvalid},
		{`{"active":"true"}`, portcullis.ErrUnavailable},
		{`{"active":"false"}`, portcullis.ErrUnavailable},
		{`{"active":1}`, portcullis.ErrUnavailable},
		{`{"active":null}`, portcullis.ErrUnavailable},
		{`{"active":[true]}`, portcullis.ErrUnavailable},
		{`{"active":{"active":true}}`, portcullis.ErrUnavailable},
		{`{"Active":true}`, portcullis.ErrUnavailable},
		{`{"ACTIVE":true,"sub":"u"}`, portcullis.ErrUnavailable},
		{`{"active\u0000":true}`, portcullis.ErrUnavailable},
		{`{"sub":"u"}`, portcullis.ErrUnavailable},
		{`{}`, portcullis.ErrUnavailable},
		{`{"active":true,"active":false}`, portcullis.ErrUnavailable},
		{`{"active":false,"active":true}`, portcullis.ErrUnavailable},
		{`{"active":true,"\u0061ctive":true}`, portcullis.ErrUnavailable},
		{`{"active":true} {"active":true}`, portcullis.ErrUnavailable},
		{`{"active":true}x`, portcullis.ErrUnavailable},
		{`{"active":true`, portcullis.ErrUnavailable},
		{"{\"active\":true,\"sub\":\"\xff\"}", portcullis.ErrUnavailable},
		{`[{"active":true}]`, portcullis.ErrUnavailable},
		{`true`, portcullis.ErrUnavailable},
		{`null`, portcullis.ErrUnavailable},
		{``, portcullis.ErrUnavailable},
		{`{"active":true,"sub":1}`, portcullis.ErrUnavailable},
		{`{"active":true,"exp":"2030-01-01"}`, portcullis.ErrUnavailable},
		{`{"active":true,"exp":-1}`, portcullis.ErrUnavailable},
		{`{"active":true,"exp":1e300}`, portcullis.ErrUnavailable},
		{`{"active":true,"nbf":"soon"}`, portcullis.ErrUnavailable},
		{`{"active":true,"nbf":1e300}`, portcullis.ErrUnavailable},
		{`{"active":true,"nbf":253402300799}`, portcullis.ErrInvalid},
		{`{"active":true,"nbf":1}`, nil},
		{`{"active":true,"nbf":null}`, nil},
	} {
		t.Run(tt.body, func(t *testing.T) {
			_, err := verify(t, introspect.Config{}, answer(tt.body))
			checkError(t, err, tt.want)
		})
	}
}

// checkError demands that err is of the kind wanted and not of the other.
func checkError(t *testing.T, err, want error) {
	t.Helper()
	if !errors.Is(err, want) && (want != nil || err != nil) {
		t.Errorf("err = %v, want %v", err, want)
	}
	if errors.Is(err, portcullis.ErrInvalid) && errors.Is(err, portcullis.ErrUnavailable) {
		t.Errorf("err = %v is both a no and an outage", err)
	}
}

// I1, I2: whatever a token system does instead of answering, it is not a no.
func TestI2WhatIsNotAnAnswer(t *testing.T) {
	yes := `{"active":true,"sub":"u"}`
	for _, tt := range []struct {
		name     string
		handler  http.HandlerFunc
		wantText string
	}{
		{"HTML with 200", reply(200, "text/html", "<html>Log in</html>"), "HTML"},
		{"yes as HTML", reply(200, "text/html", yes), "HTML"},
		{"yes as text", reply(200, "text/plain", yes), "Content-Type"},
		{"yes as signed answer", reply(200, "application/token-introspection+jwt", yes), "Content-Type"},
		{"yes with 201", reply(201, "application/json", yes), "status 201"},
		{"204", reply(204, "", ""), "status 204"},
		{"400", reply(400, "application/json", yes), "status 400"},
		{"our credentials refused, 401", reply(401, "application/json", `{"error":"invalid_client"}`), "ClientSecret"},
		{"our credentials refused, 403", reply(403, "application/json", `{"active":false}`), "ClientSecret"},
		{"404", reply(404, "application/json", `{"active":false}`), "status 404"},
		{"429", reply(429, "application/json", `{"active":false}`), "status 429"},
		{"500", reply(500, "application/json", `{"active":false}`), "status 500"},
		{"503", reply(503, "application/json", yes), "status 503"},
		{"too large", answer(`{"active":true,"x":"` + strings.Repeat("x", 300<<10) + `"}`), "larger"},
		{"a no that is too large", answer(`{"active":false,"x":"` + strings.Repeat("x", 300<<10) + `"}`), "larger"},
		{"compressed", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			w.Header().Set("Content-Encoding", "gzip")
			_, _ = io.WriteString(w, yes)
		}, "compressed"},
		{"hung up", func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }, "closed"},
		{"hung up in the body", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			w.Header().Set("Content-Length", "100")
			_, _ = io.WriteString(w, yes)
			_ = http.NewResponseController(w).Flush()
			panic(http.ErrAbortHandler)
		}, "closed"},
		{"redirect to itself", func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/", http.StatusTemporaryRedirect) }, "redirect"},
		{"all it got, as type", func(w http.ResponseWriter, r *http.Request) {
			body, _ := io.ReadAll(r.Body)
			w.Header().Set("Content-Type", string(body)+r.Header.Get("Authorization"))
			_, _ = io.WriteString(w, yes)
		}, "Content-Type"},
		{"all it got, as answer", func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			_ = r.Write(w)
		}, "not JSON"},
		{"all it got, instead of HTTP", func(w http.ResponseWriter, r *http.Request) {
			body, _ := io.ReadAll(r.Body)
			conn, _, _ := http.NewResponseController(w).Hijack()
			_, _ = conn.Write(append(body, r.Header.Get("Authorization")+"\r\n\r\n"...))
			_ = conn.Close()
		}, "HTTP"},
	} {
		for _, auth := range []introspect.AuthMethod{introspect.AuthBasic, introspect.AuthPost} {
			t.Run(tt.name+"/"+string(auth), func(t *testing.T) {
				_, err := verify(t, introspect.Config{Auth: auth}, tt.handler)
				checkError(t, err, portcullis.ErrUnavailable)
				if err != nil && !strings.Contains(err.Error(), tt.wantText) {
					t.Errorf("err = %v, want %q in it", err, tt.wantText)
				}
			})
		}
	}
}

// I2: the time is bounded, by us and by the caller.
func TestI2SlowServer(t *testing.T) {
	hang := func(_ http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		<-r.Context().Done()
	}
	_, err := verify(t, introspect.Config{Timeout: 10 * time.Millisecond}, hang)
	checkError(t, err, portcullis.ErrUnavailable)
	if err == nil || !strings.Contains(err.Error(), "10ms") {
		t.Errorf("err = %v, want one that names the timeout", err)
	}

	asked := make(chan struct{})
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		close(asked)
		hang(w, r)
	}))
	defer srv.Close()
	ctx, cancel := context.WithCancel(t.Context())
	go func() { <-asked; cancel() }()
	_, err = newVerifier(t, introspect.Config{URL: srv.URL, Timeout: time.Hour}).Verify(ctx, token)
	checkError(t, err, portcullis.ErrUnavailable)
	if !errors.Is(err, context.Canceled) {
		t.Errorf("err = %v, want context.Canceled in it", err)
	}
}

// I2: the request of RFC 7662, section 2.1, with the credentials as RFC 6749,
// section 2.3.1, has them.
func TestI2ClientAuthentication(t *testing.T) {
	for _, auth := range []introspect.AuthMethod{"", introspect.AuthBasic, introspect.AuthPost} {
		t.Run(string(auth), func(t *testing.T) {
			_, err := verify(t, introspect.Config{Auth: auth}, func(w http.ResponseWriter, r *http.Request) {
				if err := r.ParseForm(); err != nil {
					t.Error(err)
				}
				if r.Method != http.MethodPost || r.URL.RawQuery != "" {
					t.Errorf("%s %s", r.Method, r.URL)
				}
				want := url.Values{"token": {token}, "token_type_hint": {"access_token"}}
				id, password, ok := r.BasicAuth()
				if auth == introspect.AuthPost {
					want.Set("client_id", clientID)
					want.Set("client_secret", secret)
					if ok {
						t.Error("Authorization is sent, too")
					}
				} else {
					id, _ = url.QueryUnescape(id)
					password, _ = url.QueryUnescape(password)
					if id != clientID || password != secret {
						t.Errorf("credentials %q, %q", id, password)
					}
				}
				if diff := cmp.Diff(want, r.PostForm); diff != "" {
					t.Errorf("form (-want +got):\n%s", diff)
				}
				answer(`{"active":true}`)(w, r)
			})
			if err != nil {
				t.Error(err)
			}
		})
	}
}

func TestIdentity(t *testing.T) {
	body := `{"active":true,"iss":"https://id.example.com","sub":"u1","sid":"s1","jti":"j1","client_id":"app",` +
		`"scope":"chat read","iat":1700000000,"exp":1800000000,"email":"ada@example.com"}`
	got, err := verify(t, introspect.Config{Issuer: "https://id.example.com"}, answer(body))
	if err != nil {
		t.Fatal(err)
	}
	want := &portcullis.Identity{
		Issuer: "https://id.example.com", Subject: "u1", SessionID: "s1", TokenID: "j1", ClientID: "app",
		Scopes: []string{"chat", "read"}, IssuedAt: time.Unix(1700000000, 0), ExpiresAt: time.Unix(1800000000, 0),
		Claims: []byte(body),
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("identity (-want +got):\n%s", diff)
	}
}

// J2, for tokens of several issuers at one endpoint; and revocations by issuer
// must find tokens whose answer names none.
func TestJ2Issuer(t *testing.T) {
	for _, tt := range []struct {
		name, configured, body string
		want                   string
		wantErr                error
	}{
		{"any", "", `{"active":true,"iss":"https://a"}`, "https://a", nil},
		{"none", "", `{"active":true}`, "", nil},
		{"right", "https://a", `{"active":true,"iss":"https://a"}`, "https://a", nil},
		{"filled in", "https://a", `{"active":true}`, "https://a", nil},
		{"null", "https://a", `{"active":true,"iss":null}`, "https://a", nil},
		{"wrong", "https://a", `{"active":true,"iss":"https://b"}`, "", portcullis.ErrInvalid},
		{"a slash more", "https://a", `{"active":true,"iss":"https://a/"}`, "", portcullis.ErrInvalid},
		{"not a string", "https://a", `{"active":true,"iss":["https://a"]}`, "", portcullis.ErrUnavailable},
	} {
		t.Run(tt.name, func(t *testing.T) {
			id, err := verify(t, introspect.Config{Issuer: tt.configured}, answer(tt.body))
			checkError(t, err, tt.wantErr)
			if id != nil && id.Issuer != tt.want {
				t.Errorf("issuer %q, want %q", id.Issuer, tt.want)
			}
		})
	}
}

// J5: what can't be a token isn't asked about.
func TestJ5NoCallForWhatIsNoToken(t *testing.T) {
	srv := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { t.Error("asked") }))
	defer srv.Close()
	v := newVerifier(t, introspect.Config{URL: srv.URL})
	for _, bad := range []string{"", "a b", "a\n", "é", "\x00", strings.Repeat("x", 16<<10+1)} {
		_, err := v.Verify(t.Context(), bad)
		checkError(t, err, portcullis.ErrInvalid)
	}
}

func TestI2New(t *testing.T) {
	good := introspect.Config{URL: "https://id.example.com/x", ClientID: clientID, ClientSecret: secret}
	for _, tt := range []struct {
		name    string
		change  func(*introspect.Config)
		wantErr string
	}{
		{"good", func(*introspect.Config) {}, ""},
		{"loopback", func(c *introspect.Config) { c.URL = "http://127.0.0.1:1/x" }, ""},
		{"plain", func(c *introspect.Config) { c.URL = "http://id.example.com/x" }, "InsecurePlainHTTP"},
		{"plain, permitted", func(c *introspect.Config) { c.URL, c.InsecurePlainHTTP = "http://id.example.com/x", true }, ""},
		{"no URL", func(c *introspect.Config) { c.URL = "" }, "URL is missing"},
		{"credentials in the URL", func(c *introspect.Config) { c.URL = "https://a:S3CR3T@id.example.com/x" }, "credentials"},
		{"no id", func(c *introspect.Config) { c.ClientID = "" }, "ClientID"},
		{"no secret", func(c *introspect.Config) { c.ClientSecret = "" }, "ClientSecret"},
		{"unknown method", func(c *introspect.Config) { c.Auth = "private_key_jwt" }, "Auth must be"},
		{"negative timeout", func(c *introspect.Config) { c.Timeout = -1 }, "Timeout"},
	} {
		c := good
		tt.change(&c)
		_, err := introspect.New(c)
		if (err == nil) != (tt.wantErr == "") || err != nil && !strings.Contains(err.Error(), tt.wantErr) {
			t.Errorf("%s: err = %v, want %q", tt.name, err, tt.wantErr)
		}
		if err != nil && holdsSecret(err.Error()) {
			t.Errorf("%s: the error holds a secret: %v", tt.name, err)
		}
	}
}

// FuzzAnswer: whatever JSON comes, nobody gets in unless a lenient parser, too,
// finds "active" true; and no value of the answer is lost.
func FuzzAnswer(f *testing.F) {
	for _, seed := range []string{
		`{"active":true,"sub":"u","exp":1800000000}`, `{"active":false}`, `{"active":"true"}`,
		`{"Active":true}`, `{"active":true,"active":false}`, `{"active":true,"nbf":9e9}`,
	} {
		f.Add([]byte(seed))
	}
	var body []byte
	v, err := introspect.New(introspect.Config{
		URL: "https://id.example.com/", ClientID: clientID, ClientSecret: secret,
		Client: &http.Client{Transport: roundTrip(func(*http.Request) (*http.Response, error) {
			return &http.Response{
				StatusCode: 200, Header: http.Header{"Content-Type": {"application/json"}},
				Body: io.NopCloser(bytes.NewReader(body)),
			}, nil
		})},
	})
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		body = raw
		id, err := v.Verify(t.Context(), token)
		if err != nil {
			checkError(t, err, err)
			return
		}
		var active bool
		if !id.Claim("active", &active) || !active {
			t.Errorf("let in by %q", raw)
		}
		if !bytes.Equal(id.Claims, raw) {
			t.Errorf("claims %q of %q", id.Claims, raw)
		}
	})
}

type roundTrip func(*http.Request) (*http.Response, error)

func (f roundTrip) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }
