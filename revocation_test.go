package portcullis_test

import (
	"errors"
	"net/http"
	"runtime"
	"strconv"
	"testing"
	"testing/synctest"
	"time"

	"github.com/portcullis-auth/portcullis"
)

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
				_, err := g.Admit(request(t, "x"), &g.Policy)
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
			s, err := g.Admit(request(t, "x"), &g.Policy)
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
			s, err := g.Admit(request(t, token), &g.Policy)
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
		asked := map[string]time.Time{"remembered": time.Now()} // by a Verifier that answers from memory
		g := &portcullis.Guard{Verifier: user(func(token string) *portcullis.Identity {
			return &portcullis.Identity{Subject: "u", VerifiedAt: asked[token]}
		})}
		try := func(token string, want error) {
			t.Helper()
			s, err := g.Admit(request(t, token), &g.Policy)
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
		try("remembered", portcullis.ErrRevoked)
		asked["remembered after"] = time.Now()
		asked["remembered from tomorrow"] = time.Now().Add(24 * time.Hour)
		try("remembered after", nil)
		try("remembered from tomorrow", nil)
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
			s, err := g.Admit(request(t, strconv.Itoa(i)), &g.Policy)
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
		if _, err := g.Admit(request(t, "new"), &g.Policy); !errors.Is(err, portcullis.ErrRevoked) {
			t.Errorf("Admit: %v, want ErrRevoked", err)
		}
		time.Sleep(time.Hour) // then the others are forgotten
		s, _ = admit(t, g, "newer")
		s.Close()
	})
}

// Promise 2: who revokes what somebody else is just ending hears that it is done
// when it is.
func TestR1EveryRevokerWaitsForTheEnd(t *testing.T) {
	g := &portcullis.Guard{Verifier: user(func(string) *portcullis.Identity { return &portcullis.Identity{Subject: "u"} })}
	s, err := g.Admit(request(t, "x"), &g.Policy)
	if err != nil {
		t.Fatal(err)
	}
	ending, goOn := make(chan bool), make(chan bool)
	s.OnEnd(func(error) { close(ending); <-goOn }) // as if bytes were passing
	rev := portcullis.Revocation{Subject: "u"}
	first, second := make(chan error, 1), make(chan error, 1)
	go func() { first <- g.Revoke(t.Context(), rev) }()
	<-ending
	go func() { second <- g.Revoke(t.Context(), rev) }()
	for range 10_000 {
		runtime.Gosched()
	}
	select {
	case err := <-second:
		t.Errorf("acknowledged, with %v, before the end", err)
		second <- nil
	default:
	}
	close(goOn)
	if err := errors.Join(<-first, <-second); err != nil {
		t.Error(err)
	}
	s.Close()
}
