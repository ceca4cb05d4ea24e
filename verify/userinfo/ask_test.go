package userinfo_test

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/portcullis-auth/portcullis"
	"github.com/portcullis-auth/portcullis/verify/userinfo"
)

// I2 and "Answers": what is a yes, what is a no, and what is neither; only the
// last may be done without.
func TestI2Answers(t *testing.T) {
	var (
		invalid, forbidden, cannotTell = portcullis.ErrInvalid, portcullis.ErrForbidden, portcullis.ErrUnavailable
		user                           = `{"sub":"S3CR3T-ada","name":"Ada"}`
	)
	for _, tt := range []struct {
		name      string
		answer    server
		byToken   error // what is made of it where the token is sent
		bySubject error
		wantText  string
	}{
		{"200", answer(user), nil, nil, ""},
		{"201", reply(201, "application/json", user), nil, nil, ""},
		{"other type of JSON", reply(200, "application/scim+json; charset=utf-8", user), nil, nil, ""},
		{"401", reply(401, "application/json", user), invalid, cannotTell, "401"},
		{"403", reply(403, "application/json", user), invalid, cannotTell, "403"},
		{"404", reply(404, "application/json", user), cannotTell, forbidden, "404"},
		{"400", reply(400, "application/json", user), cannotTell, cannotTell, "400"},
		{"410", reply(410, "application/json", user), cannotTell, cannotTell, "410"},
		{"429", reply(429, "application/json", user), cannotTell, cannotTell, "429"},
		{"500", reply(500, "application/json", user), cannotTell, cannotTell, "500"},
		{"302", reply(302, "application/json", user), cannotTell, cannotTell, "redirect"},
		{"204", reply(204, "", ""), cannotTell, cannotTell, "empty"},
		{"signed", reply(200, "application/jwt", "e30.e30.S3CR3T"), cannotTell, cannotTell, "not supported"},
		{"HTML", reply(200, "text/html", user), cannotTell, cannotTell, "HTML"},
		{"text", reply(200, "text/plain", user), cannotTell, cannotTell, "Content-Type"},
		{"array", answer("[" + user + "]"), cannotTell, cannotTell, "not a JSON object"},
		{"two", answer(user + user), cannotTell, cannotTell, "data behind"},
		{"duplicates", answer(`{"sub":"S3CR3T-ada","sub":"S3CR3T-ada"}`), cannotTell, cannotTell, "duplicate"},
		{"nobody", answer(`{"name":"Ada"}`), cannotTell, nil, `no "sub"`},
		{"null", answer(`{"sub":null}`), cannotTell, nil, `no "sub"`},
		{"another case", answer(`{"SUB":"S3CR3T-ada"}`), cannotTell, nil, `no "sub"`},
		{"another user", answer(`{"sub":"S3CR3T-bob"}`), cannotTell, cannotTell, "another user"},
		{"user in another case", answer(`{"sub":"s3cr3t-ada"}`), cannotTell, cannotTell, "another user"},
		{"user is empty", answer(`{"sub":""}`), cannotTell, cannotTell, "another user"},
		{"user is a list", answer(`{"sub":["S3CR3T-ada"]}`), cannotTell, cannotTell, "another user"},
		{"too large", answer(`{"sub":"S3CR3T-ada","x":"` + strings.Repeat("x", 300<<10) + `"}`), cannotTell, cannotTell, "larger"},
		{"too large together", answer(`{"sub":"S3CR3T-ada","x":"` + strings.Repeat("x", 256<<10-40) + `"}`), cannotTell, cannotTell, "together"},
		{"compressed", func(r *http.Request) (*http.Response, error) {
			resp, err := answer(user)(r)
			resp.Header.Set("Content-Encoding", "gzip")
			return resp, err
		}, cannotTell, cannotTell, "compressed"},
		{"none", func(*http.Request) (*http.Response, error) { return nil, errors.New("S3CR3T") }, cannotTell, cannotTell, "no usable"},
		{"panic", func(*http.Request) (*http.Response, error) { panic("S3CR3T") }, cannotTell, cannotTell, "panicked (string)"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			for _, mode := range []struct {
				name, url string
				want      error
			}{{"token", endpoint, tt.byToken}, {"subject", service, tt.bySubject}} {
				for _, policy := range []userinfo.FailurePolicy{"", userinfo.Refuse, userinfo.Without} {
					v := newVerifier(t, userinfo.Config{URL: mode.url, OnFailure: policy, Client: tt.answer.client()})
					id, err := verify(t, v)
					want := mode.want
					if policy == userinfo.Without && errors.Is(want, cannotTell) {
						if want = nil; id == nil || string(id.Claims) != string(ada().Claims) {
							t.Errorf("%s: not the Identity as it was: %+v", mode.name, id)
						}
					}
					checkError(t, err, want)
					if err != nil && !strings.Contains(err.Error(), tt.wantText) {
						t.Errorf("%s: err = %v, want %q in it", mode.name, err, tt.wantText)
					}
				}
			}
		})
	}
}

