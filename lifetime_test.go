package portcullis_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"strconv"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gobwas/ws"

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

// admit admits a request and notes its end.
func admit(t testing.TB, g *portcullis.Guard, token string, headers ...string) (*portcullis.Session, *end) {
	t.Helper()
	s, err := g.Admit(request(t, token, headers...), g.Policy)
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
					if _, err := g.Admit(request(t, "x"), g.Policy); !errors.Is(err, portcullis.ErrExpired) {
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

// R1: a revocation that comes between the verdict and the registration ends it.
func TestR1RevokedWhileVerifying(t *testing.T) {
	for _, known := range []bool{true, false} { // "iat"
		synctest.Test(t, func(t *testing.T) {
			asked, answer := make(chan bool), make(chan bool)
			id := &portcullis.Identity{Subject: "u"}
			if known {
				id.IssuedAt = time.Now()
			}
			g := &portcullis.Guard{Verifier: user(func(string) *portcullis.Identity {
				asked <- true
				<-answer
				return id
			})}
			result := make(chan error)
			go func() {
				_, err := g.Admit(request(t, "x"), g.Policy)
				result <- err
			}()
			<-asked
			time.Sleep(10 * time.Second)
			if err := g.Revoke(t.Context(), portcullis.Revocation{Subject: "u"}); err != nil {
				t.Fatal(err)
			}
			time.Sleep(10 * time.Second)
			answer <- true
			if err := <-result; !errors.Is(err, portcullis.ErrRevoked) {
				t.Errorf("iat %v: %v, want ErrRevoked", known, err)
			}
			if !g.Empty() {
				t.Error("the session is left")
			}
		})
	}
}

// R1: who is revoked, and who isn't.
func TestR1RevocationEndsExactlyThoseThatMatch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		at := time.Now().Add(-time.Minute)
		id := &portcullis.Identity{Issuer: "i", Subject: "u", SessionID: "s", TokenID: "t", ClientID: "c", IssuedAt: at}
		for _, tt := range []struct {
			name string
			rev  portcullis.Revocation
			ends bool
		}{
			{"issuer", portcullis.Revocation{Issuer: "i"}, true},
			{"subject", portcullis.Revocation{Subject: "u"}, true},
			{"sid", portcullis.Revocation{SessionID: "s"}, true},
			{"jti", portcullis.Revocation{TokenID: "t"}, true},
			{"client", portcullis.Revocation{ClientID: "c"}, true},
			{"all", portcullis.Revocation{Issuer: "i", Subject: "u", SessionID: "s", TokenID: "t", ClientID: "c"}, true},
			{"another issuer's subject", portcullis.Revocation{Issuer: "j", Subject: "u"}, false},
			{"another subject's sid", portcullis.Revocation{Subject: "v", SessionID: "s"}, false},
			{"another client's subject", portcullis.Revocation{Subject: "u", ClientID: "d"}, false},
			{"another sid", portcullis.Revocation{SessionID: "S"}, false},
			{"a prefix", portcullis.Revocation{SessionID: "s1"}, false},
			{"subject as sid", portcullis.Revocation{SessionID: "u"}, false},
			{"issued before", portcullis.Revocation{Subject: "u", IssuedBefore: at.Add(-time.Second)}, false},
			{"issued in the same second", portcullis.Revocation{Subject: "u", IssuedBefore: at}, true},
			{"issued a little after, in the same second", portcullis.Revocation{Subject: "u", IssuedBefore: at.Add(-at.Sub(at.Truncate(time.Second)))}, true},
			{"sid, issued before", portcullis.Revocation{SessionID: "s", IssuedBefore: at.Add(-time.Second)}, false},
		} {
			g := &portcullis.Guard{Verifier: user(func(string) *portcullis.Identity { return id })}
			s, e := admit(t, g, "x")
			if err := g.Revoke(t.Context(), tt.rev); err != nil {
				t.Errorf("%s: %v", tt.name, err)
			}
			want, wantNew := error(nil), error(nil)
			if tt.ends {
				want, wantNew = portcullis.ErrRevoked, portcullis.ErrRevoked
			}
			e.want(t, tt.name, want, time.Now())
			s.Close()
			s, err := g.Admit(request(t, "x"), g.Policy)
			if !errors.Is(err, wantNew) || wantNew == nil && err != nil {
				t.Errorf("%s: newcomer: %v, want %v", tt.name, err, wantNew)
			}
			if err == nil {
				s.Close()
			}
			if !g.Empty() {
				t.Errorf("%s: the session is left", tt.name)
			}
		}
		g := newGuard()
		s, e := admit(t, g, "good")
		defer s.Close()
		for _, rev := range []portcullis.Revocation{{}, {IssuedBefore: time.Now()}, {Until: time.Now().Add(time.Hour)}, {Subject: "u-alice", Until: time.Now()}} {
			if err := g.Revoke(t.Context(), rev); err == nil {
				t.Errorf("%+v was taken", rev)
			}
		}
		e.want(t, "revocation of nobody", nil, time.Time{})
	})
}

