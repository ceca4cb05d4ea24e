package wsconn_test

import (
	"bytes"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/portcullis-auth/portcullis/internal/wsconn"
)

// A borrower reads a Conn by ReadLent.
type borrower struct {
	*wsconn.Conn
	testing.TB
	buf  *wsconn.Buffer
	rest []byte
}

func (r *borrower) Read(p []byte) (n int, err error) {
	if len(r.rest) == 0 {
		if r.buf, n, err = r.ReadLent(r.buf); (r.buf == nil) != (n == 0) {
			r.Errorf("%d bytes in buffer %p", n, r.buf)
		}
		if r.buf != nil {
			r.rest = bytes.Clone(r.buf[:n])
			clear(r.buf[:]) // nobody else has it
		}
	}
	n = copy(p, r.rest)
	r.rest = r.rest[n:]
	return n, err
}

// yield gives others time to do what they can.
func yield() {
	for range 10 {
		runtime.Gosched()
	}
}

func unix(t testing.TB) (ours, peers net.Conn) {
	t.Helper()
	l, err := net.Listen("unix", filepath.Join(t.TempDir(), "s"))
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	peers, err1 := net.Dial("unix", l.Addr().String())
	ours, err2 := l.Accept()
	if err := errors.Join(err1, err2); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _, _ = ours.Close(), peers.Close() })
	return ours, peers
}

func pipe(testing.TB) (ours, peers net.Conn) { return net.Pipe() }

// lendWays are what ReadLent is tried over.
var lendWays = append(ways[:len(ways):len(ways)], []struct {
	name string
	pair func(testing.TB) (ours, peers net.Conn)
}{{"Unix", unix}, {"pipe", pipe}}...)

// What the peer sends comes out of ReadLent, early bytes first, however it is
// cut and whenever it comes; and so does its end.
func TestReadLentReadsEverything(t *testing.T) {
	sent := make([]byte, 1<<20)
	_, _ = rand.Read(sent)
	for _, way := range lendWays {
		t.Run(way.name, func(t *testing.T) {
			ours, peer := way.pair(t)
			early := bytes.Repeat([]byte("early"), 10_000) // more than a buffer takes
			c := wsconn.New(ours, wsconn.Options{Early: early})
			go func() {
				for rest, i := sent, 0; len(rest) > 0; i++ {
					n := min(len(rest), []int{1, 100, 40_000, 3, 16 << 10, 17}[i%6])
					if _, err := peer.Write(rest[:n]); err != nil {
						t.Error(err)
					}
					if rest = rest[n:]; i%3 == 0 {
						yield() // the reader has to wait, most likely
					}
				}
				_ = peer.Close()
			}()
			got, err := io.ReadAll(&borrower{Conn: c, TB: t})
			if !bytes.Equal(got, append(early, sent...)) || err != nil {
				t.Errorf("got %d bytes, %v; want %d, the right ones", len(got), err, len(early)+len(sent))
			}
			_ = c.Close()
		})
	}
}

// Nothing that comes when the reader is about to wait is overlooked.
func TestReadLentMissesNoWakeUp(t *testing.T) {
	for _, way := range lendWays {
		t.Run(way.name, func(t *testing.T) {
			ours, peer := way.pair(t)
			_ = peer.SetDeadline(time.Now().Add(patience))
			c := wsconn.New(ours, wsconn.Options{})
			defer func() { _ = c.Close() }()
			go func() { _, _ = io.Copy(c, &borrower{Conn: c, TB: t}) }() // an echo
			got := make([]byte, 5)
			for i := range 2000 {
				if _, err := fmt.Fprintf(peer, "%05d", i); err != nil {
					t.Fatal(err)
				}
				if _, err := io.ReadFull(peer, got); err != nil || string(got) != fmt.Sprintf("%05d", i) {
					t.Fatalf("%d: %q, %v", i, got, err)
				}
			}
			_ = peer.Close()
		})
	}
}

