package httpcheck_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"github.com/portcullis-auth/portcullis"
	"github.com/portcullis-auth/portcullis/verify/httpcheck"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const token = "t0ken.S3CR3T-+/=~"

// verify lets the handler answer for the token system.
func verify(t *testing.T, c httpcheck.Config, handler http.HandlerFunc) (*portcullis.Identity, error) {
	t.Helper()
	srv := httptest.NewServer(handler)
	defer srv.Close()
	c.URL = srv.URL + "/me?key=S3CR3T"
	v, err := httpcheck.New(c)
	if err != nil {
		t.Fatal(err)
	}
	id, err := v.Verify(t.Context(), token)
	if err != nil && strings.Contains(err.Error(), "S3CR3T") {
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

func checkError(t *testing.T, err, want error) {
	t.Helper()
	if !errors.Is(err, want) && (want != nil || err != nil) {
		t.Errorf("err = %v, want %v", err, want)
	}
	if errors.Is(err, portcullis.ErrInvalid) && errors.Is(err, portcullis.ErrUnavailable) {
		t.Errorf("err = %v is both a no and an outage", err)
	}
}

// I2 and "Answers": 2xx with a user is a yes, 401 and 403 are a no, all else is
// neither.
func TestI2Answers(t *testing.T) {
	user := `{"sub":"u1"}`
	for _, tt := range []struct {
		name     string
		handler  http.HandlerFunc
		want     error
		wantText string
	}{
		{"200", answer(user), nil, ""},
		{"201", reply(201, "application/json", user), nil, ""},
		{"401", reply(401, "text/html", "log in"), portcullis.ErrInvalid, "401"},
		{"401 with a user", reply(401, "application/json", user), portcullis.ErrInvalid, "401"},
		{"401, huge", reply(401, "application/json", strings.Repeat("x", 1<<20)), portcullis.ErrInvalid, "401"},
		{"403", reply(403, "", ""), portcullis.ErrInvalid, "403"},
		{"204", reply(204, "", ""), portcullis.ErrUnavailable, "empty"},
		{"200, empty", answer(""), portcullis.ErrUnavailable, "empty"},
		{"200, nobody", answer("{}"), portcullis.ErrUnavailable, `no "sub"`},
		{"200, OK", reply(200, "text/plain", "OK"), portcullis.ErrUnavailable, "Content-Type"},
		{"200, HTML", reply(200, "text/html", user), portcullis.ErrUnavailable, "HTML"},
		{"200, too large", answer(`{"sub":"u","x":"` + strings.Repeat("x", 300<<10) + `"}`), portcullis.ErrUnavailable, "larger"},
		{"200, compressed", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			w.Header().Set("Content-Encoding", "gzip")
			_, _ = io.WriteString(w, user)
		}, portcullis.ErrUnavailable, "compressed"},
		{"array", answer(`[{"sub":"u"}]`), portcullis.ErrUnavailable, "not a JSON object"},
		{"null", answer(`null`), portcullis.ErrUnavailable, "not a JSON object"},
		{"302 to a login page", func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/login", http.StatusFound) }, portcullis.ErrUnavailable, "redirect"},
		{"400", reply(400, "application/json", user), portcullis.ErrUnavailable, "400"},
		{"404", reply(404, "application/json", user), portcullis.ErrUnavailable, "404"},
		{"407", reply(407, "application/json", user), portcullis.ErrUnavailable, "407"},
		{"429", reply(429, "application/json", user), portcullis.ErrUnavailable, "429"},
		{"500", reply(500, "application/json", user), portcullis.ErrUnavailable, "500"},
		{"hung up", func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }, portcullis.ErrUnavailable, "closed"},
		{"cut", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			w.Header().Set("Content-Length", "100")
			_, _ = io.WriteString(w, user)
			_ = http.NewResponseController(w).Flush()
			panic(http.ErrAbortHandler)
		}, portcullis.ErrUnavailable, "closed"},
		{"the request sent back", func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			_ = r.Write(w)
		}, portcullis.ErrUnavailable, "not JSON"},
		{"the token instead of HTTP", func(w http.ResponseWriter, r *http.Request) {
			conn, _, _ := http.NewResponseController(w).Hijack()
			_, _ = io.WriteString(conn, r.Header.Get("Authorization")+"\r\n\r\n")
			_ = conn.Close()
		}, portcullis.ErrUnavailable, "HTTP"},
		{"slow", func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }, portcullis.ErrUnavailable, "within 50ms"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c := httpcheck.Config{}
			if tt.name == "slow" {
				c.Timeout = 50 * time.Millisecond
			}
			_, err := verify(t, c, tt.handler)
			checkError(t, err, tt.want)
			if err != nil && !strings.Contains(err.Error(), tt.wantText) {
				t.Errorf("err = %v, want %q in it", err, tt.wantText)
			}
		})
	}
}

