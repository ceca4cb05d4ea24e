package introspect_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/portcullis-auth/portcullis"
	"github.com/portcullis-auth/portcullis/verify/introspect"
)

const (
	issuer   = "https://id.example.com/tenant"
	endpoint = "https://api.example.com/introspect"
	oidcDoc  = "https://id.example.com/tenant/.well-known/openid-configuration"
	oauthDoc = "https://id.example.com/.well-known/oauth-authorization-server/tenant"
)

// metadata is a document that names the issuer and the endpoint.
func metadata(issuer, endpoint string) http.HandlerFunc {
	return answer(fmt.Sprintf(`{"issuer":%q,"introspection_endpoint":%q}`, issuer, endpoint))
}

// newDiscovery returns a Verifier that is to find its endpoint at the site.
func newDiscovery(t testing.TB, server *site, c introspect.Config) *introspect.Verifier {
	t.Helper()
	if c.Issuer == "" {
		c.Issuer = issuer
	}
	c.Client = server.client()
	return newVerifier(t, c)
}

// The endpoint is in either document, and the paths are those of the
// specifications.
func TestDiscovery(t *testing.T) {
	const bare = "https://id.example.com"
	for _, tt := range []struct {
		name, issuer string
		pages        map[string]http.HandlerFunc
		want         []string // what is asked for
	}{
		{"OpenID Connect", issuer, map[string]http.HandlerFunc{
			oidcDoc: metadata(issuer, endpoint), oauthDoc: metadata(issuer, "https://other/"),
		}, []string{"GET " + oidcDoc, "POST " + endpoint}},
		{"RFC 8414", issuer, map[string]http.HandlerFunc{
			oauthDoc: metadata(issuer, endpoint),
		}, []string{"GET " + oidcDoc, "GET " + oauthDoc, "POST " + endpoint}},
		{"RFC 8414, the other says nothing of it", issuer, map[string]http.HandlerFunc{
			oidcDoc: answer(`{"issuer":"` + issuer + `"}`), oauthDoc: metadata(issuer, endpoint),
		}, []string{"GET " + oidcDoc, "GET " + oauthDoc, "POST " + endpoint}},
		{"RFC 8414, the other is a page", issuer, map[string]http.HandlerFunc{
			oidcDoc: reply(200, "text/html", "<html>Welcome</html>"), oauthDoc: metadata(issuer, endpoint),
		}, []string{"GET " + oidcDoc, "GET " + oauthDoc, "POST " + endpoint}},
		{"no path", bare, map[string]http.HandlerFunc{
			bare + "/.well-known/oauth-authorization-server": metadata(bare, endpoint),
		}, []string{"GET " + bare + "/.well-known/openid-configuration", "GET " + bare + "/.well-known/oauth-authorization-server", "POST " + endpoint}},
		{"slash at the end", issuer + "/", map[string]http.HandlerFunc{
			oauthDoc: metadata(issuer+"/", endpoint),
		}, []string{"GET " + oidcDoc, "GET " + oauthDoc, "POST " + endpoint}},
		{"loopback", "http://localhost:1", map[string]http.HandlerFunc{
			"http://localhost:1/.well-known/openid-configuration": metadata("http://localhost:1", "http://127.0.0.1:2/i?x=1"),
		}, []string{"GET http://localhost:1/.well-known/openid-configuration", "POST http://127.0.0.1:2/i?x=1"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			server := &site{pages: tt.pages}
			server.set(tt.want[len(tt.want)-1][len("POST "):], answer(`{"active":true,"sub":"u"}`))
			id, err := check(t, newDiscovery(t, server, introspect.Config{Issuer: tt.issuer}))
			if err != nil {
				t.Fatal(err)
			}
			if id.Issuer != tt.issuer {
				t.Errorf("issuer %q, want %q", id.Issuer, tt.issuer)
			}
			if diff := cmp.Diff(tt.want, server.take()); diff != "" {
				t.Errorf("asked for (-want +got):\n%s", diff)
			}
		})
	}
}

