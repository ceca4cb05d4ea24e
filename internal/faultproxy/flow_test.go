package faultproxy_test

import (
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/portcullis-auth/portcullis/internal/faultproxy"
)

// eachWay runs a test in both directions: a sends to b by way of f.
func eachWay(t *testing.T, test func(t *testing.T, s *stage, a, b *net.TCPConn, f *faultproxy.Flow, c *faultproxy.Conn)) {
	for _, way := range []string{"up", "down"} {
		t.Run(way, func(t *testing.T) {
			s := newStage(t, &faultproxy.Proxy{Buffer: buffer})
			client, target, c := s.connect()
			if way == "up" {
				test(t, s, client, target, &c.Up, c)
			} else {
				test(t, s, target, client, &c.Down, c)
			}
		})
	}
}

func TestFaithfulEnds(t *testing.T) {
	eachWay(t, func(t *testing.T, _ *stage, a, b *net.TCPConn, f *faultproxy.Flow, c *faultproxy.Conn) {
		send(t, a, "last words")
		_ = a.CloseWrite()
		want(t, b, "last words")
		wantEnd(t, "FIN", b, nil)
		send(t, b, "answer")
		_ = b.Close()
		want(t, a, "answer")
		wantEnd(t, "FIN", a, nil)
		wantDone(t, c)
		wantCount(t, f, 10, 0)
	})
}

func TestFaithfulReset(t *testing.T) {
	eachWay(t, func(t *testing.T, _ *stage, a, b *net.TCPConn, f *faultproxy.Flow, c *faultproxy.Conn) {
		send(t, a, "last words")
		if err := f.Await(soon(t), 10); err != nil {
			t.Fatal(err)
		}
		_ = a.SetLinger(0)
		_ = a.Close()
		wantDone(t, c)
		want(t, b, "last words")
		wantEnd(t, "RST", b, syscall.ECONNRESET)
	})
}

// What one said before it closed arrives, though it is written to all the same.
func TestFaithfulLastWordsOfOneThatIsWrittenTo(t *testing.T) {
	eachWay(t, func(t *testing.T, s *stage, a, b *net.TCPConn, f *faultproxy.Flow, c *faultproxy.Conn) {
		back := &c.Up
		if f == back {
			back = &c.Down
		}
		back.Set(faultproxy.Script{Pieces: 1, Pause: time.Millisecond})
		words := strings.Repeat("last words ", 10)
		send(t, b, words)
		_ = b.Close()
		for range 100 {
			send(t, a, "still talking")
		}
		want(t, a, words)
		wantEnd(t, "FIN", a, nil)
		for _, dropped := f.Count(); dropped == 0; _, dropped = f.Count() {
			send(t, a, "still talking") // is not reset
		}
		_ = a.Close()
		wantDone(t, c)
	})
}

// Who is reset while it writes learns of the reset, as it would without a proxy.
func TestFaithfulResetOfOneThatWrites(t *testing.T) {
	s := newStage(t, &faultproxy.Proxy{Buffer: buffer})
	for range 30 {
		a, b, c := s.connect()
		wrote := make(chan error)
		go func() { wrote <- endless(a) }()
		if err := c.Up.Await(soon(t), 100_000); err != nil {
			t.Fatal(err)
		}
		_ = b.SetLinger(0)
		_ = b.Close()
		_, err := io.Copy(io.Discard, a)
		if told := <-wrote; err == nil && !errors.Is(told, syscall.ECONNRESET) {
			t.Fatalf("Write: %v, Read: a proper end; want a reset", told)
		}
		wantDone(t, c)
	}
}

// endless writes until it can't any more.
func endless(nc net.Conn) error {
	for p := make([]byte, 1<<16); ; {
		if _, err := nc.Write(p); err != nil {
			return err
		}
	}
}

func TestSetEndsAPause(t *testing.T) {
	for name, script := range map[string]faultproxy.Script{
		"pause": {Pause: 1000 * time.Hour},
		"rate":  {Pieces: 1, Pause: 1000 * time.Hour, Rate: 1},
		"gate":  {Gate: make(chan struct{})},
	} {
		t.Run(name, func(t *testing.T) {
			s := newStage(t, &faultproxy.Proxy{Plan: both(script)})
			client, target, c := s.connect()
			send(t, client, "hello")
			wantSilence(t, target)
			c.Up.Set(faultproxy.Script{})
			want(t, target, "hello")
		})
	}
}