// A revoked user may log in again, from the next second on, and Until forgets.
func TestRevocationSparesAndForgets(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := &portcullis.Guard{MaxSession: time.Hour, Verifier: user(func(token string) *portcullis.Identity {
			unix, _ := strconv.ParseInt(token, 10, 64)
			return &portcullis.Identity{Subject: "u", SessionID: token, IssuedAt: time.Unix(unix, 0)}
		})}
		now := func() string { return strconv.FormatInt(time.Now().Unix(), 10) }
		try := func(token string, want error) {
			t.Helper()
			s, err := g.Admit(request(t, token), g.Policy)
			if !errors.Is(err, want) || want == nil && err != nil {
				t.Errorf("at %s, token of %s: %v, want %v", now(), token, err, want)
			}
			if err == nil {
				s.Close()
			}
		}
		old := now()
		time.Sleep(1500 * time.Millisecond)
		if err := g.Revoke(t.Context(), portcullis.Revocation{Subject: "u"}); err != nil {
			t.Fatal(err)
		}
		if err := g.Revoke(t.Context(), portcullis.Revocation{Subject: "u", IssuedBefore: time.Unix(0, 0)}); err != nil { // takes nothing back
			t.Fatal(err)
		}
		try(old, portcullis.ErrRevoked)
		try(now(), portcullis.ErrRevoked)
		time.Sleep(500 * time.Millisecond)
		try(now(), nil)
		try(old, portcullis.ErrRevoked)
		time.Sleep(time.Hour - 501*time.Millisecond)
		try(old, portcullis.ErrRevoked)
		time.Sleep(time.Second) // Until is over
		try(old, nil)
		for i := range 5000 { // and there is room again
			if err := g.Revoke(t.Context(), portcullis.Revocation{SessionID: strconv.Itoa(i), Until: time.Now().Add(time.Second)}); err != nil {
				t.Fatal(err)
			}
			time.Sleep(time.Millisecond)
		}
		if n := g.Revocations(); n > 2500 {
			t.Errorf("%d revocations are remembered, of which 1000 aren't over", n)
		}
	})
}

// Tokens without "iat" count as issued when they were first seen, even by a
// request that the rule then refused.
func TestFirstSeen(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := &portcullis.Guard{Verifier: user(func(string) *portcullis.Identity { return &portcullis.Identity{Subject: "u"} })}
		try := func(token string, want error) {
			t.Helper()
			s, err := g.Admit(request(t, token), g.Policy)
			if !errors.Is(err, want) || want == nil && err != nil {
				t.Errorf("token %s: %v, want %v", token, err, want)
			}
			if err == nil {
				s.Close()
			}
		}
		try("old", nil)
		g.Allow = func(*http.Request, *portcullis.Identity) error { return errors.New("not here") }
		try("refused elsewhere", portcullis.ErrForbidden)
		g.Allow = nil
		time.Sleep(time.Second)
		if err := g.Revoke(t.Context(), portcullis.Revocation{Subject: "u"}); err != nil {
			t.Fatal(err)
		}
		try("old", portcullis.ErrRevoked)
		try("in the same second", portcullis.ErrRevoked)
		time.Sleep(time.Second)
		try("new", nil)
		try("refused elsewhere", portcullis.ErrRevoked)
		try("in the same second", portcullis.ErrRevoked)
		try("old", portcullis.ErrRevoked)
	})
}

// What can't be remembered may have been seen before: it is revoked with the rest.
func TestFirstSeenIsFull(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := &portcullis.Guard{MaxSession: time.Hour, Verifier: user(func(token string) *portcullis.Identity { return &portcullis.Identity{Subject: "u"} })}
		for i := range portcullis.MaxFirstSeen {
			s, err := g.Admit(request(t, strconv.Itoa(i)), g.Policy)
			if err != nil {
				t.Fatal(err)
			}
			s.Close()
		}
		if err := g.Revoke(t.Context(), portcullis.Revocation{Subject: "v"}); err != nil {
			t.Fatal(err)
		}
		s, _ := admit(t, g, "one more") // nobody of that name is revoked
		s.Close()
		if err := g.Revoke(t.Context(), portcullis.Revocation{Subject: "u", Until: time.Now().Add(24 * time.Hour)}); err != nil {
			t.Fatal(err)
		}
		time.Sleep(2 * time.Second)
		if _, err := g.Admit(request(t, "new"), g.Policy); !errors.Is(err, portcullis.ErrRevoked) {
			t.Errorf("Admit: %v, want ErrRevoked", err)
		}
		time.Sleep(time.Hour) // then the others are forgotten
		s, _ = admit(t, g, "newer")
		s.Close()
	})
}

