package portcullis_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/portcullis-auth/portcullis"
)

// user is a token system in which the token is the Identity's name.
type user func(token string) *portcullis.Identity

func (u user) Verify(_ context.Context, token string) (*portcullis.Identity, error) {
	if id := u(token); id != nil {
		return id, nil
	}
	return nil, portcullis.ErrInvalid
}

// request returns a request with the token.
func request(t testing.TB, token string, headers ...string) *http.Request {
	r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/", nil)
	r.Header.Set("Authorization", "Bearer "+token)
	for i := 0; i < len(headers); i += 2 {
		r.Header.Add(headers[i], headers[i+1])
	}
	return r
}

// An end is what OnEnd told, and when.
type end struct {
	mu    sync.Mutex // guards what follows
	cause error
	at    time.Time
	times int
}

// note notes an end; it fits OnEnd.
func (e *end) note(cause error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.cause, e.at, e.times = cause, time.Now(), e.times+1
}

// told returns how often it has ended, and why.
func (e *end) told() (times int, cause error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.times, e.cause
}

// admit admits a request and notes its end.
func admit(t testing.TB, g *portcullis.Guard, token string, headers ...string) (*portcullis.Session, *end) {
	t.Helper()
	s, err := g.Admit(request(t, token, headers...), &g.Policy)
	if err != nil {
		t.Fatalf("Admit %q: %v", token, err)
	}
	e := new(end)
	s.OnEnd(e.note)
	return s, e
}

// want fails unless the session has ended with the cause, once, at that time.
func (e *end) want(t testing.TB, what string, cause error, at time.Time) {
	t.Helper()
	e.mu.Lock()
	defer e.mu.Unlock()
	if !errors.Is(e.cause, cause) || cause == nil && e.cause != nil || cause != nil && (!e.at.Equal(at) || e.times != 1) {
		t.Errorf("%s: ended %d times with %v at %v; want %v at %v", what, e.times, e.cause, e.at, cause, at)
	}
}

// bubbleBegin is when each synctest bubble begins.
var bubbleBegin = time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC)

// Promise 2: sessions end when their time is over: not before, not after.
func TestExpiryIsExact(t *testing.T) {
	{
		begin := bubbleBegin
		exp := begin.Add(90*time.Second + 250*time.Millisecond)
		for _, tt := range []struct {
			name       string
			id         portcullis.Identity
			leeway     time.Duration
			maxSession time.Duration
			over       time.Time
		}{
			{"exp", portcullis.Identity{ExpiresAt: exp}, 0, 0, exp},
			{"exp and Leeway", portcullis.Identity{ExpiresAt: exp}, 7 * time.Second, 0, exp.Add(7 * time.Second)},
			{"exp beyond MaxSession", portcullis.Identity{ExpiresAt: exp}, 0, time.Second, exp},
			{"exp over, Leeway not", portcullis.Identity{ExpiresAt: begin.Add(-time.Second)}, 7 * time.Second, 0, begin.Add(6 * time.Second)},
			{"no exp", portcullis.Identity{}, 7 * time.Second, 0, begin.Add(24 * time.Hour)},
			{"no exp, MaxSession", portcullis.Identity{}, 0, time.Minute, begin.Add(time.Minute)},
		} {
			t.Run(tt.name, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					g := &portcullis.Guard{Verifier: user(func(string) *portcullis.Identity { return &tt.id }), Leeway: tt.leeway, MaxSession: tt.maxSession}
					s, e := admit(t, g, "x")
					time.Sleep(time.Until(tt.over) - 1)
					synctest.Wait()
					e.want(t, "a nanosecond before", nil, time.Time{})
					time.Sleep(time.Nanosecond)
					synctest.Wait()
					e.want(t, "then", portcullis.ErrExpired, tt.over)
					if cause := context.Cause(s.Request().Context()); !errors.Is(cause, portcullis.ErrExpired) || !errors.Is(s.Err(), portcullis.ErrExpired) {
						t.Errorf("cause %v, Err %v", cause, s.Err())
					}
					s.Close()
					if !g.Empty() {
						t.Error("the session is left")
					}
					if tt.id.ExpiresAt.IsZero() {
						return
					}
					if _, err := g.Admit(request(t, "x"), &g.Policy); !errors.Is(err, portcullis.ErrExpired) {
						t.Errorf("Admit: %v, want ErrExpired", err)
					}
				})
			})
		}
	}
}