// A home-made token system's users may have numbers.
func TestNumberAsSubject(t *testing.T) {
	for _, tt := range []struct {
		subject, sub string
		want         error
	}{
		{"17", `17`, nil},
		{"17", `"17"`, nil},
		{"17", `17.0`, portcullis.ErrUnavailable},
		{"17", `18`, portcullis.ErrUnavailable},
		{"true", `true`, portcullis.ErrUnavailable},
		{"1e2", `1e2`, portcullis.ErrUnavailable},
		{"[]", `[]`, portcullis.ErrUnavailable},
	} {
		v := newVerifier(t, userinfo.Config{
			Verifier: always(&portcullis.Identity{Subject: tt.subject}), Client: answer(`{"sub":` + tt.sub + `}`).client(),
		})
		_, err := verify(t, v)
		checkError(t, err, tt.want)
	}
}

// Tokens without a user would all share one answer.
func TestNoSubject(t *testing.T) {
	for _, address := range []string{endpoint, service, "http://localhost/?id={sub}"} {
		v := newVerifier(t, userinfo.Config{
			Verifier: always(&portcullis.Identity{}), URL: address,
			Client: server(func(r *http.Request) (*http.Response, error) {
				t.Error("asked")
				return answer(`{"sub":""}`)(r)
			}).client(),
		})
		_, err := verify(t, v)
		checkError(t, err, portcullis.ErrUnavailable)
	}
}

// I2: a subject is one segment of a path or one value of a query, whatever is
// in it.
func TestI2Place(t *testing.T) {
	for _, tt := range []struct{ name, address, subject, want string }{
		{"path", "https://a/u/{sub}/x", "u1", "https://a/u/u1/x"},
		{"path and query", "https://a/{sub}?q={sub}", "a b", "https://a/a%20b?q=a%20b"},
		{"slash", "https://a/{sub}", "auth0|x/y", "https://a/auth0%7Cx%2Fy"},
		{"question mark", "https://a/{sub}", "x?admin=1#y", "https://a/x%3Fadmin=1%23y"},
		{"escape", "https://a/{sub}", "%2e%2e", "https://a/%252e%252e"},
		{"semicolon", "https://a/{sub}", "x;a=1", "https://a/x%3Ba=1"},
		{"line break", "https://a/{sub}", "x\r\ny", "https://a/x%0D%0Ay"},
		{"query", "https://a/?q={sub}", "x&admin=1+2#y?%2F=é", "https://a/?q=x%26admin%3D1%2B2%23y%3F%252F%3D%C3%A9"},
		{"placeholder", "https://a/{sub}?q={sub}", "{sub}", "https://a/%7Bsub%7D?q=%7Bsub%7D"},
		{"two dots in a query", "https://a/?q={sub}", "../x", "https://a/?q=..%2Fx"},
		{"three dots", "https://a/{sub}", "...", "https://a/..."},
		{"dot", "https://a/{sub}", ".", ""},
		{"two dots", "https://a/{sub}", "..", ""},
		{"up", "https://a/{sub}", "../admin", ""},
		{"up inside", "https://a/{sub}", "x/../admin", ""},
		{"up with backslash", "https://a/{sub}", `x\..`, ""},
		{"empty", "https://a/{sub}", "", ""},
		{"slash alone", "https://a/{sub}", "/", ""},
		{"slash last", "https://a/{sub}?q={sub}", "x/", ""},
	} {
		got, err := userinfo.Place(tt.subject, tt.address)
		if got != tt.want || (err == nil) != (tt.want != "") {
			t.Errorf("%s: %q, %v, want %q", tt.name, got, err, tt.want)
		}
		if u, err := url.Parse(got); err != nil || tt.want != "" && u.Host != "a" {
			t.Errorf("%s: %v, host %q", tt.name, err, u.Host)
		}
	}
}