// Faults happen at the very byte they should, and both ends see them.
func TestFaultsAtAByte(t *testing.T) {
	const text = "0123456789"
	for _, at := range []int64{0, 1, 7, 10} {
		before := text[:at]
		dropped := int64(len(text)) - at
		for name, test := range map[string]func(t *testing.T, a, b *net.TCPConn, f *faultproxy.Flow, c *faultproxy.Conn){
			"Cut": func(t *testing.T, a, b *net.TCPConn, f *faultproxy.Flow, c *faultproxy.Conn) {
				f.Set(faultproxy.Script{Fault: faultproxy.Cut, At: at})
				send(t, a, text)
				want(t, b, before)
				wantEnd(t, "b", b, nil)
				wantEnd(t, "a", a, nil)
				wantCount(t, f, at, dropped)
				send(t, b, "into the void")
				_, _ = a.Close(), b.Close()
				wantDone(t, c)
			},
			"Reset": func(t *testing.T, a, b *net.TCPConn, f *faultproxy.Flow, c *faultproxy.Conn) {
				f.Set(faultproxy.Script{Fault: faultproxy.Reset, At: at})
				if at > 0 { // a write that fails would take the error from the read
					send(t, a, text)
				}
				want(t, b, before)
				wantEnd(t, "b", b, syscall.ECONNRESET)
				wantEnd(t, "a", a, syscall.ECONNRESET)
				wantDone(t, c)
				wantCount(t, f, at, 0)
			},
			"Shut": func(t *testing.T, a, b *net.TCPConn, f *faultproxy.Flow, c *faultproxy.Conn) {
				f.Set(faultproxy.Script{Fault: faultproxy.Shut, At: at})
				send(t, a, text)
				want(t, b, before)
				wantEnd(t, "b", b, nil)
				wantCount(t, f, at, dropped)
				send(t, b, "the other direction goes on")
				want(t, a, "the other direction goes on")
				f.Set(faultproxy.Script{}) // can't undo it
				send(t, a, text)
				wantCount(t, f, at, dropped+10)
				_ = b.Close()
				wantEnd(t, "a", a, nil)
				_ = a.Close()
				wantDone(t, c)
			},
			"Drop": func(t *testing.T, a, b *net.TCPConn, f *faultproxy.Flow, _ *faultproxy.Conn) {
				f.Set(faultproxy.Script{Fault: faultproxy.Drop, At: at})
				send(t, a, text)
				_ = a.CloseWrite()
				want(t, b, before)
				wantCount(t, f, at, dropped)
				wantSilence(t, b)
				send(t, b, "the other direction goes on")
				want(t, a, "the other direction goes on")
				f.Set(faultproxy.Script{})
				wantEnd(t, "b, at last", b, nil)
			},
			"Hold": func(t *testing.T, a, b *net.TCPConn, f *faultproxy.Flow, _ *faultproxy.Conn) {
				f.Set(faultproxy.Script{Fault: faultproxy.Hold, At: at})
				send(t, a, text)
				_ = a.CloseWrite()
				want(t, b, before)
				wantSilence(t, b)
				next := min(at+1, 10) // the end waits too
				f.Set(faultproxy.Script{Fault: faultproxy.Hold, At: next})
				want(t, b, text[at:next])
				wantSilence(t, b)
				f.Set(faultproxy.Script{})
				want(t, b, text[next:])
				wantEnd(t, "b", b, nil)
				wantCount(t, f, 10, 0)
			},
		} {
			t.Run(fmt.Sprintf("%s/%d", name, at), func(t *testing.T) {
				eachWay(t, func(t *testing.T, _ *stage, a, b *net.TCPConn, f *faultproxy.Flow, c *faultproxy.Conn) {
					test(t, a, b, f, c)
				})
			})
		}
	}
}

// A peer that vanished without a trace: neither bytes nor ends get through.
func TestBothDirectionsDrop(t *testing.T) {
	s := newStage(t, &faultproxy.Proxy{Plan: both(faultproxy.Script{Fault: faultproxy.Drop})})
	client, target, c := s.connect()
	send(t, client, "hello")
	wantCount(t, &c.Up, 0, 5)
	_ = client.SetLinger(0)
	_ = client.Close()
	wantSilence(t, target)
	send(t, target, "anybody there?")
	wantCount(t, &c.Down, 0, 14)
	select {
	case <-c.Done():
		t.Error("it is over")
	default:
	}
}

