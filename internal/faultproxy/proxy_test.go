package faultproxy_test

import (
	"context"
	"errors"
	"io"
	"net"
	"os"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/portcullis-auth/portcullis/internal/faultproxy"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// patience bounds what must happen soon: only a failing test waits as long.
const patience = 20 * time.Second

// buffer is what the kernel is to keep for a socket where a test fills it, in
// bytes. With much less a loopback connection crawls.
const buffer = 64 << 10

// soon is a context that ends when patience does.
func soon(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	t.Cleanup(cancel)
	return ctx
}

// A stage is a proxy with a target that accepts.
type stage struct {
	*testing.T
	*faultproxy.Proxy
	target net.Listener
}

func newStage(t *testing.T, p *faultproxy.Proxy) *stage {
	t.Helper()
	target, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p.Target = target.Addr().String()
	if err := p.Listen(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { p.Close(); _ = target.Close() })
	return &stage{t, p, target}
}

// both is a script for both directions of every connection.
func both(s faultproxy.Script) func(int) (up, down faultproxy.Script) {
	return func(int) (up, down faultproxy.Script) { return s, s }
}

func (s *stage) dial() *net.TCPConn {
	s.Helper()
	nc, err := net.Dial("tcp", s.Addr())
	if err != nil {
		s.Fatal(err)
	}
	return s.own(nc)
}

func (s *stage) accept() *net.TCPConn {
	s.Helper()
	nc, err := s.target.Accept()
	if err != nil {
		s.Fatal(err)
	}
	return s.own(nc)
}

func (s *stage) own(nc net.Conn) *net.TCPConn {
	s.Helper()
	_ = nc.SetDeadline(time.Now().Add(patience))
	_ = nc.(*net.TCPConn).SetWriteBuffer(buffer)
	_ = nc.(*net.TCPConn).SetReadBuffer(buffer)
	s.Cleanup(func() { _ = nc.Close() })
	return nc.(*net.TCPConn)
}

// connect returns both ends of a new connection, and what is between them.
func (s *stage) connect() (client, target *net.TCPConn, c *faultproxy.Conn) {
	s.Helper()
	n := len(s.Conns())
	client = s.dial()
	target = s.accept()
	c, err := s.Conn(soon(s.T), n)
	if err != nil {
		s.Fatal(err)
	}
	return client, target, c
}

func send(t *testing.T, nc net.Conn, text string) {
	t.Helper()
	if _, err := io.WriteString(nc, text); err != nil {
		t.Fatal(err)
	}
}

func want(t *testing.T, nc net.Conn, text string) {
	t.Helper()
	got := make([]byte, len(text))
	if n, err := io.ReadFull(nc, got); err != nil || string(got) != text {
		t.Fatalf("got %d %.40q, err %v; want %d %.40q", n, got, err, len(text), text)
	}
}

// wantEnd wants the end of the stream now: nil stands for FIN.
func wantEnd(t *testing.T, who string, nc net.Conn, end error) {
	t.Helper()
	if rest, err := io.ReadAll(nc); len(rest) > 0 || !errors.Is(err, end) {
		t.Errorf("%s: got %.40q, err %v; want nothing and %v", who, rest, err, end)
	}
}

// wantSilence wants that nothing has arrived, not even an end. It can only see
// what is there, and so is for what has been shown to be dropped or held.
func wantSilence(t *testing.T, nc net.Conn) {
	t.Helper()
	_ = nc.SetReadDeadline(time.Now().Add(10 * time.Millisecond))
	if n, err := nc.Read(make([]byte, 1)); n > 0 || !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("got %d bytes, err %v; want silence", n, err)
	}
	_ = nc.SetReadDeadline(time.Now().Add(patience))
}

func wantDone(t *testing.T, c *faultproxy.Conn) {
	t.Helper()
	select {
	case <-c.Done():
	case <-time.After(patience):
		t.Fatal("the connection isn't over")
	}
}

func wantCount(t *testing.T, f *faultproxy.Flow, passed, dropped int64) {
	t.Helper()
	if err := f.Await(soon(t), passed+dropped); err != nil {
		t.Error(err)
	}
	if p, d := f.Count(); p != passed || d != dropped {
		t.Errorf("%d bytes passed, %d dropped; want %d, %d", p, d, passed, dropped)
	}
}

// Connections are told apart by the order in which they were accepted, and the
// target accepts them in that order.
func TestConnectionsAreNumbered(t *testing.T) {
	s := newStage(t, &faultproxy.Proxy{Plan: func(n int) (up, down faultproxy.Script) {
		if n == 2 {
			up = faultproxy.Script{Fault: faultproxy.Reset, At: 3}
		}
		return up, down
	}})
	for i, text := range []string{"first", "second", "third"} {
		client, target, c := s.connect()
		from, seen := c.Addrs()
		if from.String() != client.LocalAddr().String() || seen.String() != target.RemoteAddr().String() {
			t.Errorf("it is a connection from %s, seen as %s; want %s, %s", from, seen, client.LocalAddr(), target.RemoteAddr())
		}
		send(t, client, text)
		if i < 2 {
			want(t, target, text)
			send(t, target, text)
			want(t, client, text)
			wantCount(t, &c.Down, int64(len(text)), 0)
		} else {
			wantDone(t, c)
			wantEnd(t, "client", client, syscall.ECONNRESET)
		}
	}
	if n := len(s.Conns()); n != 3 {
		t.Errorf("%d connections, want 3", n)
	}
}