// I2: a hostile endpoint, over a real connection, costs a bounded time and
// gets nothing.
func TestI2Hostile(t *testing.T) {
	elsewhere := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		t.Errorf("a redirect was followed, with %q", r.Header.Get("Authorization"))
	}))
	defer elsewhere.Close()
	for name, handler := range map[string]http.HandlerFunc{
		"silent":   func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() },
		"hung up":  func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) },
		"redirect": func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, elsewhere.URL, http.StatusFound) },
		"dripping": func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			for tick := time.NewTicker(time.Millisecond); r.Context().Err() == nil; <-tick.C {
				_, _ = io.WriteString(w, " ")
				_ = http.NewResponseController(w).Flush()
			}
		},
		"endless": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			for _, err := w.Write([]byte("{")); err == nil; _, err = w.Write(make([]byte, 64<<10)) {
			}
		},
		"the request sent back": func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			_ = r.Write(w)
		},
		"the token instead of HTTP": func(w http.ResponseWriter, r *http.Request) {
			conn, _, _ := http.NewResponseController(w).Hijack()
			_, _ = io.WriteString(conn, r.Header.Get("Authorization")+"\r\n\r\n")
			_ = conn.Close()
		},
		"reset": func(w http.ResponseWriter, _ *http.Request) {
			conn, _, _ := http.NewResponseController(w).Hijack()
			_ = conn.(*net.TCPConn).SetLinger(0)
			_ = conn.Close()
		},
	} {
		t.Run(name, func(t *testing.T) {
			srv := httptest.NewServer(handler)
			defer srv.Close()
			v := newVerifier(t, userinfo.Config{URL: srv.URL + "/userinfo?key=S3CR3T", Timeout: 300 * time.Millisecond})
			_, err := verify(t, v)
			checkError(t, err, portcullis.ErrUnavailable)
			if n := v.Known(); n != 0 {
				t.Errorf("%d answers are remembered", n)
			}
		})
	}
}

// J5: a token that would break out of its header isn't sent, whatever the
// wrapped Verifier thinks of it.
func TestJ5NoCallForWhatIsNoToken(t *testing.T) {
	v := newVerifier(t, userinfo.Config{
		OnFailure: userinfo.Without,
		Client: server(func(r *http.Request) (*http.Response, error) {
			t.Error("asked")
			return answer(`{"sub":"S3CR3T-ada"}`)(r)
		}).client(),
	})
	for _, token := range []string{"", "a b", "a\r\nX: y", strings.Repeat("x", 16<<10+1)} {
		_, err := v.Verify(t.Context(), token)
		checkError(t, err, portcullis.ErrInvalid)
	}
}

// Somebody who has gone gets no Identity, whatever the policy: that isn't the
// endpoint's failure.
func TestCallerGivesUp(t *testing.T) {
	for _, policy := range []userinfo.FailurePolicy{userinfo.Refuse, userinfo.Without} {
		ctx, cancel := context.WithCancel(t.Context())
		v := newVerifier(t, userinfo.Config{
			OnFailure: policy,
			Client: server(func(r *http.Request) (*http.Response, error) {
				cancel()
				<-r.Context().Done()
				return nil, r.Context().Err()
			}).client(),
		})
		_, err := v.Verify(ctx, "token")
		checkError(t, err, portcullis.ErrUnavailable)
		checkError(t, err, context.Canceled)
	}
}
