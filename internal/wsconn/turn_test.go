package wsconn_test

import (
	"bytes"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/portcullis-auth/portcullis/internal/wsconn"
)

// Promise 2: what End promises holds when it returns, though the goodbye has to
// wait for its turn; the owner hears of it by its next Write.
func TestR2NothingPassesBeforeTheGoodbyesTurn(t *testing.T) {
	for _, way := range ways {
		for _, state := range []string{"frames", "head", "raw"} {
			t.Run(way.name+"/"+state, func(t *testing.T) {
				ours, peer := way.pair(t)
				w := newWatch()
				o := w.options()
				o.Head, o.Raw = state == "head", state == "raw"
				c := wsconn.New(ours, o)
				type result struct {
					n   int
					err error
				}
				read, begun := make(chan result), make(chan bool)
				go func() {
					begun <- true
					n, err := c.Read(make([]byte, 9))
					read <- result{n, err}
				}()
				<-begun

				wsconn.Turn.Lock()
				c.End(w.ending())
				if _, err := io.WriteString(peer, "too late"); err != nil {
					t.Error(err)
				}
				for _, b := range [][]byte{frame(t, 5), []byte(head)} {
					if n, err := c.Write(b); n != 0 || !errors.Is(err, errEnd) {
						t.Errorf("Write: %d, %v; want the cause", n, err)
					}
				}
				select {
				case got := <-read:
					t.Errorf("Read: %v, before the turn", got)
				case <-w.silenced:
					t.Error("silenced before the turn")
				default:
				}
				wsconn.Turn.Unlock()

				if got := <-read; got.n != 0 || !errors.Is(got.err, errEnd) {
					t.Errorf("Read: %v; want the cause", got)
				}
				got, err := io.ReadAll(peer)
				if state == "frames" && (!bytes.Equal(got, closing) || err != nil) || state != "frames" && len(got) > 0 {
					t.Errorf("the peer got %q, %v", got, err)
				}
				_ = peer.Close()
				w.over(t, 1)
			})
		}
	}
}

// given is a connection that remembers the last deadline for writes.
type given struct {
	net.Conn
	deadline atomic.Pointer[time.Time]
}

func (g *given) SetWriteDeadline(t time.Time) error {
	g.deadline.Store(&t)
	return g.Conn.SetWriteDeadline(t)
}

// Grace runs from when the goodbye begins.
func TestGraceBeginsWithTheGoodbye(t *testing.T) {
	pipe, peer := net.Pipe()
	ours := &given{Conn: pipe}
	w := newWatch()
	c := wsconn.New(ours, w.options())
	wsconn.Turn.Lock()
	c.End(w.ending())
	if d := ours.deadline.Load(); d != nil {
		t.Errorf("deadline %v before the turn", d)
	}
	began := time.Now()
	for !time.Now().After(began) {
	}
	began = time.Now()
	wsconn.Turn.Unlock()
	if got, err := io.ReadAll(io.LimitReader(peer, int64(len(closing)))); !bytes.Equal(got, closing) || err != nil {
		t.Errorf("got %q, %v", got, err)
	}
	if d := ours.deadline.Load(); d.Before(began.Add(patience)) {
		t.Errorf("deadline %v; want Grace after %v or later", d, began)
	}
	_ = peer.Close()
	w.over(t, 1)
}

// A frame that had begun is finished whoever has the turn, and Close follows,
// also if nobody is writing at the moment.
func TestAFrameIsFinishedWithoutTheTurn(t *testing.T) {
	wsconn.Turn.Lock()
	defer wsconn.Turn.Unlock()
	for _, way := range ways {
		t.Run(way.name+"/writing", func(t *testing.T) {
			const size = 16 << 20
			w := newWatch()
			c, peer, wrote := started(t, way.pair, w.options(), size)
			c.End(w.ending())
			want := append(frame(t, size)[20:], closing...)
			if got, err := io.ReadAll(peer); !bytes.Equal(got, want) || err != nil {
				t.Errorf("got %d bytes, %v; want %d", len(got), err, len(want))
			}
			if err := <-wrote; !errors.Is(err, errEnd) {
				t.Errorf("Write: %v, want the cause", err)
			}
			_ = peer.Close()
			w.over(t, 1)
		})
		t.Run(way.name+"/between writes", func(t *testing.T) {
			ours, peer := way.pair(t)
			w := newWatch()
			c := wsconn.New(ours, w.options())
			b := frame(t, 100)
			if _, err := c.Write(b[:50]); err != nil {
				t.Fatal(err)
			}
			c.End(w.ending())
			if n, err := c.Write(append(b[50:], b...)); n != len(b)-50 || !errors.Is(err, errEnd) {
				t.Errorf("Write: %d, %v; want %d bytes and the cause", n, err, len(b)-50)
			}
			if got, err := io.ReadAll(peer); !bytes.Equal(got, append(b, closing...)) || err != nil {
				t.Errorf("got %d bytes, %v", len(got), err)
			}
			_ = peer.Close()
			w.over(t, 1)
		})
	}
}

