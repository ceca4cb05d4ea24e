package portcullis_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/portcullis-auth/portcullis"
)

// A tokenSystem is one whose mind can change, and that counts who asks.
type tokenSystem struct {
	mu    sync.Mutex // guards what follows
	says  map[string]func() (*portcullis.Identity, error)
	calls map[string]int
	fresh int // calls with Afresh
}

func (s *tokenSystem) Verify(ctx context.Context, token string) (*portcullis.Identity, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if portcullis.IsAfresh(ctx) {
		s.fresh++
	}
	if s.calls == nil {
		s.calls = map[string]int{}
	}
	s.calls[token]++
	if f := s.says[token]; f != nil {
		return f()
	}
	return &portcullis.Identity{Subject: "u", Scopes: []string{"chat"}}, nil
}

func (s *tokenSystem) say(token string, id *portcullis.Identity, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.says == nil {
		s.says = map[string]func() (*portcullis.Identity, error){}
	}
	s.says[token] = func() (*portcullis.Identity, error) { return id, err }
}

func (s *tokenSystem) asked(token string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.calls[token]
}

func (s *tokenSystem) askedAfresh() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.fresh
}

// asSocket are the headers of an upgrade, without Origin and cookie.
var asSocket = []string{"Connection", "Upgrade", "Upgrade", "websocket"}

// rechecking runs f with a Guard that asks again so often.
func rechecking(t *testing.T, every time.Duration, f func(t *testing.T, g *portcullis.Guard, s *tokenSystem)) {
	synctest.Test(t, func(t *testing.T) {
		s := new(tokenSystem)
		g := &portcullis.Guard{Verifier: s, Recheck: func(*portcullis.Identity) time.Duration { return every }}
		g.Allow = func(_ *http.Request, id *portcullis.Identity) error {
			if !id.HasScope("chat") {
				return errors.New("no chat")
			}
			return nil
		}
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error)
		go func() { done <- g.Run(ctx) }()
		f(t, g, s)
		cancel()
		if err := <-done; !errors.Is(err, context.Canceled) {
			t.Errorf("Run: %v", err)
		}
	})
}

// However many sockets live on a token, it is asked about once a minute.
func TestRecheckAsksOnceForAToken(t *testing.T) {
	rechecking(t, time.Minute, func(t *testing.T, g *portcullis.Guard, s *tokenSystem) {
		for range 20 {
			socket, _ := admit(t, g, "x", asSocket...)
			defer socket.Close()
		}
		stream, _ := admit(t, g, "y") // a long answer, too
		defer stream.Close()
		x, y := s.asked("x"), s.asked("y")
		time.Sleep(10 * time.Minute)
		for token, n := range map[string]int{"x": s.asked("x") - x, "y": s.asked("y") - y} {
			if n < 8 || n > 12 {
				t.Errorf("%s: asked %d times in ten minutes", token, n)
			}
		}
	})
}

// A no ends what lives on that token, and nothing else, within the minute.
func TestRecheckNoEndsSessions(t *testing.T) {
	for _, tt := range []struct {
		says error
		want error
	}{
		{portcullis.ErrInvalid, portcullis.ErrRevoked},
		{portcullis.ErrRevoked, portcullis.ErrRevoked},
		{portcullis.ErrExpired, portcullis.ErrExpired},
		{portcullis.ErrForbidden, portcullis.ErrForbidden},
	} {
		rechecking(t, time.Minute, func(t *testing.T, g *portcullis.Guard, s *tokenSystem) {
			var ends []*end
			for range 3 {
				_, e := admit(t, g, "x", asSocket...)
				ends = append(ends, e)
			}
			other, stays := admit(t, g, "y", asSocket...)
			defer other.Close()
			s.say("x", nil, fmt.Errorf("%w: says the token system", tt.says))
			time.Sleep(70 * time.Second)
			for _, e := range ends {
				if times, cause := e.told(); times != 1 || !errors.Is(cause, tt.want) {
					t.Errorf("%v: ended %d times by %v, want %v", tt.says, times, cause, tt.want)
				}
			}
			stays.want(t, "another token's", nil, time.Time{})
		})
	}
}

// Other claims replace the Identity in place, and the rule decides again.
func TestRecheckChangedClaims(t *testing.T) {
	rechecking(t, time.Minute, func(t *testing.T, g *portcullis.Guard, s *tokenSystem) {
		socket, e := admit(t, g, "x", asSocket...)
		defer socket.Close()
		s.say("x", &portcullis.Identity{Subject: "u", Scopes: []string{"chat", "admin"}}, nil)
		time.Sleep(70 * time.Second)
		if id := socket.Identity(); !id.HasScope("admin") {
			t.Errorf("the Identity is %+v, want the new one", id)
		}
		e.want(t, "with more rights", nil, time.Time{})

		s.say("x", &portcullis.Identity{Subject: "u", Scopes: []string{"admin"}}, nil)
		time.Sleep(70 * time.Second)
		if _, cause := e.told(); !errors.Is(cause, portcullis.ErrForbidden) {
			t.Errorf("with fewer rights: %v, want ErrForbidden", cause)
		}
	})
	rechecking(t, time.Minute, func(t *testing.T, g *portcullis.Guard, s *tokenSystem) {
		_, e := admit(t, g, "x", asSocket...)
		s.say("x", &portcullis.Identity{Subject: "v", Scopes: []string{"chat"}}, nil)
		time.Sleep(70 * time.Second)
		if _, cause := e.told(); !errors.Is(cause, portcullis.ErrRevoked) {
			t.Errorf("the token is somebody else's now: %v, want ErrRevoked", cause)
		}
	})
}