// OnEnd and Close, in each order.
func TestOnEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGuard()
		g.Verifier = user(func(string) *portcullis.Identity { return alice() })
		revoke := func() { endings[1].end(t, g) }

		s, before := admit(t, g, "1")
		var inside, after end
		s.OnEnd(func(cause error) {
			inside.note(cause)
			if s.Request().Context().Err() != nil {
				t.Error("the context is cancelled before OnEnd is told")
			}
			s.Close() // allowed
			s.OnEnd(after.note)
		})
		revoke()
		for name, e := range map[string]*end{"before": before, "inside": &inside, "after": &after} {
			e.want(t, name, portcullis.ErrRevoked, time.Now())
		}
		if cause := context.Cause(s.Request().Context()); !errors.Is(cause, portcullis.ErrRevoked) {
			t.Errorf("cause %v, want ErrRevoked", cause)
		}
		s.Close()
		if !g.Empty() {
			t.Error("a session is left")
		}

		time.Sleep(time.Second)
		g.Verifier = user(func(string) *portcullis.Identity { id := alice(); id.IssuedAt = time.Now(); return id })
		time.Sleep(time.Second)
		s, closed := admit(t, g, "2")
		s.Close()
		s.OnEnd(func(error) { t.Error("OnEnd after Close") })
		revoke()
		closed.want(t, "closed before", nil, time.Time{})
		if cause := context.Cause(s.Request().Context()); !errors.Is(cause, context.Canceled) || s.Err() != nil {
			t.Errorf("cause %v, Err %v; want Canceled and nil", cause, s.Err())
		}
		if !g.Empty() {
			t.Error("a session is left")
		}
	})
}

// The first end counts, and none after Close: who ends a session may be late.
func TestEndTwiceAndAfterClose(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGuard()
		s, e := admit(t, g, "good")
		s.End(portcullis.ErrRevoked)
		s.End(portcullis.ErrExpired)
		e.want(t, "ended twice", portcullis.ErrRevoked, time.Now())
		if !errors.Is(s.Err(), portcullis.ErrRevoked) {
			t.Errorf("Err: %v, want ErrRevoked", s.Err())
		}
		s.Close()
		s, e = admit(t, g, "good")
		s.Close()
		s.End(portcullis.ErrRevoked)
		e.want(t, "ended after Close", nil, time.Time{})
		if s.Err() != nil || !g.Empty() {
			t.Errorf("after Close: Err %v, empty %v", s.Err(), g.Empty())
		}
	})
}

// Admit: an upgrade's session outlives the request's context, another's context
// does not.
func TestAdmitAndTheRequestsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGuard()
		for _, headers := range [][]string{nil, {"Connection", "Upgrade", "Upgrade", "websocket"}} {
			ctx, cancel := context.WithCancel(t.Context())
			s, err := g.Admit(request(t, "good", headers...).WithContext(ctx), g.Policy)
			if err != nil {
				t.Fatal(err)
			}
			cancel()
			synctest.Wait()
			if !errors.Is(context.Cause(s.Request().Context()), context.Canceled) || s.Err() != nil || g.Empty() {
				t.Errorf("%q: cause %v, Err %v, empty %v", headers, context.Cause(s.Request().Context()), s.Err(), g.Empty())
			}
			s.Close()
			if !g.Empty() {
				t.Errorf("%q: the session is left", headers)
			}
		}
	})
}

