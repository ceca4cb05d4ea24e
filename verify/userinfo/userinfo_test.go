package userinfo_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"github.com/portcullis-auth/portcullis"
	"github.com/portcullis-auth/portcullis/verify/userinfo"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	endpoint = "http://localhost/userinfo?key=S3CR3T"
	service  = "http://localhost/users/{sub}?key=S3CR3T"
)

// A server answers in memory, so that it can stand in a synctest bubble.
type server func(*http.Request) (*http.Response, error)

func (s server) RoundTrip(r *http.Request) (*http.Response, error) { return s(r) }

func (s server) client() *http.Client { return &http.Client{Transport: s} }

func reply(status int, media, body string) server {
	return func(*http.Request) (*http.Response, error) {
		return &http.Response{
			StatusCode: status, Header: http.Header{"Content-Type": {media}}, Body: io.NopCloser(strings.NewReader(body)),
		}, nil
	}
}

func answer(body string) server { return reply(200, "application/json", body) }

// always is a Verifier to which every token is the same.
func always(id *portcullis.Identity) portcullis.Verifier {
	return portcullis.VerifierFunc(func(context.Context, string) (*portcullis.Identity, error) { return id, nil })
}

func ada() *portcullis.Identity {
	return &portcullis.Identity{
		Issuer: "https://id.example.com", Subject: "S3CR3T-ada", ClientID: "web", Scopes: []string{"openid", "chat"},
		ExpiresAt: time.Unix(1800000000, 0), Claims: []byte(`{"sub":"S3CR3T-ada","exp":1800000000,"name":"?"}`),
	}
}

func newVerifier(t *testing.T, c userinfo.Config) *userinfo.Verifier {
	t.Helper()
	if c.Verifier == nil {
		c.Verifier = always(ada())
	}
	if c.URL == "" {
		c.URL = endpoint
	}
	v, err := userinfo.New(c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = v.Close() })
	return v
}

// verify asks about a token, and looks for secrets in the error.
func verify(t *testing.T, v *userinfo.Verifier) (*portcullis.Identity, error) {
	t.Helper()
	id, err := v.Verify(t.Context(), "S3CR3T-token")
	if err != nil && strings.Contains(err.Error(), "S3CR3T") {
		t.Errorf("the error holds a secret: %v", err)
	}
	if (id == nil) == (err == nil) {
		t.Errorf("identity %v and error %v", id, err)
	}
	return id, err
}

func checkError(t *testing.T, err, want error) {
	t.Helper()
	if !errors.Is(err, want) && (want != nil || err != nil) {
		t.Errorf("err = %v, want %v", err, want)
	}
	if isNo := errors.Is(err, portcullis.ErrInvalid) || errors.Is(err, portcullis.ErrForbidden); isNo && errors.Is(err, portcullis.ErrUnavailable) {
		t.Errorf("err = %v is both a no and an outage", err)
	}
}

// What is found is added to the claims, and to nothing else; the Identity that
// the wrapped Verifier returned is left alone.
func TestEnrichment(t *testing.T) {
	for _, tt := range []struct {
		name, url, bearer  string
		wantURL, wantToken string
	}{
		{"token", endpoint, "", "http://localhost/userinfo?key=S3CR3T", "Bearer S3CR3T-token"},
		{"subject", service, "", "http://localhost/users/S3CR3T-ada?key=S3CR3T", ""},
		{"subject, our own token", service, "S3CR3T-ours", "http://localhost/users/S3CR3T-ada?key=S3CR3T", "Bearer S3CR3T-ours"},
		{"subject in a query", "http://localhost/users?id={sub}", "", "http://localhost/users?id=S3CR3T-ada", ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			base := ada()
			v := newVerifier(t, userinfo.Config{
				Verifier: always(base), URL: tt.url, BearerToken: tt.bearer,
				Client: server(func(r *http.Request) (*http.Response, error) {
					if r.Method != http.MethodGet || r.URL.String() != tt.wantURL || r.Header.Get("Authorization") != tt.wantToken {
						t.Errorf("%s %s by %q", r.Method, r.URL, r.Header.Get("Authorization"))
					}
					return answer(`{"sub":"S3CR3T-ada","exp":1,"name":"Ada","groups":["a<b"]}`)(r)
				}).client(),
			})
			want := ada()
			want.Claims = []byte(`{"exp":1800000000,"groups":["a<b"],"name":"Ada","sub":"S3CR3T-ada"}`)
			for range 2 { // asked, and remembered
				got, err := verify(t, v)
				checkError(t, err, nil)
				if diff := cmp.Diff(want, got); diff != "" {
					t.Errorf("identity (-want +got):\n%s", diff)
				}
			}
			if diff := cmp.Diff(ada(), base); diff != "" {
				t.Errorf("the wrapped Verifier's Identity (-want +got):\n%s", diff)
			}
		})
	}
}