// I2: metadata that we can't trust sends no token anywhere.
func TestI2HostileMetadata(t *testing.T) {
	for _, tt := range []struct {
		name    string
		page    http.HandlerFunc // of both documents
		wantErr string
	}{
		{"another issuer", metadata("https://evil.example.com", endpoint), "issuer"},
		{"a slash more", metadata(issuer+"/", endpoint), "a slash at the end counts"},
		{"in another case", metadata("https://ID.example.com/tenant", endpoint), "issuer"},
		{"no issuer", answer(`{"introspection_endpoint":"` + endpoint + `"}`), "issuer"},
		{"issuer as a list", answer(`{"issuer":["` + issuer + `"],"introspection_endpoint":"` + endpoint + `"}`), "issuer"},
		{"J4 issuer twice", answer(`{"issuer":"https://evil","issuer":"` + issuer + `","introspection_endpoint":"` + endpoint + `"}`), "duplicate"},
		{"J4 Issuer", answer(`{"Issuer":"` + issuer + `","introspection_endpoint":"` + endpoint + `"}`), "issuer"},
		{"J4 Introspection_Endpoint", answer(`{"issuer":"` + issuer + `","Introspection_Endpoint":"` + endpoint + `"}`), "no \"introspection_endpoint\""},
		{"no endpoint", answer(`{"issuer":"` + issuer + `"}`), "no \"introspection_endpoint\""},
		{"endpoint as a number", answer(`{"issuer":"` + issuer + `","introspection_endpoint":1}`), "no \"introspection_endpoint\""},
		{"http endpoint", metadata(issuer, "http://api.example.com/introspect"), "InsecurePlainHTTP"},
		{"http endpoint on loopback", metadata(issuer, "http://127.0.0.1/introspect"), "is http"},
		{"endpoint with credentials", metadata(issuer, "https://S3CR3T:x@api.example.com/"), "credentials"},
		{"endpoint without host", metadata(issuer, "/introspect"), "https://host"},
		{"HTML", reply(200, "text/html", "<html>S3CR3T</html>"), "HTML"},
		{"not JSON", answer("S3CR3T"), "not JSON"},
		{"too large", answer(`{"x":"` + strings.Repeat("x", 300<<10) + `"}`), "larger"},
		{"500", reply(500, "application/json", "{}"), "status 500"},
		{"redirect", func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/S3CR3T", http.StatusFound) }, "redirect"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			server := &site{pages: map[string]http.HandlerFunc{oidcDoc: tt.page, oauthDoc: tt.page}}
			v := newDiscovery(t, server, introspect.Config{InsecurePlainHTTP: tt.name == "http endpoint on loopback"})
			_, err := check(t, v)
			checkError(t, err, portcullis.ErrUnavailable)
			if err == nil || strings.Count(err.Error(), tt.wantErr) < 2 { // once for each document
				t.Errorf("err = %v, want %q in it twice", err, tt.wantErr)
			}
			if diff := cmp.Diff([]string{"GET " + oidcDoc, "GET " + oauthDoc}, server.take()); diff != "" {
				t.Errorf("asked for (-want +got):\n%s", diff)
			}
		})
	}
}

// I2: what is plain for loopback's sake is not plain beyond it.
func TestI2LoopbackIssuerHandsOver(t *testing.T) {
	const local = "http://127.0.0.1:1"
	server := &site{}
	server.set(local+"/.well-known/openid-configuration", metadata(local, "http://api.example.com/introspect"))
	_, err := check(t, newDiscovery(t, server, introspect.Config{Issuer: local}))
	checkError(t, err, portcullis.ErrUnavailable)
	if err == nil || !strings.Contains(err.Error(), "InsecurePlainHTTP") {
		t.Errorf("err = %v", err)
	}
}

// verifyMany calls Verify many times at once, and returns the errors.
func verifyMany(t *testing.T, v *introspect.Verifier) (errs []error) {
	var mu sync.Mutex
	var wg sync.WaitGroup
	for range 100 {
		wg.Go(func() {
			_, err := check(t, v)
			mu.Lock()
			defer mu.Unlock()
			errs = append(errs, err)
		})
	}
	wg.Wait()
	return errs
}

// fetches returns how often the metadata was asked for since the last call.
func fetches(server *site) (n int) {
	for _, asked := range server.take() {
		if asked == "GET "+oidcDoc {
			n++
		}
	}
	return n
}