func TestIdentity(t *testing.T) {
	names := httpcheck.Config{
		Subject: "id", Expiry: "valid_until", IssuedAt: "since", SessionID: "login", TokenID: "key", ClientID: "app", Scopes: "roles",
	}
	for _, tt := range []struct {
		name    string
		config  httpcheck.Config
		body    string
		want    portcullis.Identity
		wantErr string
	}{
		{
			"default names",
			httpcheck.Config{},
			`{"sub":"u1","exp":1800000000,"iat":1700000000.5,"sid":"s1","jti":"t1","client_id":"c1","scope":"a  b"}`,
			portcullis.Identity{
				Subject: "u1", SessionID: "s1", TokenID: "t1", ClientID: "c1", Scopes: []string{"a", "b"},
				IssuedAt: time.Unix(1700000000, 5e8), ExpiresAt: time.Unix(1800000000, 0),
			},
			"",
		},
		{
			"other names", names, `{"id":17,"valid_until":"2027-01-15T09:00:00+01:00","since":1700000000,
				"login":4,"key":5,"app":"web","roles":["a b","c"],"sub":"x","exp":[],"iat":[],"jti":[],"client_id":[]}`,
			portcullis.Identity{
				Subject: "17", SessionID: "4", TokenID: "5", ClientID: "web", Scopes: []string{"a b", "c"},
				IssuedAt: time.Unix(1700000000, 0), ExpiresAt: time.Unix(1800000000, 0),
			},
			"",
		},
		{"issuer", httpcheck.Config{Issuer: "home"}, `{"sub":"u1","iss":"elsewhere"}`, portcullis.Identity{Issuer: "home", Subject: "u1"}, ""},
		{"nulls", httpcheck.Config{}, `{"sub":"u1","exp":null,"sid":null,"scope":null}`, portcullis.Identity{Subject: "u1"}, ""},
		{"long number", httpcheck.Config{}, `{"sub":12345678901234567890123}`, portcullis.Identity{Subject: "12345678901234567890123"}, ""},
		{"name in another case", httpcheck.Config{}, `{"Sub":"u1"}`, portcullis.Identity{}, `no "sub"`},
		{"default name while another is set", names, `{"sub":"u1"}`, portcullis.Identity{}, `no "id"`},
		{"subject empty", httpcheck.Config{}, `{"sub":""}`, portcullis.Identity{}, `no "sub"`},
		{"subject null", httpcheck.Config{}, `{"sub":null}`, portcullis.Identity{}, `no "sub"`},
		{"subject true", httpcheck.Config{}, `{"sub":true}`, portcullis.Identity{}, `"sub" is not`},
		{"subject fraction", httpcheck.Config{}, `{"sub":1.5}`, portcullis.Identity{}, `"sub" is not`},
		{"subject exponent", httpcheck.Config{}, `{"sub":1e5}`, portcullis.Identity{}, `"sub" is not`},
		{"subject object", httpcheck.Config{}, `{"sub":{"id":1}}`, portcullis.Identity{}, `"sub" is not`},
		{"subject twice", httpcheck.Config{}, `{"sub":"u1","sub":"u2"}`, portcullis.Identity{}, `duplicate`},
		{"session array", httpcheck.Config{}, `{"sub":"u1","sid":[]}`, portcullis.Identity{}, `"sid" is not`},
		{"token id false", httpcheck.Config{}, `{"sub":"u1","jti":false}`, portcullis.Identity{}, `"jti" is not`},
		{"client object", httpcheck.Config{}, `{"sub":"u1","client_id":{}}`, portcullis.Identity{}, `"client_id" is not`},
		{"issued tomorrow", httpcheck.Config{}, `{"sub":"u1","iat":"tomorrow"}`, portcullis.Identity{}, `"iat" is not`},
		{"scopes with null", httpcheck.Config{}, `{"sub":"u1","scope":["a",null]}`, portcullis.Identity{}, `"scope" is not`},
		{"scopes with number", httpcheck.Config{}, `{"sub":"u1","scope":["a",1]}`, portcullis.Identity{}, `"scope" is not`},
		{"expiry as text", httpcheck.Config{}, `{"sub":"u1","exp":"tomorrow"}`, portcullis.Identity{}, `"exp" is not`},
		{"expiry as date", httpcheck.Config{}, `{"sub":"u1","exp":"2027-01-15"}`, portcullis.Identity{}, `"exp" is not`},
		{"expiry as number in text", httpcheck.Config{}, `{"sub":"u1","exp":"1800000000"}`, portcullis.Identity{}, `"exp" is not`},
		{"expiry in year 1", httpcheck.Config{}, `{"sub":"u1","exp":"0001-01-01T00:00:00Z"}`, portcullis.Identity{}, `"exp" is not`},
		{"expiry empty", httpcheck.Config{}, `{"sub":"u1","exp":""}`, portcullis.Identity{}, `"exp" is not`},
		{"expiry negative", httpcheck.Config{}, `{"sub":"u1","exp":-1}`, portcullis.Identity{}, `"exp" is not`},
		{"expiry in milliseconds", httpcheck.Config{}, `{"sub":"u1","exp":1800000000000}`, portcullis.Identity{}, `"exp" is not`},
		{"expiry false", httpcheck.Config{}, `{"sub":"u1","exp":false}`, portcullis.Identity{}, `"exp" is not`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got, err := verify(t, tt.config, answer(tt.body))
			if tt.wantErr != "" {
				checkError(t, err, portcullis.ErrUnavailable)
				if err != nil && !strings.Contains(err.Error(), tt.wantErr) {
					t.Errorf("err = %v, want %q in it", err, tt.wantErr)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			tt.want.Claims = []byte(tt.body)
			if diff := cmp.Diff(&tt.want, got); diff != "" {
				t.Errorf("identity (-want +got):\n%s", diff)
			}
		})
	}
}

// J5: what can't be a token isn't asked about; in a cookie it would be cut or
// become several cookies.
func TestJ5NoCallForWhatIsNoToken(t *testing.T) {
	srv := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { t.Error("asked") }))
	defer srv.Close()
	for _, tt := range []struct {
		config httpcheck.Config
		tokens []string
	}{
		{httpcheck.Config{}, []string{"", "a b", "a\r\nX: y", "é", strings.Repeat("x", 16<<10+1)}},
		{httpcheck.Config{Cookie: "session"}, []string{"", "a;admin=1", `"a"`, "a,b", `a\b`, "a b"}},
	} {
		tt.config.URL = srv.URL
		v, err := httpcheck.New(tt.config)
		if err != nil {
			t.Fatal(err)
		}
		for _, bad := range tt.tokens {
			_, err := v.Verify(t.Context(), bad)
			checkError(t, err, portcullis.ErrInvalid)
		}
	}
}

func TestCallerGivesUp(t *testing.T) {
	asked := make(chan struct{})
	srv := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		close(asked)
		<-r.Context().Done()
	}))
	defer srv.Close()
	v, err := httpcheck.New(httpcheck.Config{URL: srv.URL, Timeout: time.Hour})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	go func() { <-asked; cancel() }()
	_, err = v.Verify(ctx, token)
	checkError(t, err, portcullis.ErrUnavailable)
	if !errors.Is(err, context.Canceled) {
		t.Errorf("err = %v, want context.Canceled in it", err)
	}
}