// Shutdown: sockets end at once, requests when ctx is over, and newcomers hear 503.
func TestShutdownWaitsForRequests(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGuard()
		socket, socketEnd := admit(t, g, "good", "Connection", "Upgrade", "Upgrade", "websocket")
		socket.OnEnd(func(error) { go socket.Close() })
		quick, quickEnd := admit(t, g, "good")
		slow, slowEnd := admit(t, g, "good")
		begin := time.Now()
		done := make(chan error)
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		go func() { done <- g.Shutdown(ctx) }()
		synctest.Wait()
		socketEnd.want(t, "socket", portcullis.ErrShutdown, begin)
		if _, err := g.Admit(request(t, "good"), g.Policy); !errors.Is(err, portcullis.ErrShutdown) {
			t.Errorf("newcomer: %v, want ErrShutdown", err)
		}
		time.Sleep(time.Second)
		quick.Close()
		quickEnd.want(t, "quick request", nil, begin)
		if err := <-done; !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("Shutdown: %v, want DeadlineExceeded", err)
		}
		slowEnd.want(t, "slow request", portcullis.ErrShutdown, begin.Add(time.Minute))
		slow.Close()
		if err := g.Shutdown(t.Context()); err != nil {
			t.Errorf("Shutdown again: %v", err)
		}
		if !g.Empty() {
			t.Error("sessions are left")
		}
	})
}

// memory is a net.Listener whose connections are pipes, for bubbles.
type memory struct {
	conns chan net.Conn
	done  chan struct{}
}

func (m *memory) Accept() (net.Conn, error) {
	select {
	case nc := <-m.conns:
		return nc, nil
	case <-m.done:
		return nil, net.ErrClosed
	}
}
func (m *memory) Close() error { close(m.done); return nil }
func (*memory) Addr() net.Addr { return &net.UnixAddr{Name: "memory", Net: "unix"} }

// serve runs a server until the test is over, and returns what dials it.
func serve(t testing.TB, h http.Handler) (dial func(request string) *client, stop func()) {
	m := &memory{make(chan net.Conn), make(chan struct{})}
	s := &http.Server{Handler: h, ReadHeaderTimeout: time.Hour}
	go func() { _ = s.Serve(m) }()
	return func(request string) *client {
		ours, theirs := net.Pipe()
		m.conns <- theirs
		go func() { _, _ = ours.Write([]byte(request)) }()
		return &client{t, ours, bufio.NewReader(ours)}
	}, func() { _ = s.Close() }
}

// Grace is exact, whatever the peer does or fails to do.
func TestGraceIsExact(t *testing.T) {
	for _, p := range peers {
		for _, tt := range []struct {
			name string
			peer func(c *client) // after the end
			took time.Duration
		}{
			{"answers and closes", func(c *client) {
				for {
					if f, err := c.next(); err != nil || f.Header.OpCode == ws.OpClose {
						c.send(f)
						_ = c.Close()
						return
					}
				}
			}, 0},
			{"answers and waits for us to close", func(c *client) { c.wantClose(3000, "token_expired") }, 3 * time.Second}, // a pipe can't be half-closed
			{"reads and never answers", func(c *client) {
				for {
					if _, err := c.next(); err != nil {
						return
					}
				}
			}, 3 * time.Second},
			{"doesn't read", func(*client) { time.Sleep(time.Minute) }, 3 * time.Second},
			{"goes on sending", func(c *client) {
				var sending sync.WaitGroup
				sending.Go(func() {
					for ws.WriteFrame(c.Conn, ws.MaskFrame(wsText("hello?"))) == nil {
						time.Sleep(time.Millisecond)
					}
				})
				for {
					if _, err := c.next(); err != nil {
						break
					}
				}
				sending.Wait()
			}, 3 * time.Second},
			{"is gone", func(c *client) { _ = c.Close() }, 0},
		} {
			t.Run(p.name+"/"+tt.name, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					g := newGuard()
					over := time.Now().Add(time.Minute)
					g.Verifier = user(func(string) *portcullis.Identity { return &portcullis.Identity{Subject: "u", ExpiresAt: over} })
					g.Grace = 3 * time.Second
					h, running := p.handler(t, behaviours[0], how{})
					dial, stop := serve(t, g.Handler(h))
					defer stop()
					c := dial(handshake("/?token=x"))
					if got := c.answer().StatusCode; got != 101 {
						t.Fatalf("status %d", got)
					}
					c.wantEcho([]byte("hello"))
					time.Sleep(time.Until(over))
					var peer sync.WaitGroup
					peer.Go(func() { tt.peer(c) })
					for !g.Empty() {
						time.Sleep(time.Millisecond)
						if time.Since(over) > time.Hour {
							t.Fatal("the session is left")
						}
					}
					synctest.Wait()
					if took := time.Since(over).Truncate(10 * time.Millisecond); took != tt.took {
						t.Errorf("it took %v, want %v", took, tt.took)
					}
					if n := running.Load(); n != 0 {
						t.Errorf("%d handlers are left", n)
					}
					_ = c.Close()
					peer.Wait()
				})
			})
		}
	}
}