// I4: metadata is fetched when first needed, one at a time, and again after an
// hour; after a failure, not before the cool-down is over.
func TestI4DiscoveryIsFetchedSeldom(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server := &site{}
		server.set(endpoint, answer(`{"active":true}`))
		slow := func(page http.HandlerFunc) http.HandlerFunc {
			return func(w http.ResponseWriter, r *http.Request) {
				time.Sleep(time.Second)
				page(w, r)
			}
		}
		server.set(oidcDoc, slow(reply(500, "application/json", "{}")))
		v := newDiscovery(t, server, introspect.Config{})
		step := func(when string, wantFetches int, wantErr error) {
			t.Helper()
			errs := verifyMany(t, v)
			time.Sleep(2 * time.Second) // for a fetch that nobody waits for
			if got := fetches(server); got != wantFetches {
				t.Errorf("%s: %d fetches, want %d", when, got, wantFetches)
			}
			if i := slices.IndexFunc(errs, func(err error) bool { return !errors.Is(err, wantErr) }); i >= 0 {
				t.Errorf("%s: err = %v, want %v", when, errs[i], wantErr)
			}
		}
		if n := fetches(server); n != 0 {
			t.Errorf("New made %d fetches", n)
		}
		step("at first", 1, portcullis.ErrUnavailable)
		server.set(oidcDoc, slow(metadata(issuer, endpoint)))
		step("within the cool-down", 0, portcullis.ErrUnavailable)
		time.Sleep(3 * time.Second)
		step("after it", 1, nil)
		time.Sleep(59 * time.Minute)
		step("within the hour", 0, nil)

		// What is known serves while the issuer is down, or says what it shouldn't.
		server.set(oidcDoc, slow(reply(500, "application/json", "{}")))
		time.Sleep(time.Minute)
		step("after the hour", 1, nil)
		server.set(oidcDoc, slow(metadata("https://evil.example.com", "https://evil.example.com/")))
		step("soon after", 0, nil)
		time.Sleep(3 * time.Second)
		step("after the cool-down", 1, nil)

		// The endpoint moves.
		server.set(oidcDoc, slow(metadata(issuer, endpoint+"/2")))
		server.set(endpoint+"/2", answer(`{"active":true}`))
		time.Sleep(5 * time.Second)
		step("after the move", 1, nil)
		server.set(endpoint, reply(404, "text/html", ""))
		step("at the new place", 0, nil)
	})
}

// I4: one caller's cancellation fails neither the fetch nor the others.
func TestI4DiscoveryOutlivesItsCaller(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server := &site{}
		server.set(endpoint, answer(`{"active":true}`))
		server.set(oidcDoc, func(w http.ResponseWriter, r *http.Request) {
			time.Sleep(2 * time.Second)
			metadata(issuer, endpoint)(w, r)
		})
		v := newDiscovery(t, server, introspect.Config{})
		others := make(chan error)
		go func() {
			time.Sleep(time.Second / 2)
			_, err := check(t, v)
			others <- err
		}()
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		began := time.Now()
		_, err := v.Verify(ctx, token)
		checkError(t, err, portcullis.ErrUnavailable)
		if took := time.Since(began); took != time.Second || !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("after %v: %v", took, err)
		}
		if err := <-others; err != nil {
			t.Error(err)
		}
		if n := fetches(server); n != 1 {
			t.Errorf("%d fetches", n)
		}
	})
}

// I2: metadata that never comes costs the timeout, once for each document.
func TestI2DiscoveryTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hang := func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }
		server := &site{pages: map[string]http.HandlerFunc{oidcDoc: hang, oauthDoc: hang}}
		v := newDiscovery(t, server, introspect.Config{Timeout: 3 * time.Second})
		began := time.Now()
		_, err := check(t, v)
		checkError(t, err, portcullis.ErrUnavailable)
		if took := time.Since(began); took != 6*time.Second {
			t.Errorf("took %v", took)
		}
		if errors.Is(err, context.Canceled) || !strings.Contains(err.Error(), "within 3s") {
			t.Errorf("err = %v", err)
		}
	})
}
