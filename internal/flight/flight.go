// Package flight lets callers that want the same answer at the same time share
// one call for it.
//
// A call belongs to nobody: it runs in a goroutine of its own, goes on while at
// least one caller waits, and is cancelled when the last one has gone. So one
// caller's cancellation or deadline harms no other.
//
// Nothing is remembered. Callers that look in a cache first, miss, and come
// here after the call in flight has ended, start another one; where that must
// not be, the function stores its answer before it returns, and looks in the
// cache itself before it asks.
package flight

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"
)

// ErrPanic says that the function panicked, or ended its goroutine
// ([runtime.Goexit]). It comes wrapped, with the type of what was thrown but
// not its text, which may hold anything.
var ErrPanic = errors.New("flight: the call panicked")

// A Group is a set of calls, at most one in flight for each key. The zero value
// is ready. It must not be copied after first use, and is safe for concurrent
// use.
type Group[K comparable, V any] struct {
	// Timeout bounds the context of each call. 0: no bound. It must not be
	// changed after first use.
	Timeout time.Duration

	mu    sync.Mutex
	calls map[K]*call[V] // those that newcomers may join
}

type call[V any] struct {
	callers int // who still wait; guarded by Group.mu
	cancel  context.CancelFunc

	done  chan struct{} // closed when value and err are final
	value V
	err   error
}

// Do returns what fn returns for the key. If there is a call in flight for it,
// Do waits for that one, fn is not used, and shared is true; else it starts fn.
//
// The context of fn has the values of ctx, but neither its cancellation nor its
// deadline. It is done when Timeout has passed or every caller has gone, and fn
// must return soon after: until then no caller is let go but by its own ctx.
//
// When ctx is done Do returns its error at once, and the call goes on for the
// others. If both happen at the same time it is the one or the other. A ctx
// that is done beforehand starts nothing.
//
// Whoever comes after fn has returned, or after the last caller has gone,
// starts a new call; everything that fn did before it returned has then been
// done. A call that was abandoned may still be on its way out beside the new
// one. An answer can be as old as the call that was joined.
func (g *Group[K, V]) Do(ctx context.Context, key K, fn func(context.Context) (V, error)) (value V, shared bool, err error) {
	if err := ctx.Err(); err != nil {
		return value, false, err
	}
	c, shared := g.join(ctx, key, fn)
	select {
	case <-c.done:
		return c.value, shared, c.err
	case <-ctx.Done():
		g.leave(key, c)
		return value, shared, ctx.Err()
	}
}

// join counts the caller in, and starts the call if there is none.
func (g *Group[K, V]) join(ctx context.Context, key K, fn func(context.Context) (V, error)) (c *call[V], shared bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if c, ok := g.calls[key]; ok {
		c.callers++
		return c, true
	}
	c = &call[V]{callers: 1, done: make(chan struct{})}
	ctx, c.cancel = context.WithCancel(context.WithoutCancel(ctx)) //nolint:gosec // run calls it
	if g.calls == nil {
		g.calls = make(map[K]*call[V])
	}
	g.calls[key] = c
	go g.run(ctx, key, c, fn) // ends when fn does
	return c, false
}

// leave counts a caller out. The last one ends the call.
func (g *Group[K, V]) leave(key K, c *call[V]) {
	g.mu.Lock()
	defer g.mu.Unlock()
	c.callers--
	if c.callers == 0 {
		g.forget(key, c) // first: nobody may join what is about to fail
		c.cancel()
	}
}

// forget lets newcomers start another call. The caller holds g.mu.
func (g *Group[K, V]) forget(key K, c *call[V]) {
	if g.calls[key] == c { // not the next one's
		delete(g.calls, key)
	}
}

func (g *Group[K, V]) run(ctx context.Context, key K, c *call[V], fn func(context.Context) (V, error)) {
	defer c.cancel()
	defer close(c.done)
	defer func() {
		g.mu.Lock()
		defer g.mu.Unlock()
		g.forget(key, c)
	}()
	if g.Timeout > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, g.Timeout)
		defer cancel()
	}
	c.err = ErrPanic // stays where neither assignment below is reached: Goexit
	defer func() {
		if thrown := recover(); thrown != nil {
			c.err = fmt.Errorf("%w (%T)", ErrPanic, thrown)
		}
	}()
	c.value, c.err = fn(ctx)
}