// Who waits holds no buffer, before the first byte and after it.
func TestReadLentWaitsWithoutABuffer(t *testing.T) {
	const many = 100
	for _, way := range lendWays {
		if way.name == "TLS" || way.name == "pipe" { // they can't
			continue
		}
		t.Run(way.name, func(t *testing.T) {
			var conns []*wsconn.Conn
			var peers []net.Conn
			for range many {
				ours, peer := way.pair(t)
				conns, peers = append(conns, wsconn.New(ours, wsconn.Options{})), append(peers, peer)
			}
			came := make(chan bool, many)
			before := heap()
			for _, c := range conns {
				go func() {
					for b, _, err := c.ReadLent(nil); err == nil; b, _, err = c.ReadLent(b) {
						came <- true
					}
					came <- false
				}()
			}
			lean := func(when string) {
				t.Helper()
				grown := 0.0
				for begin := time.Now(); time.Since(begin) < patience; runtime.Gosched() {
					if grown = (heap() - before) / many; grown < 8<<10 {
						return
					}
				}
				t.Errorf("%s: %.0f bytes for each that waits", when, grown)
			}
			lean("nothing has come")
			for _, peer := range peers {
				if _, err := io.WriteString(peer, "hello"); err != nil {
					t.Fatal(err)
				}
			}
			for range peers {
				<-came
			}
			lean("something has come")
			for _, c := range conns {
				_ = c.Close()
			}
			for range conns {
				<-came
			}
		})
	}
}

func heap() float64 {
	for range 2 { // what a pool drops is kept for a while
		runtime.GC()
	}
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return float64(m.HeapAlloc)
}

// R2: End wakes who waits in ReadLent, who hears of it and gets no byte more; the
// peer gets Close, though it still sends.
func TestR2EndWhileReadLentWaits(t *testing.T) {
	for _, way := range lendWays[:4] {
		for _, talking := range []bool{false, true} {
			t.Run(fmt.Sprint(way.name, "/talking ", talking), func(t *testing.T) {
				ours, peer := way.pair(t)
				_ = peer.SetDeadline(time.Now().Add(patience))
				w := newWatch()
				c := wsconn.New(ours, w.options())
				r := &borrower{Conn: c, TB: t}
				if _, err := io.WriteString(peer, "hello"); err != nil {
					t.Fatal(err)
				}
				if _, err := io.ReadFull(r, make([]byte, 5)); err != nil {
					t.Fatal(err)
				}
				read, begun := make(chan error), make(chan bool)
				go func() {
					begun <- true
					read <- second(r.Read(make([]byte, 9)))
				}()
				<-begun
				runtime.Gosched() // it waits, most likely
				c.End(w.ending())
				if talking {
					go func() { _, _ = peer.Write(make([]byte, 1<<20)) }() // has to be drained
				}
				if err := <-read; !errors.Is(err, errEnd) {
					t.Errorf("ReadLent: %v, want the cause", err)
				}
				if got, err := io.ReadAll(peer); !bytes.Equal(got, closing) || err != nil {
					t.Errorf("the peer got %q, %v", got, err)
				}
				_ = peer.Close()
				w.over(t, 1)
				if err := second(r.Read(make([]byte, 9))); !errors.Is(err, errEnd) {
					t.Errorf("ReadLent: %v, want the cause", err)
				}
			})
		}
	}
}

// Who reads while what still comes is dropped doesn't wait for the end of that.
func TestReadersDontWaitForTheDrain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ours, peer := net.Pipe()
		w := newWatch()
		c := wsconn.New(ours, w.options())
		c.End(w.ending())
		if got := make([]byte, len(closing)); second(io.ReadFull(peer, got)) != nil || !bytes.Equal(got, closing) {
			t.Errorf("the peer got %q", got)
		}
		synctest.Wait() // it is being drained now
		begin := time.Now()
		_, _, err := c.ReadLent(nil)
		if err := errors.Join(err, second(c.Read(make([]byte, 9)))); !errors.Is(err, errEnd) || time.Since(begin) > 0 {
			t.Errorf("%v after %v; want the cause at once", err, time.Since(begin))
		}
		_ = peer.Close()
		w.over(t, 1)
	})
}

