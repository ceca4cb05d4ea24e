package userinfo_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/portcullis-auth/portcullis"
	"github.com/portcullis-auth/portcullis/verify/userinfo"
)

// A counter answers about Ada and counts.
type counter struct {
	calls  atomic.Int64
	takes  time.Duration
	status func(token string) int // nil: 200
}

func (c *counter) RoundTrip(r *http.Request) (*http.Response, error) {
	n := c.calls.Add(1)
	select {
	case <-time.After(c.takes):
	case <-r.Context().Done():
		return nil, r.Context().Err()
	}
	status := 200
	if c.status != nil {
		status = c.status(strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer "))
	}
	return reply(status, "application/json", fmt.Sprintf(`{"sub":"S3CR3T-ada","n":%d}`, n))(r)
}

// I3: an answer is used for MaxAge, by all tokens of the user, and not longer.
func TestI3Age(t *testing.T) {
	for _, maxAge := range []time.Duration{0, 10 * time.Second} {
		synctest.Test(t, func(t *testing.T) {
			c := &counter{}
			v := newVerifier(t, userinfo.Config{MaxAge: maxAge, Client: &http.Client{Transport: c}})
			age := maxAge
			if age == 0 {
				age = time.Minute
			}
			for _, step := range []struct {
				after time.Duration
				want  int64
			}{{0, 1}, {age / 2, 1}, {age/2 - time.Millisecond, 1}, {2 * time.Millisecond, 2}, {age - time.Millisecond, 2}} {
				time.Sleep(step.after)
				id, err := verify(t, v)
				checkError(t, err, nil)
				var n int64
				if !id.Claim("n", &n) || n != step.want || c.calls.Load() != step.want {
					t.Errorf("MaxAge %v: answer %d after %d calls, want %d", maxAge, n, c.calls.Load(), step.want)
				}
			}
			if time.Sleep(2 * age); v.Known() != 0 {
				t.Error("an answer stays in memory")
			}
		})
	}
}

// I3: errors are never remembered.
func TestI3ErrorsAreNotRemembered(t *testing.T) {
	for _, status := range []int{401, 404, 500, 200} {
		c := &counter{status: func(string) int { return status }}
		v := newVerifier(t, userinfo.Config{Client: &http.Client{Transport: c}})
		for range 3 {
			_, _ = verify(t, v)
		}
		if want := map[bool]int64{true: 1, false: 3}[status == 200]; c.calls.Load() != want {
			t.Errorf("status %d: %d calls, want %d", status, c.calls.Load(), want)
		}
	}
}

// I3: the key is everything that the answer depends on.
func TestI3Key(t *testing.T) {
	change := func(f func(*portcullis.Identity)) *portcullis.Identity {
		id := ada()
		f(id)
		return id
	}
	for _, tt := range []struct {
		name                string
		id                  *portcullis.Identity
		byToken, bySubject  bool // whether it shares ada's answer
		withoutSubjectCheck bool
	}{
		{"same", ada(), true, true, false},
		{"another token id, session and expiry", change(func(id *portcullis.Identity) {
			id.TokenID, id.SessionID, id.ExpiresAt = "t", "s", time.Unix(1900000000, 0)
		}), true, true, false},
		{"another issuer", change(func(id *portcullis.Identity) { id.Issuer = "https://other.example.com" }), false, false, false},
		{"another subject", change(func(id *portcullis.Identity) { id.Subject = "bob" }), false, false, true},
		{"another client", change(func(id *portcullis.Identity) { id.ClientID = "app" }), false, true, false},
		{"more scopes", change(func(id *portcullis.Identity) { id.Scopes = append(id.Scopes, "email") }), false, true, false},
		{"scopes in another order", change(func(id *portcullis.Identity) { id.Scopes = []string{"chat", "openid", "chat"} }), true, true, false},
		{"one scope that looks like two", change(func(id *portcullis.Identity) { id.Scopes = []string{`chat" "openid`} }), false, true, false},
		{"one scope that looks like two, by spaces", change(func(id *portcullis.Identity) { id.Scopes = []string{"chat openid"} }), false, true, false},
	} {
		for _, mode := range []struct {
			url    string
			shared bool
		}{{endpoint, tt.byToken}, {service, tt.bySubject}} {
			c := &counter{}
			ids := []*portcullis.Identity{ada(), tt.id}
			scopes := fmt.Sprint(tt.id.Scopes)
			v := newVerifier(t, userinfo.Config{
				URL: mode.url, Client: &http.Client{Transport: c},
				Verifier: portcullis.VerifierFunc(func(context.Context, string) (*portcullis.Identity, error) {
					id := ids[0]
					ids = ids[1:]
					return id, nil
				}),
			})
			_, err := verify(t, v)
			checkError(t, err, nil)
			if _, err = verify(t, v); !tt.withoutSubjectCheck {
				checkError(t, err, nil)
			}
			if shared := c.calls.Load() == 1; shared != mode.shared {
				t.Errorf("%s, %s: shared %v, want %v", tt.name, mode.url, shared, mode.shared)
			}
			if got := fmt.Sprint(tt.id.Scopes); got != scopes {
				t.Errorf("%s: the Identity's scopes became %s", tt.name, got)
			}
		}
	}
}

// L1, I3: memory is bounded, whatever is in the answers, and given back.
func TestI3Bound(t *testing.T) {
	const maxBytes = 64 << 10
	for _, tt := range []struct {
		name, body   string
		users, least int // bytes that an answer takes
	}{
		{"long value", `{"x":"` + strings.Repeat("x", 8<<10) + `"}`, 50, 8 << 10},
		{"many members", `{"x":0` + manyMembers(100) + `}`, 50, 100 * 64},
		{"nothing", `{}`, 500, 256},
	} {
		var users atomic.Int64
		v := newVerifier(t, userinfo.Config{
			URL: service, MaxBytes: maxBytes, Client: answer(tt.body).client(),
			Verifier: portcullis.VerifierFunc(func(context.Context, string) (*portcullis.Identity, error) {
				return &portcullis.Identity{Subject: fmt.Sprint(users.Add(1))}, nil
			}),
		})
		for range tt.users {
			_, err := verify(t, v)
			checkError(t, err, nil)
		}
		if n := v.Known(); n == 0 || n > maxBytes/tt.least {
			t.Errorf("%s: %d answers of %d bytes in %d", tt.name, n, tt.least, maxBytes)
		}
		if err := v.Close(); err != nil || v.Known() != 0 {
			t.Errorf("%s: %d answers after Close, %v", tt.name, v.Known(), err)
		}
	}
}

func manyMembers(n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, `,"%06d":0`, i)
	}
	return b.String()
}

