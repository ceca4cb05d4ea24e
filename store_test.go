package portcullis_test

import (
	"context"
	"errors"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/portcullis-auth/portcullis"
)

// shelf is a Store that several Guards of one process share.
type shelf struct {
	mu   sync.Mutex // guards what follows
	revs []portcullis.Revocation
	more chan struct{} // closed when there is more

	down chan error // what Follow fails with
	hold chan bool  // closed when Follow may say that it has caught up
	full error      // what Add answers
}

func newShelf() *shelf {
	return &shelf{more: make(chan struct{}), down: make(chan error), hold: make(chan bool)}
}

func (s *shelf) Add(_ context.Context, rev portcullis.Revocation) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.full != nil {
		return s.full
	}
	s.revs = append(s.revs, rev)
	close(s.more)
	s.more = make(chan struct{})
	return nil
}

func (s *shelf) Follow(ctx context.Context, apply func(portcullis.Revocation), caughtUp func()) error {
	for n, hold := 0, s.hold; ; {
		s.mu.Lock()
		revs, more := slices.Clone(s.revs[n:]), s.more
		s.mu.Unlock()
		for _, rev := range revs {
			apply(rev)
		}
		n += len(revs)
		select {
		case <-hold:
			hold = nil
			caughtUp()
		case <-more:
		case err := <-s.down:
			return err
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// R1 and promise 3: nobody is admitted before we know who is revoked; then what
// any node revokes ends sessions on all of them; and when we don't hear of it
// any more nobody is admitted, or renewed.
func TestStore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := newShelf()
		id := alice()
		node := func() *portcullis.Guard {
			return &portcullis.Guard{Store: store, Verifier: user(func(string) *portcullis.Identity { return id })}
		}
		one, two := node(), node()
		ran := make(chan error, 2)
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		try := func(g *portcullis.Guard, want error) {
			t.Helper()
			s, err := g.Admit(request(t, "x"), &g.Policy)
			if !errors.Is(err, want) || want == nil && err != nil {
				t.Errorf("Admit: %v, want %v", err, want)
			}
			if err == nil {
				s.Close()
			}
		}
		try(one, portcullis.ErrUnavailable)
		go func() { ran <- one.Run(ctx) }()
		synctest.Wait()
		try(one, portcullis.ErrUnavailable)
		if err := two.Revoke(t.Context(), portcullis.Revocation{SessionID: "sid-0"}); err != nil {
			t.Fatal(err)
		}
		close(store.hold)
		synctest.Wait()
		try(one, nil)
		try(two, portcullis.ErrUnavailable) // doesn't run
		go func() { ran <- two.Run(ctx) }()
		synctest.Wait()

		s1, e1 := admit(t, one, "x")
		s2, e2 := admit(t, two, "x")
		id = alice()
		id.SessionID = "sid-0"
		try(one, portcullis.ErrRevoked)
		try(two, portcullis.ErrRevoked)
		id = alice()

		time.Sleep(time.Second)
		if err := two.Revoke(t.Context(), portcullis.Revocation{Subject: "u-alice"}); err != nil {
			t.Fatal(err)
		}
		e2.want(t, "its own", portcullis.ErrRevoked, time.Now())
		synctest.Wait()
		e1.want(t, "the other node's", portcullis.ErrRevoked, time.Now())
		s1.Close()
		s2.Close()

		time.Sleep(time.Second)
		id.IssuedAt, id.ExpiresAt = time.Now(), time.Now().Add(time.Hour) // logged in again
		s3, e3 := admit(t, one, "x")
		store.full = errors.New("disk full")
		if err := one.Revoke(t.Context(), portcullis.Revocation{SessionID: "sid-1"}); !errors.Is(err, store.full) {
			t.Errorf("Revoke: %v, want %v", err, store.full)
		}
		e3.want(t, "not stored, but here", portcullis.ErrRevoked, time.Now())
		s3.Close()
		try(one, portcullis.ErrRevoked)
		try(two, nil)

		s4, e4 := admit(t, two, "x")
		broken := errors.New("connection lost")
		for range 2 {
			store.down <- broken
			if err := <-ran; !errors.Is(err, broken) {
				t.Errorf("Run: %v, want %v", err, broken)
			}
		}
		try(two, portcullis.ErrUnavailable)
		if err := two.Renew(t.Context(), s4.Handle(), "x"); !errors.Is(err, portcullis.ErrUnavailable) {
			t.Errorf("Renew: %v, want ErrUnavailable", err)
		}
		e4.want(t, "inside", nil, time.Time{})
		go func() { ran <- two.Run(ctx) }() // back again
		synctest.Wait()
		try(two, nil)
		s4.Close()
		cancel()
		if err := <-ran; !errors.Is(err, context.Canceled) {
			t.Errorf("Run: %v, want Canceled", err)
		}
		try(two, portcullis.ErrUnavailable)
	})
}

// The Store may fail while the token system is being asked.
func TestStoreFailsWhileVerifying(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := newShelf()
		close(store.hold)
		ran := make(chan error)
		g := &portcullis.Guard{Store: store, Verifier: user(func(string) *portcullis.Identity {
			store.down <- errors.New("connection lost")
			if err := <-ran; err == nil {
				t.Error("Run: no error")
			}
			return alice()
		})}
		go func() { ran <- g.Run(t.Context()) }()
		synctest.Wait()
		if _, err := g.Admit(request(t, "x"), &g.Policy); !errors.Is(err, portcullis.ErrUnavailable) {
			t.Errorf("Admit: %v, want ErrUnavailable", err)
		}
	})
}

// What a broken Store hands out neither ends everybody nor is forgotten at once.
func TestStoreHandsOutNonsense(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := newShelf()
		close(store.hold)
		g := &portcullis.Guard{Store: store, Verifier: user(func(string) *portcullis.Identity { return alice() })}
		ctx, cancel := context.WithCancel(t.Context())
		ran := make(chan error)
		go func() { ran <- g.Run(ctx) }()
		synctest.Wait()
		s, e := admit(t, g, "x")
		for _, rev := range []portcullis.Revocation{{}, {Until: time.Now().Add(time.Hour)}} {
			if err := store.Add(ctx, rev); err != nil {
				t.Fatal(err)
			}
			synctest.Wait()
			e.want(t, "a revocation that names nothing", nil, time.Time{})
		}
		if err := store.Add(ctx, portcullis.Revocation{SessionID: "sid-1"}); err != nil { // no Until
			t.Fatal(err)
		}
		synctest.Wait()
		e.want(t, "one without Until", portcullis.ErrRevoked, time.Now())
		s.Close()
		if _, err := g.Admit(request(t, "x"), &g.Policy); !errors.Is(err, portcullis.ErrRevoked) {
			t.Errorf("Admit: %v, want ErrRevoked", err)
		}
		cancel()
		if err := <-ran; !errors.Is(err, context.Canceled) {
			t.Errorf("Run: %v, want Canceled", err)
		}
	})
}