// The wrapped Verifier has the first word: what it refuses isn't looked up.
func TestWrappedVerifier(t *testing.T) {
	for _, want := range []error{portcullis.ErrInvalid, portcullis.ErrExpired, portcullis.ErrUnavailable, errors.New("own")} {
		v := newVerifier(t, userinfo.Config{
			Verifier:  portcullis.VerifierFunc(func(context.Context, string) (*portcullis.Identity, error) { return ada(), want }),
			OnFailure: userinfo.Without,
			Client: server(func(r *http.Request) (*http.Response, error) {
				t.Error("asked")
				return answer(`{}`)(r)
			}).client(),
		})
		if _, err := verify(t, v); err != want { //nolint:errorlint // as it is
			t.Errorf("err = %v, want %v", err, want)
		}
	}
	for _, policy := range []userinfo.FailurePolicy{userinfo.Refuse, userinfo.Without} {
		v := newVerifier(t, userinfo.Config{Verifier: always(nil), OnFailure: policy, Client: answer(`{}`).client()})
		_, err := verify(t, v)
		checkError(t, err, portcullis.ErrUnavailable)
	}
}

// Where the user cannot be looked up, the Identity is as it was, but caches
// are to ask again soon.
func TestWithout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		now := time.Now()
		for _, tt := range []struct {
			name             string
			reuse, wantReuse time.Time
		}{
			{"says nothing", time.Time{}, now.Add(5 * time.Second)},
			{"longer", now.Add(time.Hour), now.Add(5 * time.Second)},
			{"shorter", now.Add(time.Second), now.Add(time.Second)},
			{"never", now, now},
		} {
			base, want := ada(), ada()
			base.ReuseUntil, want.ReuseUntil = tt.reuse, tt.wantReuse
			status := 500
			v := newVerifier(t, userinfo.Config{
				Verifier: always(base), OnFailure: userinfo.Without,
				Client: server(func(r *http.Request) (*http.Response, error) {
					return reply(status, "application/json", `{"sub":"S3CR3T-ada"}`)(r)
				}).client(),
			})
			got, err := verify(t, v)
			checkError(t, err, nil)
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("%s (-want +got):\n%s", tt.name, diff)
			}
			if !base.ReuseUntil.Equal(tt.reuse) {
				t.Errorf("%s: the wrapped Verifier's Identity was changed", tt.name)
			}
			// The next one may have more luck.
			status = 200
			got, err = verify(t, v)
			checkError(t, err, nil)
			if got != nil && !got.ReuseUntil.Equal(tt.reuse) {
				t.Errorf("%s: ReuseUntil %v after success, want %v", tt.name, got.ReuseUntil, tt.reuse)
			}
			_ = v.Close()
		}
	})
}

func TestI2New(t *testing.T) {
	for _, tt := range []struct {
		name    string
		config  userinfo.Config
		wantErr string
	}{
		{"https", userinfo.Config{URL: "https://id.example.com/userinfo"}, ""},
		{"subject in path and query", userinfo.Config{URL: "https://id.example.com/{sub}/x?y={sub}", BearerToken: "S3CR3T"}, ""},
		{"without", userinfo.Config{URL: "https://a/", OnFailure: "without"}, ""},
		{"no URL", userinfo.Config{}, "URL is missing"},
		{"plain", userinfo.Config{URL: "http://id/userinfo"}, "InsecurePlainHTTP"},
		{"plain, permitted", userinfo.Config{URL: "http://id/userinfo", InsecurePlainHTTP: true}, ""},
		{"subject in host", userinfo.Config{URL: "https://{sub}.example.com/"}, "parsed"},
		{"subject as port", userinfo.Config{URL: "https://example.com:{sub}/"}, "parsed"},
		{"subject as user", userinfo.Config{URL: "https://{sub}@example.com/"}, "URL"},
		{"subject as scheme", userinfo.Config{URL: "{sub}://example.com/"}, "URL"},
		{"credential beside the user's token", userinfo.Config{URL: "https://a/", BearerToken: "S3CR3T"}, "BearerToken"},
		{"credential with newline", userinfo.Config{URL: "https://a/{sub}", BearerToken: "S3CR3T\n"}, "BearerToken"},
		{"policy", userinfo.Config{URL: "https://a/", OnFailure: "open"}, "OnFailure"},
		{"negative age", userinfo.Config{URL: "https://a/", MaxAge: -1}, "MaxAge"},
		{"negative bytes", userinfo.Config{URL: "https://a/", MaxBytes: -1}, "MaxBytes"},
		{"negative timeout", userinfo.Config{URL: "https://a/", Timeout: -1}, "Timeout"},
	} {
		tt.config.Verifier = always(ada())
		v, err := userinfo.New(tt.config)
		if (err == nil) != (tt.wantErr == "") || err != nil && (!strings.Contains(err.Error(), tt.wantErr) || strings.Contains(err.Error(), "S3CR3T")) {
			t.Errorf("%s: err = %v, want %q", tt.name, err, tt.wantErr)
		}
		if v != nil {
			_ = v.Close()
		}
	}
	if _, err := userinfo.New(userinfo.Config{URL: "https://a/"}); err == nil {
		t.Error("no Verifier: no error")
	}
}
