package rawtest_test

import (
	"context"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// A pipes is a listener in memory, so that time can be made.
type pipes struct {
	conns chan net.Conn
	done  chan struct{}
	once  sync.Once
}

func (p *pipes) Accept() (net.Conn, error) {
	select {
	case nc := <-p.conns:
		return nc, nil
	case <-p.done:
		return nil, net.ErrClosed
	}
}

func (p *pipes) Close() error   { p.once.Do(func() { close(p.done) }); return nil }
func (p *pipes) Addr() net.Addr { return &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)} }

func (p *pipes) dial() net.Conn {
	client, server := net.Pipe()
	p.conns <- server
	return client
}

// L1: 500 clients who send their heads byte by byte are cut within 10 seconds,
// and others are served meanwhile, at once.
func TestL1SlowHeads(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := configured(t, "http://127.0.0.1:1", "\nroutes: [{path: /, backend: 'http://127.0.0.1:1'}]\n")
		l := &pipes{conns: make(chan net.Conn), done: make(chan struct{})}
		ctx, cancel := context.WithCancel(t.Context())
		var serving, slow sync.WaitGroup
		serving.Go(func() { _ = g.Serve(ctx, l) })
		began := time.Now()
		var cut, longest atomic.Int64
		for i := range 500 {
			nc := l.dial()
			slow.Go(func() {
				defer nc.Close()
				slow.Go(func() { drip(nc, i) })
				_, _ = io.Copy(io.Discard, nc)
				cut.Add(1)
				if d := int64(time.Since(began)); d > longest.Load() {
					longest.Store(d)
				}
			})
		}
		for range 40 { // a call each 250 ms
			nc := l.dial()
			asked := time.Now()
			go func() { _, _ = io.WriteString(nc, "GET /x HTTP/1.1\r\n"+host+"Connection: close\r\n\r\n") }()
			a, err := newReader(nc).answer("GET")
			if err != nil || a.status != 401 || time.Since(asked) > 0 {
				t.Errorf("%+v, err %v, after %v; want 401 at once", a, err, time.Since(asked))
			}
			_ = nc.Close()
			time.Sleep(250 * time.Millisecond)
		}
		slow.Wait()
		if d := time.Duration(longest.Load()); cut.Load() != 500 || d > 10*time.Second {
			t.Errorf("%d were cut, the last one after %v; want 500 within 10 s", cut.Load(), d)
		}
		cancel()
		serving.Wait()
		_ = g.Close()
	})
}

// drip sends a piece now and then, as long as it is taken.
func drip(nc net.Conn, i int) {
	for j := 0; ; j++ {
		if _, err := io.WriteString(nc, dripping(i, j)); err != nil {
			return
		}
		time.Sleep(100 * time.Millisecond)
	}
}

// dripping is the jth piece of the ith client.
func dripping(i, j int) string {
	switch head := "GET /public/ HTTP/1.1\r\nHost: a.example.com\r\n"; {
	case i%5 == 4: // nothing at all
		return ""
	case j < len(head):
		return head[j : j+1]
	case i%5 == 3: // field after field
		return "X: y\r\n"
	}
	return "x"
}

// L1: so are those who were served once and then begin another request.
func TestL1SlowSecondHead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := configured(t, "http://127.0.0.1:1", "\nroutes: [{path: /, backend: 'http://127.0.0.1:1'}]\n")
		l := &pipes{conns: make(chan net.Conn), done: make(chan struct{})}
		ctx, cancel := context.WithCancel(t.Context())
		var serving sync.WaitGroup
		serving.Go(func() { _ = g.Serve(ctx, l) })
		nc := l.dial()
		go func() { _, _ = io.WriteString(nc, "GET /x HTTP/1.1\r\n"+host+"\r\n") }()
		r := newReader(nc)
		if a, err := r.answer("GET"); err != nil || a.status != 401 {
			t.Fatalf("%+v, err %v", a, err)
		}
		_, _ = io.WriteString(nc, "GET ") // less is nothing to net/http, and idle clients may stay
		began := time.Now()
		serving.Go(func() { drip(nc, 0) })
		_, _ = io.Copy(io.Discard, r)
		if d := time.Since(began); d > 10*time.Second {
			t.Errorf("cut after %v, want within 10 s", d)
		}
		_ = nc.Close()
		cancel()
		serving.Wait()
		_ = g.Close()
	})
}