// Promise 6: a renewal moves the end, but never to an earlier time.
func TestRenewMovesTheEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		begin := time.Now()
		g := &portcullis.Guard{MaxSession: time.Minute, Verifier: user(func(token string) *portcullis.Identity {
			d, err := time.ParseDuration(token)
			if err != nil {
				return &portcullis.Identity{Subject: "u"} // MaxSession
			}
			return &portcullis.Identity{Subject: "u", IssuedAt: time.Now(), ExpiresAt: begin.Add(d)}
		})}
		s, e := admit(t, g, "10s")
		other, otherEnd := admit(t, g, "20s")
		defer other.Close()
		renew := func(token string) {
			t.Helper()
			if err := g.Renew(t.Context(), s.Handle(), token); err != nil {
				t.Errorf("Renew %s: %v", token, err)
			}
		}
		time.Sleep(2 * time.Second)
		renew("30s")
		time.Sleep(13 * time.Second)
		if err := g.Revoke(t.Context(), portcullis.Revocation{Subject: "u", IssuedBefore: begin.Add(time.Second), Until: begin.Add(16 * time.Second)}); err != nil { // spares it
			t.Error(err)
		}
		otherEnd.want(t, "the other one", portcullis.ErrRevoked, begin.Add(15*time.Second))
		renew("16s") // earlier: no effect
		time.Sleep(6 * time.Second)
		synctest.Wait()
		e.want(t, "at 21 s", nil, time.Time{})
		renew("for ever") // until 81 s
		time.Sleep(59 * time.Second)
		if err := portcullis.Renew(s.Request().Context(), "for ever"); err != nil { // until 140 s
			t.Error(err)
		}
		time.Sleep(59 * time.Second)
		synctest.Wait()
		e.want(t, "at 139 s", nil, time.Time{})
		time.Sleep(time.Hour)
		e.want(t, "in the end", portcullis.ErrExpired, begin.Add(140*time.Second))
		if err := g.Renew(t.Context(), s.Handle(), "1000h"); err == nil {
			t.Error("renewed a session that is over")
		}
		if err := portcullis.Renew(s.Request().Context(), "1000h"); !errors.Is(err, portcullis.ErrExpired) {
			t.Errorf("Renew: %v, want ErrExpired", err)
		}
		s.Close()
	})
}

func TestRenewIsRefused(t *testing.T) {
	cant := errors.New("the rule's database is down")
	full := &portcullis.Identity{Issuer: "i", Subject: "u", ClientID: "c", SessionID: "s1", IssuedAt: time.Unix(9e8, 0)}
	machine := &portcullis.Identity{Issuer: "i", ClientID: "c"}
	for _, tt := range []struct {
		name     string
		from, to *portcullis.Identity
		allow    error
		revoked  portcullis.Revocation
		want     error
		ends     error
	}{
		{name: "same", from: full, to: full},
		{name: "another session and client of the user", from: full, to: &portcullis.Identity{Issuer: "i", Subject: "u", ClientID: "d", SessionID: "s2"}},
		{name: "another subject", from: full, to: &portcullis.Identity{Issuer: "i", Subject: "v", ClientID: "c", SessionID: "s1"}, want: portcullis.ErrForbidden},
		{name: "another issuer", from: full, to: &portcullis.Identity{Issuer: "j", Subject: "u", ClientID: "c", SessionID: "s1"}, want: portcullis.ErrForbidden},
		{name: "no subject", from: machine, to: machine},
		{name: "no subject, another client", from: machine, to: &portcullis.Identity{Issuer: "i", ClientID: "d"}, want: portcullis.ErrForbidden},
		{name: "nobody at all", from: &portcullis.Identity{}, to: &portcullis.Identity{}, want: portcullis.ErrForbidden},
		{name: "bad token", from: full, want: portcullis.ErrInvalid},
		{name: "revoked token", from: full, to: &portcullis.Identity{Issuer: "i", Subject: "u", SessionID: "s0"}, revoked: portcullis.Revocation{SessionID: "s0"}, want: portcullis.ErrRevoked},
		{name: "revoked session", from: full, to: &portcullis.Identity{Issuer: "i", Subject: "u", SessionID: "s2"}, revoked: portcullis.Revocation{SessionID: "s1"}, want: portcullis.ErrRevoked, ends: portcullis.ErrRevoked},
		{name: "rule says no", from: full, to: full, allow: errors.New("no"), want: portcullis.ErrForbidden, ends: portcullis.ErrForbidden},
		{name: "rule can't tell", from: full, to: full, allow: fmt.Errorf("%w: %w", portcullis.ErrUnavailable, cant), want: cant},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				from, allow := true, error(nil)
				g := &portcullis.Guard{Verifier: user(func(string) *portcullis.Identity {
					if from {
						return tt.from
					}
					return tt.to
				})}
				g.Allow = func(*http.Request, *portcullis.Identity) error { return allow }
				s, e := admit(t, g, "x")
				defer s.Close()
				from, allow = false, tt.allow
				if tt.revoked != (portcullis.Revocation{}) {
					if err := g.Revoke(t.Context(), tt.revoked); err != nil {
						t.Fatal(err)
					}
				}
				if err := portcullis.Renew(s.Request().Context(), "y"); !errors.Is(err, tt.want) || tt.want == nil && err != nil {
					t.Errorf("Renew: %v, want %v", err, tt.want)
				}
				e.want(t, "the session", tt.ends, time.Now())
				if want := tt.from; tt.want != nil && s.Identity() != want {
					t.Errorf("the Identity is %+v now", s.Identity())
				}
			})
		})
	}
	if err := portcullis.Renew(t.Context(), "x"); err == nil {
		t.Error("renewed what is no session")
	}
}

