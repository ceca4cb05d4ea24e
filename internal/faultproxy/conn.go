package faultproxy

import (
	"math/rand/v2"
	"net"
	"sync"
)

// A Conn is one connection through a [Proxy]. It is safe for concurrent use.
type Conn struct {
	Up   Flow // from the client to the target
	Down Flow // from the target to the client

	done chan struct{} // closed when nothing is left
}

// newConn makes connection n. A target that can't be reached is nil.
func newConn(client, target net.Conn, seed uint64, n, buffer int) *Conn {
	c := &Conn{done: make(chan struct{})}
	c.Up.src, _ = client.(*net.TCPConn)
	c.Up.dst, _ = target.(*net.TCPConn)
	c.Down.src, c.Down.dst = c.Up.dst, c.Up.src
	c.Up.back, c.Down.back = &c.Down, &c.Up
	for i, f := range []*Flow{&c.Up, &c.Down} {
		f.conn = c
		f.moved = sync.NewCond(&f.mu)
		f.changed = make(chan struct{})
		f.rand = rand.New(rand.NewPCG(seed, uint64(2*n+i))) //nolint:gosec // it is to be repeatable
		if buffer > 0 && f.src != nil {
			_ = f.src.SetReadBuffer(buffer)
			_ = f.src.SetWriteBuffer(buffer)
		}
	}
	return c
}

// run moves bytes until both directions have ended.
func (c *Conn) run() {
	var up sync.WaitGroup
	up.Go(c.Up.move)
	c.Down.move()
	up.Wait()
	c.close(false)
	close(c.done)
}

// Addrs returns where the client connected from, and where the target sees it
// connect from (nil if the target couldn't be reached). On a busy machine a
// stranger can come along that looks for somebody who had the port before.
func (c *Conn) Addrs() (client, seen net.Addr) {
	if c.Up.dst != nil {
		seen = c.Up.dst.LocalAddr()
	}
	return c.Up.src.RemoteAddr(), seen
}

// Cut gives both peers FIN, and drops what they still send: see [Cut].
func (c *Conn) Cut() {
	c.Up.Set(Script{Fault: Shut})
	c.Down.Set(Script{Fault: Shut})
}

// Reset gives both peers RST.
func (c *Conn) Reset() { c.close(true) }

// Done returns a channel that is closed when both sides of the connection are
// over.
func (c *Conn) Done() <-chan struct{} { return c.done }

func (c *Conn) close(reset bool) {
	for _, f := range []*Flow{&c.Up, &c.Down} {
		f.end()
		if f.src == nil {
			continue
		}
		if reset {
			_ = f.src.SetLinger(0)
		}
		_ = f.src.Close()
	}
}