// A goodbye has the turn while it begins.
func TestAGoodbyeBeginsInItsTurn(t *testing.T) {
	for _, way := range ways {
		held := false
		for begin := time.Now(); !held && time.Since(begin) < patience; { // a slow one has lost it already
			ours, peer := way.pair(t)
			w := newWatch()
			e := w.ending()
			e.Silenced = func() {
				if held = !wsconn.Turn.TryLock(); !held {
					wsconn.Turn.Unlock()
				}
			}
			wsconn.New(ours, w.options()).End(e)
			_ = peer.Close()
			w.over(t, 0)
		}
		if !held {
			t.Errorf("%s: the turn isn't held", way.name)
		}
	}
}

// L1: a peer that takes nothing doesn't keep the turn from others.
func TestL1StuckGoodbyesPassTheTurnOn(t *testing.T) {
	for _, way := range ways {
		t.Run(way.name, func(t *testing.T) {
			var watches []watch
			var peers []net.Conn
			for range 3 {
				ours, peer := way.pair(t)
				below := ours
				if s, ok := ours.(*tls.Conn); ok {
					below = s.NetConn()
				}
				for err := error(nil); err == nil; { // until nothing moves
					_ = below.SetWriteDeadline(time.Now().Add(20 * time.Millisecond))
					_, err = below.Write(make([]byte, 1<<20))
				}
				w := newWatch()
				wsconn.New(ours, w.options()).End(w.ending())
				watches, peers = append(watches, w), append(peers, peer)
			}
			ours, peer := way.pair(t)
			w := newWatch()
			wsconn.New(ours, w.options()).End(w.ending())
			if got, err := io.ReadAll(peer); !bytes.Equal(got, closing) || err != nil {
				t.Errorf("got %q, %v", got, err)
			}
			_ = peer.Close()
			w.over(t, 1)
			for i, w := range watches {
				if len(w.closed) != 0 {
					t.Error("a goodbye that should be stuck is over")
				}
				if s, ok := peers[i].(*tls.Conn); ok {
					peers[i] = s.NetConn()
				}
				_ = peers[i].Close()
				w.over(t, 1)
			}
		})
	}
}

// The turn isn't kept where the clock may stand still; Grace is exact there.
func TestStuckGoodbyesInABubble(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		begin := time.Now()
		var watches []watch
		for range 5 {
			ours, peer := net.Pipe()
			defer peer.Close()
			w := newWatch()
			e := w.ending()
			e.Grace = 3 * time.Second
			wsconn.New(ours, w.options()).End(e)
			watches = append(watches, w)
		}
		for _, w := range watches {
			w.over(t, 1)
		}
		if took := time.Since(begin); took != 3*time.Second {
			t.Errorf("took %v, want 3s", took)
		}
	})
}

// Many that end at once, in the middle of what they write: each peer gets whole
// frames, and Close behind them.
func TestR2ManyEndAtOnce(t *testing.T) {
	one := frame(t, 1000)
	begin := make(chan bool)
	var all sync.WaitGroup
	for i := range 40 {
		ours, peer := ways[i%len(ways)].pair(t)
		w := newWatch()
		c := wsconn.New(ours, w.options())
		all.Go(func() {
			<-begin
			for range 100 {
				if _, err := c.Write(one); err != nil {
					if !errors.Is(err, errEnd) {
						t.Errorf("Write: %v, want the cause", err)
					}
					return
				}
			}
		})
		all.Go(func() {
			<-begin
			c.End(w.ending())
		})
		all.Go(func() {
			got, err := io.ReadAll(peer)
			frames, ok := bytes.CutSuffix(got, closing)
			if err != nil || !ok || !bytes.Equal(frames, bytes.Repeat(one, len(frames)/len(one))) {
				t.Errorf("got %d bytes, %v; want whole frames and Close", len(got), err)
			}
			_ = peer.Close()
			<-w.closed
		})
	}
	close(begin)
	all.Wait()
}
