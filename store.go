package portcullis

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"
)

// A Store shares revocations between nodes, and keeps them when a node stops.
// It is safe for concurrent use.
type Store interface {
	// Add returns nil once the revocation is as durable as the Store can make
	// it. It may be called twice with the same one.
	Add(ctx context.Context, rev Revocation) error

	// Follow calls apply with every revocation in the Store whose Until isn't
	// over, then caughtUp, then apply with each one that any node adds, until
	// ctx is done or it can't go on. It may repeat some; it leaves none out.
	Follow(ctx context.Context, apply func(Revocation), caughtUp func()) error
}

// Run follows the Guard's Store, and asks again about live sessions (Recheck),
// until ctx is done or the Store fails, and returns why. While it doesn't run,
// or hasn't caught up yet, nobody is admitted ([ErrUnavailable]) if there is a
// Store, since we couldn't tell who is revoked. With neither Store nor Recheck
// it isn't needed, and returns when ctx is done.
func (g *Guard) Run(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	var asking sync.WaitGroup
	defer asking.Wait()
	defer cancel()
	if g.Recheck != nil {
		asking.Go(func() { (&rechecker{guard: g}).run(ctx) })
	}
	if g.Store == nil {
		<-ctx.Done()
		return ctx.Err()
	}
	defer g.caughtUp.Store(false)
	err := g.Store.Follow(ctx, g.follow, func() { g.caughtUp.Store(true) })
	if err == nil {
		err = errors.New("it stopped")
	}
	return fmt.Errorf("portcullis: following the Store: %w", err)
}

// Revoke ends every session that the revocation names, and refuses its tokens
// from now on. When it returns, whatever it returns, that is done on this node:
// no byte of theirs passes any more, though their peers may still be told why
// (Policy.Grace). An error means that the Store may not know of it, so that
// other nodes may not, nor this one once it has been started anew; or that the
// revocation was refused, because it names nothing or is over already.
func (g *Guard) Revoke(ctx context.Context, rev Revocation) error {
	rev, err := g.completed(rev)
	if err != nil {
		return err
	}
	if !time.Now().Before(rev.Until) {
		return errRevocationOver
	}
	g.apply(rev)
	if g.Store == nil {
		return nil
	}
	if err := g.Store.Add(ctx, rev); err != nil {
		return fmt.Errorf("portcullis: revoked on this node, but not stored: %w", err)
	}
	return nil
}

// follow applies what another node, or this one, has put into the Store. What a
// broken Store hands out neither ends everybody nor is forgotten at once.
func (g *Guard) follow(rev Revocation) {
	rev, err := g.completed(rev)
	if err != nil {
		g.log(context.Background(), "revocation from the Store ignored", slog.String("why", err.Error()))
		return
	}
	g.apply(rev)
}

func (g *Guard) completed(rev Revocation) (Revocation, error) {
	return rev.completed(time.Now(), g.sessions.lifetime(g.maxSession())+g.Leeway)
}

// apply ends what rev names, and remembers it.
func (g *Guard) apply(rev Revocation) {
	for _, s := range g.sessions.revoke(rev, time.Now()) {
		s.end(ErrRevoked)
	}
	g.sessions.settled() // somebody else may be about to end others of them
}
