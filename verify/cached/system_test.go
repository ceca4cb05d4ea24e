package cached_test

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/portcullis-auth/portcullis"
	"github.com/portcullis-auth/portcullis/verify/cached"
)

// A reply is what a system does when it is asked.
type reply = func(ctx context.Context, token string) (*portcullis.Identity, error)

// A system stands for the token system. It says yes unless it is told otherwise.
type system struct {
	mu     sync.Mutex
	answer reply
	trial  reply // about tokens made up; nil: answer
	trials int   // and how many they were
	calls  int
	now    map[string]int // calls being made, by token
	inside int            // and in all
	most   int            // of them at once
	twice  bool           // whether there were two for one token
}

var errDown = errors.New("connection refused")

func yes(_ context.Context, token string) (*portcullis.Identity, error) {
	return &portcullis.Identity{Subject: token}, nil
}

func no(context.Context, string) (*portcullis.Identity, error) {
	return nil, fmt.Errorf("%w: not active", portcullis.ErrInvalid)
}

func down(context.Context, string) (*portcullis.Identity, error) { return nil, errDown }

// hang answers when nobody waits any more.
func hang(ctx context.Context, _ string) (*portcullis.Identity, error) {
	<-ctx.Done()
	return nil, ctx.Err()
}

// slow answers after a second, in synctest's time.
func slow(answer reply) reply { return after(time.Second, answer) }

// after returns what answers so much later, or when nobody waits any more.
func after(d time.Duration, answer reply) reply {
	return func(ctx context.Context, token string) (*portcullis.Identity, error) {
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-time.After(d):
			return answer(ctx, token)
		}
	}
}

func (s *system) set(answer reply) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.answer = answer
}

// setTrial says what to answer about tokens made up.
func (s *system) setTrial(answer reply) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.trial = answer
}

// madeUp reports whether no test made the token.
func madeUp(token string) bool { return len(token) == len(rand.Text()) }

func (s *system) asked() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.calls
}

func (s *system) Verify(ctx context.Context, token string) (*portcullis.Identity, error) {
	s.mu.Lock()
	if s.now == nil {
		s.now = map[string]int{}
	}
	s.calls++
	s.inside++
	s.now[token]++
	s.most = max(s.most, s.inside)
	s.twice = s.twice || s.now[token] > 1
	answer := s.answer
	if madeUp(token) {
		s.trials++
		if s.trial != nil {
			answer = s.trial
		}
	}
	s.mu.Unlock()
	defer func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.inside--
		s.now[token]--
	}()
	if answer == nil {
		answer = yes
	}
	return answer(ctx, token)
}

// open returns a Verifier before sys that is closed when the test is over.
func open(t *testing.T, sys portcullis.Verifier, c cached.Config) *cached.Verifier {
	t.Helper()
	c.Verifier = sys
	v, err := cached.New(c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = v.Close() })
	return v
}

// check verifies the token and demands what comes of it: want nil means yes.
func check(t *testing.T, v *cached.Verifier, token string, want error) {
	t.Helper()
	id, err := v.Verify(t.Context(), token)
	checkError(t, err, want)
	if (id == nil) == (err == nil) {
		t.Errorf("identity %v and error %v", id, err)
	}
	if id != nil && id.VerifiedAt.IsZero() {
		t.Error("VerifiedAt is not set")
	}
}

func checkError(t *testing.T, err, want error) {
	t.Helper()
	if !errors.Is(err, want) && (want != nil || err != nil) {
		t.Errorf("err = %v, want %v", err, want)
	}
	if errors.Is(err, portcullis.ErrInvalid) && errors.Is(err, portcullis.ErrUnavailable) {
		t.Errorf("err = %v is both a no and an outage", err)
	}
}

// checkCalls demands how many calls there have been in all.
func checkCalls(t *testing.T, sys *system, want int) {
	t.Helper()
	if got := sys.asked(); got != want {
		t.Errorf("%d calls, want %d", got, want)
	}
}