// A refused request is no session: neither to be renewed nor to be taken for
// somebody's.
func TestRefusedRequestIsNobody(t *testing.T) {
	g := newGuard()
	g.Allow = func(*http.Request, *portcullis.Identity) error { return errors.New("no") }
	for token, known := range map[string]bool{"bad": false, "good": true} {
		g.Deny = func(_ http.ResponseWriter, r *http.Request, _ error) {
			if id, ok := portcullis.FromContext(r.Context()); ok != known || ok != (id != nil) {
				t.Errorf("%s token: FromContext gives %v, %v", token, id, ok)
			}
			if err := portcullis.Renew(r.Context(), "good"); err == nil {
				t.Errorf("%s token: renewed what was refused", token)
			}
		}
		get(t, g.Handler(http.NotFoundHandler()), "/", "Authorization", "Bearer "+token)
	}
	if !g.Empty() {
		t.Error("sessions are left")
	}
}

// Thousands of sessions end in the same instant, and others stay.
func TestManyEndTogether(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const n = 5000
		over := time.Now().Add(time.Minute)
		g := &portcullis.Guard{Verifier: user(func(token string) *portcullis.Identity {
			return &portcullis.Identity{Subject: token, ExpiresAt: over.Add(time.Duration(len(token)-1) * time.Hour)}
		})}
		ends := make([]*end, n)
		sessions := make([]*portcullis.Session, n)
		for i := range n {
			sessions[i], ends[i] = admit(t, g, []string{"a", "bb"}[i%2])
		}
		time.Sleep(2 * time.Minute)
		for i, e := range ends {
			if i%2 == 0 {
				e.want(t, "the one", portcullis.ErrExpired, over)
			} else {
				e.want(t, "the other", nil, over)
			}
			sessions[i].Close()
			if t.Failed() {
				return
			}
		}
		if !g.Empty() {
			t.Error("sessions are left")
		}
	})
}

// S8: a token whose time is over when the token system has said yes at last lets
// nobody in, whether there are others inside or not.
func TestS8ExpiresWhileAsked(t *testing.T) {
	for _, tt := range []struct {
		name        string
		takes, left time.Duration
		inside      bool
	}{
		{"at once, nobody inside", time.Second / 2, time.Second / 4, false},
		{"at once", time.Second / 2, time.Second / 4, true},
		{"after the first sweep", 3 * time.Second / 2, time.Second, true},
		{"after long, nobody inside", 2 * time.Hour, time.Hour, false},
		{"after long", 2 * time.Hour, time.Hour, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				g := newGuard()
				takes := time.Duration(0)
				g.Verifier = user(func(token string) *portcullis.Identity {
					id := alice()
					id.ExpiresAt = time.Now().Add(24 * time.Hour)
					if token == "late" {
						id.ExpiresAt = time.Now().Add(tt.left)
					}
					time.Sleep(takes)
					return id
				})
				if tt.inside {
					s, _ := admit(t, g, "long")
					defer s.Close()
				}
				time.Sleep(time.Second / 4) // since the last sweep
				takes = tt.takes
				if _, err := g.Admit(request(t, "late"), &g.Policy); !errors.Is(err, portcullis.ErrExpired) {
					t.Errorf("Admit: %v, want ErrExpired", err)
				}
			})
		})
	}
}