func TestConnWaits(t *testing.T) {
	s := newStage(t, &faultproxy.Proxy{})
	got := make(chan error)
	go func() { _, err := s.Conn(soon(t), 1); got <- err }()
	s.dial()
	s.dial()
	if err := <-got; err != nil {
		t.Error(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	go func() { _, err := s.Conn(ctx, 9); got <- err }()
	cancel()
	if err := <-got; !errors.Is(err, context.Canceled) {
		t.Errorf("err %v, want that of the context", err)
	}
	go func() { _, err := s.Conn(soon(t), 9); got <- err }()
	s.Close()
	if err := <-got; !errors.Is(err, faultproxy.ErrEnded) {
		t.Errorf("err %v, want ErrEnded", err)
	}
}

// Refused connections fail at once; those that were there go on; and the port
// comes back.
func TestRefuseAndListenAgain(t *testing.T) {
	s := newStage(t, &faultproxy.Proxy{})
	client, target, _ := s.connect()
	addr := s.Addr()
	for range 3 {
		s.Refuse()
		s.Refuse()
		if nc, err := net.Dial("tcp", addr); !errors.Is(err, syscall.ECONNREFUSED) {
			t.Fatalf("%v, err %v; want ECONNREFUSED", nc, err)
		}
		send(t, client, "still here")
		want(t, target, "still here")
		if err := s.Listen(); err != nil {
			t.Fatal(err)
		}
		if err := s.Listen(); err == nil {
			t.Fatal("it listens twice")
		}
		again, other, _ := s.connect()
		send(t, again, "back")
		want(t, other, "back")
	}
	if s.Addr() != addr {
		t.Errorf("it is at %s, was at %s", s.Addr(), addr)
	}
}

// Kill resets what there is, and newcomers are welcome.
func TestKill(t *testing.T) {
	s := newStage(t, &faultproxy.Proxy{})
	var ends []*net.TCPConn
	for range 5 {
		client, target, _ := s.connect()
		ends = append(ends, client, target)
	}
	s.Kill()
	for _, c := range s.Conns() {
		select {
		case <-c.Done():
		default:
			t.Error("a connection isn't over")
		}
	}
	for _, nc := range ends {
		wantEnd(t, "each end", nc, syscall.ECONNRESET)
	}
	client, target, _ := s.connect()
	send(t, client, "hello")
	want(t, target, "hello")
}

func TestTargetOutOfReach(t *testing.T) {
	s := newStage(t, &faultproxy.Proxy{})
	_ = s.target.Close()
	client, err := net.Dial("tcp", s.Addr())
	if err == nil { // it can be over before Dial is
		wantEnd(t, "client", s.own(client), syscall.ECONNRESET)
	}
	c, err := s.Conn(soon(t), 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, seen := c.Addrs(); seen != nil {
		t.Errorf("the target sees it as %s", seen)
	}
	c.Up.Set(faultproxy.Script{Fault: faultproxy.Hold}) // does nothing
	wantDone(t, c)
	if err := c.Up.Await(soon(t), 1); !errors.Is(err, faultproxy.ErrEnded) {
		t.Errorf("err %v, want ErrEnded", err)
	}
}

func TestCloseEndsEverything(t *testing.T) {
	for name, script := range map[string]faultproxy.Script{
		"passing":  {},
		"held":     {Fault: faultproxy.Hold},
		"dropping": {Fault: faultproxy.Drop},
		"shut":     {Fault: faultproxy.Shut},
		"pausing":  {Pause: 1000 * time.Hour},
		"gated":    {Gate: make(chan struct{})},
	} {
		t.Run(name, func(t *testing.T) {
			s := newStage(t, &faultproxy.Proxy{Plan: both(script)})
			client, _, c := s.connect()
			send(t, client, "hello")
			for range 2 {
				s.Close()
				wantDone(t, c)
			}
			if err := s.Listen(); err == nil {
				t.Error("it listens after Close")
			}
		})
	}
	var never faultproxy.Proxy
	never.Close()
}

// Nobody waits for ever: a stuck writer, reader or black hole has an end.
func TestCloseEndsStuckWriters(t *testing.T) {
	s := newStage(t, &faultproxy.Proxy{Buffer: buffer})
	client, _, c := s.connect()
	stuff(t, client)
	s.Close()
	wantDone(t, c)
}

// stuff writes until nothing moves, and returns how much that was.
func stuff(t *testing.T, nc net.Conn) (n int) {
	t.Helper()
	for p, err := make([]byte, 1<<16), error(nil); err == nil; {
		var m int
		_ = nc.SetWriteDeadline(time.Now().Add(100 * time.Millisecond))
		m, err = nc.Write(p)
		n += m
	}
	_ = nc.SetWriteDeadline(time.Now().Add(patience))
	return n
}
