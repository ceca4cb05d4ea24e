package httpcheck_test

import (
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/portcullis-auth/portcullis"
	"github.com/portcullis-auth/portcullis/verify/httpcheck"
)

func TestHowTheTokenIsPassed(t *testing.T) {
	for _, tt := range []struct {
		name   string
		config httpcheck.Config
		method string
		header string
		want   []string
		body   string
	}{
		{"bearer", httpcheck.Config{}, "GET", "Authorization", []string{"Bearer " + token}, ""},
		{"POST", httpcheck.Config{Method: "POST"}, "POST", "Authorization", []string{"Bearer " + token}, ""},
		{"header", httpcheck.Config{Header: "x-session"}, "GET", "X-Session", []string{token}, ""},
		{"bare Authorization", httpcheck.Config{Header: "Authorization"}, "GET", "Authorization", []string{token}, ""},
		{
			"form",
			httpcheck.Config{BodyField: "the token"},
			"POST", "Content-Type",
			[]string{"application/x-www-form-urlencoded"},
			"the+token=" + url.QueryEscape(token),
		},
		{
			"JSON",
			httpcheck.Config{BodyField: `to"ken`, BodyFormat: httpcheck.BodyJSON, Method: "POST"},
			"POST", "Content-Type",
			[]string{"application/json"},
			`{"to\"ken":"` + token + `"}`,
		},
		{"cookie", httpcheck.Config{Cookie: "__Host-session"}, "GET", "Cookie", []string{"__Host-session=" + token}, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, err := verify(t, tt.config, func(w http.ResponseWriter, r *http.Request) {
				body, _ := io.ReadAll(r.Body)
				if r.Method != tt.method || r.URL.String() != "/me?key=S3CR3T" || string(body) != tt.body {
					t.Errorf("%s %s with %q, want %q", r.Method, r.URL, body, tt.body)
				}
				if diff := cmp.Diff(tt.want, r.Header[tt.header]); diff != "" {
					t.Errorf("%s (-want +got):\n%s", tt.header, diff)
				}
				if n := strings.Count(dump(r.Header), token); (n == 1) != (tt.body == "") {
					t.Errorf("the token is in %d headers", n)
				}
				answer(`{"sub":"u1"}`)(w, r)
			})
			if err != nil {
				t.Error(err)
			}
		})
	}
}

func dump(h http.Header) string {
	var b strings.Builder
	_ = h.Write(&b)
	return b.String()
}

// I2: our own credential goes out beside the token, wherever that stands, and
// no answer brings it into an error.
func TestI2Secret(t *testing.T) {
	for _, tt := range []struct {
		name, header, want string
		config             httpcheck.Config
	}{
		{"header", "X-Gate", "S3CR3T value", httpcheck.Config{SecretHeader: "x-gate", Secret: "S3CR3T value"}},
		{"bearer, token in a cookie", "Authorization", "Bearer S3CR3T", httpcheck.Config{Secret: "S3CR3T", Cookie: "t"}},
		{"bearer, token in the body", "Authorization", "Bearer S3CR3T", httpcheck.Config{Secret: "S3CR3T", BodyField: "t"}},
		{"cookie", "Cookie", "gate=S3CR3T", httpcheck.Config{SecretHeader: "Cookie", Secret: "gate=S3CR3T"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, err := verify(t, tt.config, func(w http.ResponseWriter, r *http.Request) {
				if diff := cmp.Diff([]string{tt.want}, r.Header[tt.header]); diff != "" {
					t.Errorf("%s (-want +got):\n%s", tt.header, diff)
				}
				answer(`{"sub":"u1"}`)(w, r)
			})
			checkError(t, err, nil)
			// verify looks for the secret in the error.
			_, err = verify(t, tt.config, func(w http.ResponseWriter, r *http.Request) {
				w.Header().Set("Content-Type", "application/json")
				_ = r.Write(w)
			})
			checkError(t, err, portcullis.ErrUnavailable)
		})
	}
}