// Faults that come in the middle take hold of a blocked read and a blocked
// write alike.
func TestFaultsWhileStuck(t *testing.T) {
	eachWay(t, func(t *testing.T, _ *stage, a, b *net.TCPConn, f *faultproxy.Flow, c *faultproxy.Conn) {
		sent := stuff(t, a) // b doesn't read
		f.Set(faultproxy.Script{Fault: faultproxy.Drop})
		before, _ := f.Count()
		wantCount(t, f, before, int64(sent)-before)
		if moved := stuff(t, b); moved == 0 {
			t.Error("the other direction is stuck too")
		}
		c.Cut()
		if got, err := io.Copy(io.Discard, b); got != before || err != nil {
			t.Errorf("got %d, err %v; want %d and the end", got, err, before)
		}
		if _, err := io.Copy(io.Discard, a); err != nil {
			t.Error(err)
		}
		c.Reset()
		wantDone(t, c)
	})
}

// An end gets through while the other direction is stuck.
func TestEndPassesOneThatIsStuck(t *testing.T) {
	eachWay(t, func(t *testing.T, _ *stage, a, b *net.TCPConn, _ *faultproxy.Flow, _ *faultproxy.Conn) {
		stuff(t, a) // b doesn't read
		_ = b.CloseWrite()
		wantEnd(t, "a", a, nil)
	})
}

// Hold is felt by the sender.
func TestHoldIsBackpressure(t *testing.T) {
	eachWay(t, func(t *testing.T, _ *stage, a, b *net.TCPConn, f *faultproxy.Flow, _ *faultproxy.Conn) {
		f.Set(faultproxy.Script{Fault: faultproxy.Hold})
		sent := stuff(t, a)
		if sent > 1<<20 {
			t.Errorf("%d bytes went into buffers that should be small", sent)
		}
		wantCount(t, f, 0, 0)
		f.Set(faultproxy.Script{})
		if n, err := io.CopyN(io.Discard, b, int64(sent)); err != nil {
			t.Errorf("got %d of %d, err %v", n, sent, err)
		}
		wantCount(t, f, int64(sent), 0)
	})
}

// Rate is a bound. That it isn't too low either can't be told on a busy machine.
func TestRate(t *testing.T) {
	eachWay(t, func(t *testing.T, _ *stage, a, b *net.TCPConn, f *faultproxy.Flow, _ *faultproxy.Conn) {
		f.Set(faultproxy.Script{Rate: 100_000})
		begin := time.Now()
		send(t, a, strings.Repeat("x", 10_000))
		want(t, b, strings.Repeat("x", 10_000))
		if took := time.Since(begin); took < 90*time.Millisecond {
			t.Errorf("10,000 bytes took %v, want 100ms", took)
		}
	})
}

// The gate lets one piece after the other pass; where they end depends on the
// seed and nothing else.
func TestPiecesAreRepeatable(t *testing.T) {
	text := strings.Repeat("x", 500)
	cuts := func(t *testing.T, seed uint64, parts ...string) (at [2][]int64) {
		gates := [2]chan struct{}{make(chan struct{}), make(chan struct{})}
		s := newStage(t, &faultproxy.Proxy{Seed: seed, Plan: func(int) (up, down faultproxy.Script) {
			return faultproxy.Script{Pieces: 50, Gate: gates[0]}, faultproxy.Script{Pieces: 50, Gate: gates[1]}
		}})
		client, target, c := s.connect()
		for _, part := range parts {
			send(t, client, part)
			send(t, target, part)
		}
		for i, f := range []*faultproxy.Flow{&c.Up, &c.Down} {
			for range 5 {
				before, _ := f.Count()
				gates[i] <- struct{}{}
				if err := f.Await(soon(t), before+1); err != nil {
					t.Fatal(err)
				}
				now, _ := f.Count()
				at[i] = append(at[i], now)
			}
			close(gates[i])
		}
		want(t, target, text)
		want(t, client, text)
		return at
	}
	first, again, other := cuts(t, 1, text), cuts(t, 1, text[:300], text[300:]), cuts(t, 2, text)
	if diff := cmp.Diff(first, again); diff != "" {
		t.Errorf("the same seed cuts elsewhere: (-first +again)\n%s", diff)
	}
	if cmp.Equal(first, other) || cmp.Equal(first[0], first[1]) {
		t.Errorf("all cut at %v", first)
	}
}

func TestAwaitEnds(t *testing.T) {
	s := newStage(t, &faultproxy.Proxy{})
	client, _, c := s.connect()
	got := make(chan error)
	go func() { got <- c.Up.Await(soon(t), 6) }()
	send(t, client, "hello")
	_ = client.CloseWrite()
	if err := <-got; !errors.Is(err, faultproxy.ErrEnded) {
		t.Errorf("err %v, want ErrEnded", err)
	}
	if err := c.Up.Await(soon(t), 5); err != nil {
		t.Error(err)
	}
}