// With KeepReading ReadLent goes on until the owner closes.
func TestReadLentKeepsReading(t *testing.T) {
	for _, way := range lendWays[:4] {
		t.Run(way.name, func(t *testing.T) {
			ours, peer := way.pair(t)
			w := newWatch()
			c := wsconn.New(ours, w.options())
			e := w.ending()
			e.KeepReading = true
			c.End(e)
			if got, err := io.ReadAll(peer); !bytes.Equal(got, closing) || err != nil {
				t.Fatalf("got %q, %v", got, err)
			}
			if _, err := io.WriteString(peer, "hello"); err != nil {
				t.Fatal(err)
			}
			r, got := &borrower{Conn: c, TB: t}, make([]byte, 5)
			if _, err := io.ReadFull(r, got); err != nil || string(got) != "hello" {
				t.Errorf("read %q, %v", got, err)
			}
			_ = c.Close()
			_ = peer.Close()
			w.over(t, 1)
			if _, err := r.Read(got); !errors.Is(err, errEnd) {
				t.Errorf("ReadLent: %v, want the cause", err)
			}
		})
	}
}

// A deadline ends the wait, and nothing else; Close and a reset end it for good.
func TestReadLentErrors(t *testing.T) {
	for _, way := range lendWays {
		t.Run(way.name, func(t *testing.T) {
			ours, peer := way.pair(t)
			c := wsconn.New(ours, wsconn.Options{})
			r, got := &borrower{Conn: c, TB: t}, make([]byte, 5)
			for range 2 {
				_ = c.SetReadDeadline(time.Now().Add(time.Millisecond))
				if _, err := r.Read(got); !errors.Is(err, os.ErrDeadlineExceeded) {
					t.Errorf("%v, want ErrDeadlineExceeded", err)
				}
				_ = c.SetReadDeadline(time.Time{})
				go func() { _, _ = io.WriteString(peer, "hello") }()
				if _, err := io.ReadFull(r, got); err != nil || string(got) != "hello" {
					t.Errorf("read %q, %v", got, err)
				}
			}
			if way.name != "pipe" && way.name != "Unix" {
				wsconn.Abort(peer)
				if _, err := r.Read(got); !errors.Is(err, syscall.ECONNRESET) {
					t.Errorf("%v, want a reset", err)
				}
			}
			_ = c.Close()
			if way.name == "Unix" {
				if _, err := r.Read(got); !errors.Is(err, net.ErrClosed) {
					t.Errorf("%v, want ErrClosed", err)
				}
			}
			_ = peer.Close()
		})
	}
}

// Read takes over where ReadLent left off, also inside of what came in one piece.
func TestReadAfterReadLent(t *testing.T) {
	for _, way := range lendWays {
		t.Run(way.name, func(t *testing.T) {
			ours, peer := way.pair(t)
			sent := make(chan bool)
			go func() {
				for i := range 100 { // TLS makes a record of each
					_, _ = fmt.Fprintf(peer, "%05d", i)
					if i == 50 {
						close(sent)
					}
				}
			}()
			if way.name != "pipe" {
				<-sent
			}
			c := wsconn.New(ours, wsconn.Options{})
			r, got := &borrower{Conn: c, TB: t}, make([]byte, 5)
			for i := range 100 {
				var from io.Reader = c
				if len(r.rest) > 0 || i%2 == 0 {
					from = r
				}
				if _, err := io.ReadFull(from, got); err != nil || string(got) != fmt.Sprintf("%05d", i) {
					t.Fatalf("%d: %q, %v", i, got, err)
				}
			}
			_, _ = c.Close(), peer.Close()
		})
	}
}