// I4: a thousand tokens of one user cost one call.
func TestI4OneCall(t *testing.T) {
	for _, address := range []string{endpoint, service} {
		synctest.Test(t, func(t *testing.T) {
			c := &counter{takes: time.Second}
			v := newVerifier(t, userinfo.Config{URL: address, Client: &http.Client{Transport: c}})
			var wg sync.WaitGroup
			for i := range 1000 {
				wg.Go(func() {
					_, err := v.Verify(t.Context(), fmt.Sprint("token-", i))
					checkError(t, err, nil)
				})
			}
			wg.Wait()
			if n := c.calls.Load(); n != 1 {
				t.Errorf("%s: %d calls", address, n)
			}
		})
	}
}

// I4: who looks just before an answer comes, and asks just after, finds it.
func TestI4NoSecondCall(t *testing.T) {
	var users, calls atomic.Int64
	v := newVerifier(t, userinfo.Config{
		URL: service,
		Client: server(func(r *http.Request) (*http.Response, error) {
			calls.Add(1)
			return answer(`{}`)(r)
		}).client(),
		Verifier: portcullis.VerifierFunc(func(context.Context, string) (*portcullis.Identity, error) {
			return &portcullis.Identity{Subject: fmt.Sprint(users.Load())}, nil
		}),
	})
	const rounds = 500
	for range rounds {
		users.Add(1)
		var wg sync.WaitGroup
		for range 8 {
			wg.Go(func() {
				_, err := v.Verify(t.Context(), "token")
				checkError(t, err, nil)
			})
		}
		wg.Wait()
	}
	if n := calls.Load(); n != rounds {
		t.Errorf("%d calls about %d users", n, rounds)
	}
}

// I4: one caller's cancellation doesn't fail the others, not even that of the
// one whose token was sent.
func TestI4CancellationHarmsNobody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := &counter{takes: 2 * time.Second}
		v := newVerifier(t, userinfo.Config{Client: &http.Client{Transport: c}})
		var wg sync.WaitGroup
		wg.Go(func() {
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			defer cancel()
			_, err := v.Verify(ctx, "first")
			checkError(t, err, portcullis.ErrUnavailable)
			checkError(t, err, context.DeadlineExceeded)
		})
		synctest.Wait()
		for range 10 {
			wg.Go(func() {
				_, err := v.Verify(t.Context(), "other")
				checkError(t, err, nil)
			})
		}
		wg.Wait()
		if n := c.calls.Load(); n != 1 {
			t.Errorf("%d calls", n)
		}
	})
}

// I4: a call that is shared says whether the user is known. That one token has
// been withdrawn is said of that token alone, and each other is asked about
// once.
func TestI4NoOfOneToken(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := &counter{takes: time.Second, status: func(token string) int {
			if strings.HasPrefix(token, "bad") {
				return 401
			}
			return 200
		}}
		v := newVerifier(t, userinfo.Config{Client: &http.Client{Transport: c}})
		var wg sync.WaitGroup
		verify := func(token string, want error) {
			wg.Go(func() {
				_, err := v.Verify(t.Context(), token)
				checkError(t, err, want)
			})
			synctest.Wait()
		}
		verify("bad-1", portcullis.ErrInvalid) // its call is the one that is shared
		for range 5 {
			verify("bad-2", portcullis.ErrInvalid)
			verify("good", nil)
		}
		wg.Wait()
		if n := c.calls.Load(); n != 3 {
			t.Errorf("%d calls for 3 tokens", n)
		}
	})
}

// A user who is gone is gone for all tokens.
func TestI4NoSuchUser(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := &counter{takes: time.Second, status: func(string) int { return 404 }}
		v := newVerifier(t, userinfo.Config{URL: service, OnFailure: userinfo.Without, Client: &http.Client{Transport: c}})
		var wg sync.WaitGroup
		for i := range 10 {
			wg.Go(func() {
				if _, err := v.Verify(t.Context(), fmt.Sprint("token-", i)); !errors.Is(err, portcullis.ErrForbidden) {
					t.Errorf("err = %v", err)
				}
			})
		}
		wg.Wait()
		if n := c.calls.Load(); n != 1 {
			t.Errorf("%d calls", n)
		}
	})
}
