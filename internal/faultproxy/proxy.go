// Package faultproxy is a TCP proxy for tests that goes wrong on demand: it
// chops, delays, throttles, holds and drops bytes, half-closes, cuts and resets
// connections, and refuses new ones.
//
// Without a [Script] it is faithful: it passes on every byte in order, an end
// as an end and a reset as a reset. Only who goes on writing to a peer that has
// closed is not reset, because that could destroy the peer's last words; what
// it writes is dropped.
//
// It is no network: what delays a byte delays all that come behind it, and it
// has up to 4 KiB in hand in each direction, besides what the kernel keeps.
package faultproxy

import (
	"context"
	"errors"
	"net"
	"slices"
	"sync"
	"time"
)

// ErrEnded says that what was waited for can't come any more.
var ErrEnded = errors.New("faultproxy: has ended")

// A Proxy forwards connections to a target. The zero value with a Target is a
// faithful one. Its fields must not be changed after Listen; its methods may be
// called from anywhere.
type Proxy struct {
	// Target is where connections go, as host:port. It is dialed for one after
	// the other, and so accepts them in the order of their numbers. Whoever
	// connects while it can't be reached is reset.
	Target string

	// Plan returns the scripts with which connection n begins, counted from 0
	// in the order in which they were accepted. nil: faithful. It must not call
	// the Proxy.
	Plan func(n int) (up, down Script)

	// Seed decides where each connection is chopped and how long its pauses
	// are. The same one does the same again.
	Seed uint64

	// Buffer is how many bytes the kernel should keep for each socket and
	// direction. 0: as many as it likes, which can be megabytes. With less than
	// 64 KiB it waits for its timers again and again.
	Buffer int

	running sync.WaitGroup

	mu     sync.Mutex // guards what follows
	grown  *sync.Cond // told when conns has grown, and of closed
	conns  []*Conn    // all there have been
	addr   string
	stop   func() // ends the accepting; nil: there is none
	closed bool
}

// Listen begins to accept connections, on a free port of the loopback
// interface; after Refuse it does so again, on the same port.
func (p *Proxy) Listen() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed || p.stop != nil {
		return errors.New("faultproxy: is listening, or closed")
	}
	if p.grown == nil {
		p.grown, p.addr = sync.NewCond(&p.mu), "127.0.0.1:0"
	}
	l, err := net.Listen("tcp", p.addr)
	if err != nil {
		return err
	}
	p.addr = l.Addr().String()
	ctx, cancel := context.WithCancel(context.Background())
	p.stop = func() { cancel(); _ = l.Close() }
	p.running.Go(func() { p.accept(ctx, l) })
	return nil
}

// Addr returns where the proxy listens, as host:port; "" before Listen.
func (p *Proxy) Addr() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.addr
}

// accept accepts connections until ctx is done and l is closed.
func (p *Proxy) accept(ctx context.Context, l net.Listener) {
	for ctx.Err() == nil {
		client, err := l.Accept()
		if err != nil {
			select { // out of descriptors or the like: that may pass
			case <-time.After(5 * time.Millisecond):
			case <-ctx.Done():
			}
			continue
		}
		target, err := new(net.Dialer).DialContext(ctx, "tcp", p.Target)
		p.mu.Lock()
		c := newConn(client, target, p.Seed, len(p.conns), p.Buffer)
		if p.Plan != nil {
			c.Up.script, c.Down.script = p.Plan(len(p.conns))
		}
		if err != nil || ctx.Err() != nil {
			c.Reset()
		}
		if ctx.Err() == nil { // Refuse has not returned
			p.conns = append(p.conns, c)
			p.grown.Broadcast()
		}
		p.running.Go(c.run)
		p.mu.Unlock()
	}
}

// Refuse stops to accept connections: when it returns, whoever connects is
// refused, and there are no new ones until the next Listen. Those there are
// live on.
func (p *Proxy) Refuse() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.stop != nil {
		p.stop()
		p.stop = nil
	}
}

// Kill resets all connections. It returns when they are over.
func (p *Proxy) Kill() {
	conns := p.Conns()
	for _, c := range conns {
		c.Reset()
	}
	for _, c := range conns {
		<-c.done
	}
}

// Conns returns all connections that there have been, in the order in which
// they were accepted.
func (p *Proxy) Conns() []*Conn {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Clone(p.conns)
}

// Conn returns connection n, counted from 0 in the order in which they were
// accepted, and waits for it where necessary. It returns the error of ctx, or
// [ErrEnded] after Close. Listen must have been called.
func (p *Proxy) Conn(ctx context.Context, n int) (*Conn, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if err := await(ctx, p.grown, func() bool { return n < len(p.conns) || p.closed }); err != nil {
		return nil, err
	}
	if n >= len(p.conns) {
		return nil, ErrEnded
	}
	return p.conns[n], nil
}

// Close refuses and resets all connections, for ever. When it returns no
// goroutine is left.
func (p *Proxy) Close() {
	p.Refuse()
	p.mu.Lock()
	p.closed = true
	if p.grown != nil {
		p.grown.Broadcast()
	}
	p.mu.Unlock()
	p.Kill()
	p.running.Wait()
}

// await waits until ok returns true, or returns the error of ctx. The caller
// holds the lock of c.
func await(ctx context.Context, c *sync.Cond, ok func() bool) error {
	stop := context.AfterFunc(ctx, func() { c.L.Lock(); defer c.L.Unlock(); c.Broadcast() })
	defer stop()
	for !ok() {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		c.Wait()
	}
	return nil
}
