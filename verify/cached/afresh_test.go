package cached_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/portcullis-auth/portcullis"
	"github.com/portcullis-auth/portcullis/verify/cached"
)

// With Afresh nothing that is remembered counts, nor a call that was under way;
// the answer is remembered, and an old yes isn't served for want of one.
func TestAfresh(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		calls := 0
		var says error
		v, err := cached.New(cached.Config{StaleFor: time.Hour, Verifier: portcullis.VerifierFunc(func(ctx context.Context, _ string) (*portcullis.Identity, error) {
			calls++
			answer := says
			time.Sleep(time.Second)
			if answer != nil {
				return nil, answer
			}
			return &portcullis.Identity{Subject: "u"}, nil
		})})
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = v.Close() }()
		ask := func(ctx context.Context) error { _, err := v.Verify(ctx, "x"); return err }
		afresh := portcullis.Afresh(t.Context())
		for range 2 {
			if err := ask(t.Context()); err != nil || calls != 1 {
				t.Fatalf("%v, %d calls; want 1", err, calls)
			}
		}
		if ask(afresh) != nil || calls != 2 {
			t.Errorf("afresh: %d calls, want 2", calls)
		}
		says = portcullis.ErrUnavailable
		if ask(afresh) == nil {
			t.Error("an old yes was served to who wants a new one")
		}
		if ask(t.Context()) != nil {
			t.Error("it is gone for the others")
		}

		// A call that is under way may be too old.
		says = nil
		early := make(chan error)
		go func() { early <- ask(afresh) }()
		synctest.Wait()
		says = portcullis.ErrInvalid
		time.Sleep(time.Millisecond)
		if ask(afresh) == nil {
			t.Error("joined a call that had begun before")
		}
		if err := <-early; err != nil {
			t.Errorf("the early one: %v", err)
		}
		if before := calls; ask(t.Context()) == nil || calls != before {
			t.Error("the no isn't remembered")
		}
	})
}
