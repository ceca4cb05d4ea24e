package relay

import (
	"runtime"
	"slices"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"
)

const Tick = tick

// A Wheel is a wheel with pairs that have numbers.
type Wheel struct {
	wheel
	pairs [10]pair
}

func NewWheel() *Wheel { return new(Wheel) }

func (w *Wheel) Set(i int, now, d time.Duration) { w.set(&w.pairs[i], now, now+d) }

func (w *Wheel) Stop(i int) { w.stop(&w.pairs[i]) }

func (w *Wheel) Advance(now time.Duration) map[int]bool {
	late := map[int]bool{}
	w.advance(now, func(p *pair) {
		for i := range w.pairs {
			if p == &w.pairs[i] {
				late[i] = true
			}
		}
	})
	return late
}

func (w *Wheel) Next() (time.Duration, bool) {
	next := w.next()
	return next, next > 0
}

// pairs returns those in loops, each of them twice: its descriptors are two.
func (e *Engine) pairs() (all []*pair) {
	for _, l := range e.loops.list {
		l.mu.Lock()
		all = append(all, l.pairs...)
		l.mu.Unlock()
	}
	return slices.DeleteFunc(all, func(p *pair) bool { return p == nil })
}

// Queued reports whether anybody has a queue.
func (e *Engine) Queued() bool {
	return slices.ContainsFunc(e.pairs(), func(p *pair) bool {
		p.mu.Lock()
		defer p.mu.Unlock()
		return p.client.queue != nil || p.backend.queue != nil
	})
}

// Stuck returns what a client with a queue has taken, and what it hasn't.
func (e *Engine) Stuck() (taken int64, queued int) {
	for _, p := range e.pairs() {
		p.mu.Lock()
		if p.client.queue != nil {
			taken, queued = p.client.moved, len(p.client.queue.rest)
		}
		p.mu.Unlock()
	}
	return taken, queued
}

// InboxKeeps returns how many of n pairs the loop still points to after their
// turn.
func InboxKeeps(n int) (kept int) {
	l := &loop{}
	all := make([]*pair, n)
	for i := range all {
		all[i] = &pair{loop: l, closed: true}
	}
	for l.ended = all; len(l.ended) > 0; {
		l.inbox()
	}
	for _, p := range all {
		if p != nil {
			kept++
		}
	}
	return kept
}

// HandleEarly has a loop handle an event of a pair that it doesn't watch yet.
func HandleEarly(client, backend int) {
	l := &loop{}
	p := &pair{loop: l, socket: newSocket(nil, Options{}, nil)}
	p.client.fd, p.backend.fd = client, backend
	l.pairs = make([]*pair, max(client, backend)+1)
	l.pairs[client], l.pairs[backend] = p, p
	l.handle(&unix.EpollEvent{Fd: int32(client), Events: unix.EPOLLIN})
}

// A Clocked is an Engine whose loops' clock can be moved on.
type Clocked struct {
	Engine
	skew atomic.Int64
}

func NewClocked() *Clocked {
	e, begun := new(Clocked), time.Now()
	e.loops.clock = func() time.Duration { return time.Since(begun) + time.Duration(e.skew.Load()) + 1 }
	return e
}

// Advance moves the clock on, and returns when the loops have looked at it.
func (e *Clocked) Advance(d time.Duration) {
	e.skew.Add(int64(d))
	for range 2 { // the turn that goes on may have looked before
		for _, l := range e.loops.list {
			l.tell(func() {})
			for woken := true; woken; runtime.Gosched() {
				l.mu.Lock()
				woken = l.woken
				l.mu.Unlock()
			}
		}
	}
}

// InLoops returns how many sockets are in loops.
func (e *Engine) InLoops() int { return len(e.pairs()) / 2 }
