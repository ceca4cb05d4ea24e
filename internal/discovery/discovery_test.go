package discovery_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/portcullis-auth/portcullis/internal/askhttp"
	"github.com/portcullis-auth/portcullis/internal/discovery"
)

const (
	oidcDoc  = "https://id.example.com/a%2Fb/.well-known/openid-configuration"
	oauthDoc = "https://id.example.com/.well-known/oauth-authorization-server/a%2Fb"
	issuer   = "https://id.example.com/a%2Fb"
	keys     = "https://keys.example.com/?x=1"
)

// A site is what an issuer publishes: pages by URL, without a network.
type site struct {
	pages map[string]string // "" or missing: 404
	asked []string
}

func (s *site) RoundTrip(r *http.Request) (*http.Response, error) {
	s.asked = append(s.asked, r.Method+" "+r.URL.String())
	w := httptest.NewRecorder()
	if page := s.pages[r.URL.String()]; page != "" {
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.WriteString(page)
	} else {
		w.WriteHeader(404)
	}
	return w.Result(), nil
}

func find(t *testing.T, s *site, issuer string, plain bool) (string, error) {
	t.Helper()
	i, err := discovery.New(issuer, plain, askhttp.New(&http.Client{Transport: s}, 0))
	if err != nil {
		t.Fatal(err)
	}
	if len(s.asked) > 0 {
		t.Error("New made a call")
	}
	return i.Endpoint("jwks_uri")
}

func metadata(issuer, keys string) string {
	return fmt.Sprintf(`{"issuer":%q,"jwks_uri":%q}`, issuer, keys)
}

// The documents are where the specifications have them, and the second is for
// what the first doesn't tell.
func TestDocuments(t *testing.T) {
	both := []string{"GET " + oidcDoc, "GET " + oauthDoc}
	for _, tt := range []struct {
		name, issuer, first, second string
		asked                       []string
	}{
		{"OpenID Connect", issuer, metadata(issuer, keys), metadata(issuer, "https://other"), both[:1]},
		{"RFC 8414", issuer, "", metadata(issuer, keys), both},
		{"the first says nothing of it", issuer, `{"issuer":"` + issuer + `"}`, metadata(issuer, keys), both},
		{"the first is another's", issuer, metadata("https://other", "https://other"), metadata(issuer, keys), both},
		{"slash at the end", issuer + "/", "", metadata(issuer+"/", keys), both},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := &site{pages: map[string]string{oidcDoc: tt.first, oauthDoc: tt.second}}
			if got, err := find(t, s, tt.issuer, false); got != keys || err != nil {
				t.Errorf("%q, %v", got, err)
			}
			if diff := cmp.Diff(tt.asked, s.asked); diff != "" {
				t.Errorf("asked for (-want +got):\n%s", diff)
			}
		})
	}
	s := &site{pages: map[string]string{"https://id/.well-known/oauth-authorization-server": metadata("https://id", keys)}}
	if got, err := find(t, s, "https://id", false); got != keys || err != nil {
		t.Errorf("no path: %q, %v", got, err)
	}
}

// J3, J4, I2: metadata that we can't trust names no endpoint, and the error says
// why for each document.
func TestI2HostileMetadata(t *testing.T) {
	for _, tt := range []struct{ name, issuer, page, want string }{
		{"another issuer", issuer, metadata("https://evil", keys), "issuer"},
		{"a slash more", issuer, metadata(issuer+"/", keys), "a slash at the end counts"},
		{"J4 Issuer", issuer, `{"Issuer":"` + issuer + `","jwks_uri":"` + keys + `"}`, "issuer"},
		{"J4 issuer twice", issuer, `{"issuer":"https://evil",` + metadata(issuer, keys)[1:], "duplicate"},
		{"issuer a list", issuer, `{"issuer":["` + issuer + `"],"jwks_uri":"` + keys + `"}`, "issuer"},
		{"no issuer", issuer, `{"jwks_uri":"` + keys + `"}`, "issuer"},
		{"no endpoint", issuer, `{"issuer":"` + issuer + `"}`, `no "jwks_uri"`},
		{"endpoint a number", issuer, `{"issuer":"` + issuer + `","jwks_uri":1}`, `no "jwks_uri"`},
		{"J4 JWKS_URI", issuer, `{"issuer":"` + issuer + `","JWKS_URI":"` + keys + `"}`, `no "jwks_uri"`},
		{"http", issuer, metadata(issuer, "http://keys.example.com/"), "InsecurePlainHTTP"},
		{"http from http", "http://localhost:1", metadata("http://localhost:1", "http://keys.example.com/"), "InsecurePlainHTTP"},
		{"http on loopback", issuer, metadata(issuer, "http://127.0.0.1/"), "is http, the issuer https"},
		{"http, permitted", "plain:" + issuer, metadata(issuer, "http://keys.example.com/"), "is http, the issuer https"},
		{"no URL", issuer, metadata(issuer, "/SECRET"), "https://host"},
		{"not JSON", issuer, "SECRET", "not JSON"},
		{"none", issuer, "", "status 404"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			issuer, plain := strings.CutPrefix(tt.issuer, "plain:")
			base := "http://localhost:1/.well-known/"
			s := &site{pages: map[string]string{oidcDoc: tt.page, oauthDoc: tt.page, base + "openid-configuration": tt.page, base + "oauth-authorization-server": tt.page}}
			got, err := find(t, s, issuer, plain)
			if err == nil || strings.Count(err.Error(), tt.want) != 2 || strings.Contains(err.Error(), "SECRET") {
				t.Errorf("%q, err = %v, want %q in it twice", got, err, tt.want)
			}
		})
	}
}

// I2: plain HTTP is for loopback, or by permission, and then for both.
func TestI2PlainHTTP(t *testing.T) {
	for _, tt := range []struct {
		issuer, endpoint string
		plain            bool
	}{
		{"http://127.0.0.1:1", "http://localhost:2/", false},
		{"http://127.0.0.1:1", keys, false},
		{"http://id.example.com", "http://keys.example.com/", true},
	} {
		s := &site{pages: map[string]string{tt.issuer + "/.well-known/openid-configuration": metadata(tt.issuer, tt.endpoint)}}
		if got, err := find(t, s, tt.issuer, tt.plain); got != tt.endpoint || err != nil {
			t.Errorf("%s: %q, %v", tt.issuer, got, err)
		}
	}
}

func TestNew(t *testing.T) {
	for _, issuer := range []string{"", "home", "http://id.example.com", "https://id?x", "https://id#x", "https://u:p@id", "ftp://id"} {
		if _, err := discovery.New(issuer, false, askhttp.New(nil, 0)); err == nil || !strings.Contains(err.Error(), "the issuer's URL") {
			t.Errorf("%q: err = %v", issuer, err)
		}
	}
}

// FuzzEndpoint: whatever an https issuer's metadata says, an endpoint is https,
// and the metadata names that issuer by a lenient reading too.
func FuzzEndpoint(f *testing.F) {
	f.Add(metadata(issuer, keys))
	f.Add(metadata("https://evil", keys))
	f.Add(metadata(issuer, "http://localhost/"))
	f.Fuzz(func(t *testing.T, page string) {
		s := &site{pages: map[string]string{oidcDoc: page}}
		got, err := find(t, s, issuer, false)
		if err != nil {
			return
		}
		var members map[string]any
		_ = json.Unmarshal([]byte(page), &members)
		if members["issuer"] != issuer || members["jwks_uri"] != got || !strings.EqualFold(got[:min(8, len(got))], "https://") {
			t.Errorf("%q from %q", got, page)
		}
	})
}