func TestI2New(t *testing.T) {
	for _, tt := range []struct {
		name    string
		config  httpcheck.Config
		wantErr string
	}{
		{"https", httpcheck.Config{URL: "https://app.example.com/me"}, ""},
		{"loopback", httpcheck.Config{URL: "http://localhost:3000/me"}, ""},
		{"plain", httpcheck.Config{URL: "http://app/me"}, "InsecurePlainHTTP"},
		{"plain, permitted", httpcheck.Config{URL: "http://app/me", InsecurePlainHTTP: true}, ""},
		{"no URL", httpcheck.Config{}, "URL is missing"},
		{"PUT", httpcheck.Config{URL: "https://a/", Method: "PUT"}, "Method"},
		{"get", httpcheck.Config{URL: "https://a/", Method: "get"}, "Method"},
		{"two ways", httpcheck.Config{URL: "https://a/", Header: "X-Token", Cookie: "t"}, "not several"},
		{"no header name", httpcheck.Config{URL: "https://a/", Header: "X Token"}, "Header"},
		{"our header", httpcheck.Config{URL: "https://a/", Header: "host"}, "Header"},
		{"no cookie name", httpcheck.Config{URL: "https://a/", Cookie: "a=b; c"}, "Cookie"},
		{"body", httpcheck.Config{URL: "https://a/", BodyField: "token"}, ""},
		{"body by GET", httpcheck.Config{URL: "https://a/", BodyField: "token", Method: "GET"}, "Method POST"},
		{"body and cookie", httpcheck.Config{URL: "https://a/", BodyField: "token", Cookie: "t"}, "not several"},
		{"body in XML", httpcheck.Config{URL: "https://a/", BodyField: "token", BodyFormat: "xml"}, "BodyFormat"},
		{"secret", httpcheck.Config{URL: "https://a/", Secret: "S3CR3T", SecretHeader: "X-Gate"}, ""},
		{"secret beside bearer token", httpcheck.Config{URL: "https://a/", Secret: "S3CR3T"}, "in one header"},
		{"secret beside header", httpcheck.Config{URL: "https://a/", Secret: "S3CR3T", SecretHeader: "x-a", Header: "X-A"}, "in one header"},
		{"secret beside header in another case", httpcheck.Config{URL: "https://a/", Secret: "S3CR3T", SecretHeader: "X-A", Header: "x-a"}, "in one header"},
		{"secret beside cookie", httpcheck.Config{URL: "https://a/", Secret: "S3CR3T", SecretHeader: "cookie", Cookie: "t"}, "in one header"},
		{"secret in no header", httpcheck.Config{URL: "https://a/", Secret: "S3CR3T", SecretHeader: "X Gate"}, "SecretHeader"},
		{"secret in our header", httpcheck.Config{URL: "https://a/", Secret: "S3CR3T", SecretHeader: "content-type"}, "SecretHeader"},
		{"secret forgotten", httpcheck.Config{URL: "https://a/", SecretHeader: "X-Gate"}, "without Secret"},
		{"secret with newline", httpcheck.Config{URL: "https://a/", Secret: "S3CR3T\n", SecretHeader: "X-Gate"}, "white space"},
		{"secret with space", httpcheck.Config{URL: "https://a/", Secret: "S3CR3T ", SecretHeader: "X-Gate"}, "white space"},
		{"secret with more headers", httpcheck.Config{URL: "https://a/", Secret: "S3CR3T\r\nX: y", SecretHeader: "X-Gate"}, "control"},
		{"bad pointer", httpcheck.Config{URL: "https://a/", Subject: "/a~2b"}, `"/a~2b"`},
		{"pointer ends in a tilde", httpcheck.Config{URL: "https://a/", Valid: "/a~"}, `"/a~"`},
		{"tilde in a name", httpcheck.Config{URL: "https://a/", Subject: "a~2b"}, ""},
		{"negative timeout", httpcheck.Config{URL: "https://a/", Timeout: -1}, "Timeout"},
	} {
		_, err := httpcheck.New(tt.config)
		if (err == nil) != (tt.wantErr == "") || err != nil && !strings.Contains(err.Error(), tt.wantErr) {
			t.Errorf("%s: err = %v, want %q", tt.name, err, tt.wantErr)
		}
		if err != nil && strings.Contains(err.Error(), "S3CR3T") {
			t.Errorf("%s: the error holds the secret: %v", tt.name, err)
		}
	}
}