// A yes brings the deadline forward or back where it states one, and doesn't
// move MaxSession where it doesn't.
func TestRecheckMovesTheDeadline(t *testing.T) {
	rechecking(t, time.Minute, func(t *testing.T, g *portcullis.Guard, s *tokenSystem) {
		g.MaxSession = 10 * time.Minute
		began := time.Now()
		_, unbounded := admit(t, g, "x", asSocket...)
		_, bounded := admit(t, g, "y", asSocket...)
		s.say("y", &portcullis.Identity{Subject: "u", Scopes: []string{"chat"}, ExpiresAt: began.Add(3 * time.Minute)}, nil)
		time.Sleep(20 * time.Minute)
		unbounded.want(t, "without expiry", portcullis.ErrExpired, began.Add(10*time.Minute))
		bounded.want(t, "brought forward", portcullis.ErrExpired, began.Add(3*time.Minute))
	})
}

// While a token system gives no answer it is asked less and less, nobody is
// ended for that, and another one's tokens are asked about as ever.
func TestRecheckBacksOff(t *testing.T) {
	rechecking(t, time.Minute, func(t *testing.T, g *portcullis.Guard, s *tokenSystem) {
		s.say("up", &portcullis.Identity{Subject: "u", Scopes: []string{"chat"}, VerifiedBy: "up"}, nil)
		up, _ := admit(t, g, "up", asSocket...)
		defer up.Close()
		var ends []*end
		for i := range 50 {
			_, e := admit(t, g, fmt.Sprint(i), asSocket...)
			ends = append(ends, e)
		}
		for i := range 50 {
			s.say(fmt.Sprint(i), nil, portcullis.ErrUnavailable)
		}
		asked := func() (n int) {
			for i := range 50 {
				n += s.asked(fmt.Sprint(i))
			}
			return n
		}
		before, upBefore := asked(), s.asked("up")
		time.Sleep(20 * time.Minute)
		if n := asked() - before; n > 500 {
			t.Errorf("asked %d times in an outage of 20 minutes", n)
		}
		if n := s.asked("up") - upBefore; n < 15 {
			t.Errorf("the other one was asked %d times", n)
		}
		for i, e := range ends {
			e.want(t, fmt.Sprint(i), nil, time.Time{})
		}
		for i := range 50 {
			s.say(fmt.Sprint(i), nil, portcullis.ErrInvalid)
		}
		time.Sleep(5 * time.Minute)
		for i, e := range ends {
			if times, _ := e.told(); times != 1 {
				t.Errorf("%d lives on after the outage", i)
			}
		}
	})
}

// No more calls a second than allowed, and they don't come together.
func TestRecheckRate(t *testing.T) {
	rechecking(t, time.Minute, func(t *testing.T, g *portcullis.Guard, s *tokenSystem) {
		g.RecheckRate = 5
		const n = 600 // 10 a second would be due
		for i := range n {
			socket, _ := admit(t, g, fmt.Sprint(i), asSocket...)
			defer socket.Close()
		}
		last := n
		for range 300 {
			time.Sleep(time.Second)
			synctest.Wait()
			asked := 0
			for i := range n {
				asked += s.asked(fmt.Sprint(i))
			}
			if asked-last > 5 {
				t.Fatalf("%d calls in a second, want 5 at most", asked-last)
			}
			last = asked
		}
		if last < n+1000 {
			t.Errorf("%d calls in five minutes, want nearly 5 a second", last-n)
		}
	})
}

// A session that has been renewed meanwhile isn't ended for its old token.
func TestRecheckAfterRenewal(t *testing.T) {
	rechecking(t, time.Minute, func(t *testing.T, g *portcullis.Guard, s *tokenSystem) {
		socket, e := admit(t, g, "old", asSocket...)
		defer socket.Close()
		time.Sleep(time.Second)
		if err := g.Renew(t.Context(), socket.Handle(), "new"); err != nil {
			t.Fatal(err)
		}
		s.say("old", nil, portcullis.ErrInvalid)
		before := s.asked("old")
		time.Sleep(5 * time.Minute)
		e.want(t, "renewed", nil, time.Time{})
		if s.asked("old") != before || s.asked("new") < 4 {
			t.Errorf("asked about the old token %d times, about the new one %d", s.asked("old")-before, s.asked("new"))
		}
	})
}

