package wsconn_test

import (
	"bytes"
	"crypto/rand"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http/httptest"
	"os"
	"path/filepath"
	"runtime"
	"syscall"
	"testing"
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
						time.Sleep(time.Millisecond) // the reader has to wait, most likely
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

// A dripping conn writes byte by byte, and a reader has the time to ask for more
// in between.
type dripping struct{ net.Conn }

func (d dripping) Write(p []byte) (n int, err error) {
	for n = range p {
		if _, err := d.Conn.Write(p[n : n+1]); err != nil {
			return n, err
		}
		time.Sleep(10 * time.Microsecond)
	}
	return len(p), nil
}

// crypto/tls goes on where it was told that there is nothing: inside of a
// record, of the messages that follow a handshake, of the alert at the end.
func TestReadLentOfTLSInPieces(t *testing.T) {
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		t.Run(tls.VersionName(version), func(t *testing.T) {
			s := httptest.NewTLSServer(nil) // for its certificate
			defer s.Close()
			ours, peer := tcp(t)
			config := s.TLS.Clone()
			config.MaxVersion = version
			server := tls.Server(dripping{peer}, config)
			client := tls.Client(wsconn.ForTLS(ours), &tls.Config{InsecureSkipVerify: true, ClientSessionCache: tls.NewLRUClientSessionCache(1)})
			done := make(chan error, 1)
			go func() { done <- server.Handshake() }()
			if err := client.Handshake(); err != nil {
				t.Fatal(err)
			}
			c := wsconn.New(client, wsconn.Options{})
			sent := bytes.Repeat([]byte("hello"), 300)
			go func() {
				if err := <-done; err != nil {
					t.Error(err)
				}
				_, _ = server.Write(sent)
				_ = server.Close()
			}()
			if got, err := io.ReadAll(&borrower{Conn: c, TB: t}); !bytes.Equal(got, sent) || err != nil {
				t.Errorf("got %d bytes, %v; want %d, and the end", len(got), err, len(sent))
			}
			_ = c.Close()
		})
	}
}

// A holding conn keeps what is written until it is let go.
type holding struct {
	net.Conn
	held bytes.Buffer
	hold bool
}

func (h *holding) Write(p []byte) (int, error) {
	if h.hold {
		return h.held.Write(p)
	}
	return h.Conn.Write(p)
}

// TLS looks at what is behind a record. If that is a part of an alert, what was
// read isn't lost, and doesn't wait for the rest.
func TestReadLentBeforeAPartOfAnAlert(t *testing.T) {
	s := httptest.NewTLSServer(nil) // for its certificate
	defer s.Close()
	ours, peer := tcp(t)
	over := &holding{Conn: peer}
	config := s.TLS.Clone()
	config.MaxVersion = tls.VersionTLS12 // 1.3 hides what is an alert
	server := tls.Server(over, config)
	client := tls.Client(wsconn.ForTLS(ours), &tls.Config{InsecureSkipVerify: true})
	done := make(chan error, 1)
	go func() { done <- server.Handshake() }()
	if err := errors.Join(client.Handshake(), <-done); err != nil {
		t.Fatal(err)
	}
	over.hold = true
	if _, err := io.WriteString(server, "last words"); err != nil {
		t.Fatal(err)
	}
	if err := server.CloseWrite(); err != nil {
		t.Fatal(err)
	}
	_ = peer.SetWriteDeadline(time.Time{}) // crypto/tls lets nobody write any more
	_ = peer.SetWriteDeadline(time.Time{}) // CloseWrite has left one
	all := over.held.Bytes()
	c := wsconn.New(client, wsconn.Options{})
	defer func() { _ = c.Close() }()
	r := &borrower{Conn: c, TB: t}
	if _, err := peer.Write(all[:len(all)-3]); err != nil {
		t.Fatal(err)
	}
	got := make([]byte, 100)
	if n, err := r.Read(got); string(got[:n]) != "last words" || err != nil {
		t.Errorf("read %q, %v", got[:n], err)
	}
	if _, err := peer.Write(all[len(all)-3:]); err != nil {
		t.Fatal(err)
	}
	if n, err := r.Read(got); n > 0 || !errors.Is(err, io.EOF) {
		t.Errorf("then %q, %v; want the end", got[:n], err)
	}
}

// A connection that breaks inside of a record hasn't ended.
func TestReadLentOfABrokenRecord(t *testing.T) {
	ours, peer := waitable(t)
	over := peer.(*tls.Conn).NetConn()
	if _, err := over.Write([]byte{23, 3, 3, 0, 99, 1, 2, 3}); err != nil {
		t.Fatal(err)
	}
	if err := over.(*net.TCPConn).CloseWrite(); err != nil {
		t.Fatal(err)
	}
	c := wsconn.New(ours, wsconn.Options{})
	if _, n, err := c.ReadLent(nil); n > 0 || !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("%d bytes, %v; want ErrUnexpectedEOF", n, err)
	}
	_ = c.Close()
}