// Of the sockets that live on one token, each way to leave it lets go of it.
func TestRecheckForgetsTokens(t *testing.T) {
	rechecking(t, time.Minute, func(t *testing.T, g *portcullis.Guard, _ *tokenSystem) {
		closed, _ := admit(t, g, "shared", asSocket...)
		renewed, _ := admit(t, g, "shared", asSocket...)
		ended, _ := admit(t, g, "shared", asSocket...)
		if err := g.Renew(t.Context(), renewed.Handle(), "new"); err != nil {
			t.Fatal(err)
		}
		closed.Close()
		ended.End(portcullis.ErrRevoked)
		ended.Close()
		renewed.Close()
		if !g.Empty() {
			t.Error("something is left")
		}
	})
}

// A socket that is renewed after RecheckNow is still asked about at once, by its
// new token.
func TestRecheckNowSurvivesARenewal(t *testing.T) {
	rechecking(t, time.Hour, func(t *testing.T, g *portcullis.Guard, s *tokenSystem) {
		socket, _ := admit(t, g, "old", asSocket...)
		defer socket.Close()
		time.Sleep(5500 * time.Millisecond) // between two looks at what is due
		g.RecheckNow(func(*portcullis.Identity) bool { return true })
		if err := g.Renew(t.Context(), socket.Handle(), "new"); err != nil {
			t.Fatal(err)
		}
		before := s.asked("new")
		time.Sleep(5 * time.Second)
		if s.asked("new") == before {
			t.Error("the new token wasn't asked about")
		}
	})
}

// RecheckNow asks about those that match, afresh, and about those with no time
// of their own too.
func TestRecheckNow(t *testing.T) {
	rechecking(t, 0, func(t *testing.T, g *portcullis.Guard, s *tokenSystem) {
		for _, token := range []string{"x", "y"} {
			s.say(token, &portcullis.Identity{Subject: "u", ClientID: token, Scopes: []string{"chat"}}, nil)
		}
		_, gone := admit(t, g, "x", asSocket...)
		stays, end := admit(t, g, "y", asSocket...)
		defer stays.Close()
		time.Sleep(time.Hour)
		s.say("x", nil, portcullis.ErrInvalid)
		s.say("y", nil, portcullis.ErrInvalid)
		if n := g.RecheckNow(func(id *portcullis.Identity) bool { return id.ClientID == "x" }); n != 1 {
			t.Errorf("RecheckNow: %d sessions, want 1", n)
		}
		time.Sleep(3 * time.Second)
		if _, cause := gone.told(); !errors.Is(cause, portcullis.ErrRevoked) || s.askedAfresh() != 1 {
			t.Errorf("x: %v, %d calls afresh; want ErrRevoked after one", cause, s.askedAfresh())
		}
		end.want(t, "y", nil, time.Time{})
		time.Sleep(time.Hour)
		if s.asked("y") != 1 {
			t.Errorf("y was asked about %d times", s.asked("y"))
		}
	})
}

// A signal that comes while the token system is being asked isn't lost.
func TestRecheckNowDuringACall(t *testing.T) {
	rechecking(t, 0, func(t *testing.T, g *portcullis.Guard, s *tokenSystem) {
		_, e := admit(t, g, "x", asSocket...)
		good := &portcullis.Identity{Subject: "u", Scopes: []string{"chat"}}
		s.mu.Lock()
		s.says = map[string]func() (*portcullis.Identity, error){"x": func() (*portcullis.Identity, error) {
			s.mu.Unlock()
			time.Sleep(5 * time.Second)
			s.mu.Lock()
			return good, nil
		}}
		s.mu.Unlock()
		everybody := func(*portcullis.Identity) bool { return true }
		g.RecheckNow(everybody)
		time.Sleep(3 * time.Second) // it is being asked
		s.say("x", nil, portcullis.ErrInvalid)
		g.RecheckNow(everybody)
		time.Sleep(10 * time.Second)
		if times, _ := e.told(); times != 1 {
			t.Error("the second signal was lost")
		}
	})
}

// Tokens that can't be answered don't keep the others from their turn.
func TestRecheckUnanswerableTokensStarveNobody(t *testing.T) {
	rechecking(t, time.Minute, func(t *testing.T, g *portcullis.Guard, s *tokenSystem) {
		for i := range 20 {
			socket, _ := admit(t, g, fmt.Sprint(i), asSocket...)
			defer socket.Close()
			s.say(fmt.Sprint(i), nil, portcullis.ErrUnavailable)
		}
		time.Sleep(time.Second)
		_, e := admit(t, g, "x", asSocket...)
		s.say("x", nil, portcullis.ErrInvalid)
		time.Sleep(30 * time.Minute)
		if times, _ := e.told(); times != 1 {
			t.Errorf("asked %d times about a token that is withdrawn", s.asked("x"))
		}
	})
}

// Who has neither subject nor client is asked about like others.
func TestRecheckOfNobodyInParticular(t *testing.T) {
	rechecking(t, time.Minute, func(t *testing.T, g *portcullis.Guard, s *tokenSystem) {
		s.say("x", &portcullis.Identity{Scopes: []string{"chat"}}, nil)
		socket, e := admit(t, g, "x", asSocket...)
		defer socket.Close()
		time.Sleep(10 * time.Minute)
		e.want(t, "nobody", nil, time.Time{})
	})
}
