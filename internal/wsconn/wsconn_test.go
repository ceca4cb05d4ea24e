package wsconn_test

import (
	"bytes"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http/httptest"
	"os"
	"runtime"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gobwas/ws"
	"go.uber.org/goleak"

	"github.com/portcullis-auth/portcullis/internal/wsconn"
	"github.com/portcullis-auth/portcullis/internal/wsframe"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// patience bounds what must happen soon: only a failing test waits as long.
const patience = 20 * time.Second

var (
	errEnd  = errors.New("the end")
	closing = wsframe.AppendClose(nil, 3000, "token_expired", nil)
)

const head = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n"

// frame returns a server's frame.
func frame(t testing.TB, size int) []byte {
	t.Helper()
	b, err := ws.CompileFrame(ws.NewBinaryFrame(bytes.Repeat([]byte{0xEE}, size)))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// tcp returns the two ends of a connection over loopback.
func tcp(t testing.TB) (ours, peers net.Conn) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	peers, err = net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	ours, err = l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _, _ = ours.Close(), peers.Close() })
	_ = peers.SetDeadline(time.Now().Add(patience))
	return ours, peers
}

// secured does the same with TLS.
func secured(t testing.TB) (ours, peers net.Conn) {
	t.Helper()
	s := httptest.NewTLSServer(nil) // for its certificate
	defer s.Close()
	ours, peers = tcp(t)
	server := tls.Server(ours, s.TLS.Clone())
	client := tls.Client(peers, &tls.Config{InsecureSkipVerify: true})
	done := make(chan error, 1)
	go func() { done <- server.Handshake() }()
	if err := client.Handshake(); err != nil {
		t.Fatal(err)
	}
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	return server, client
}

var ways = []struct {
	name string
	pair func(testing.TB) (ours, peers net.Conn)
}{{"TCP", tcp}, {"TLS", secured}}

// A watch counts what a Conn calls.
type watch struct{ closed, silenced chan struct{} }

func newWatch() watch { return watch{make(chan struct{}, 9), make(chan struct{}, 9)} }

func (w watch) ending() wsconn.Ending {
	return wsconn.Ending{Cause: errEnd, Frame: closing, Grace: patience, Silenced: func() { w.silenced <- struct{}{} }}
}

// over waits until the connection is closed for good, and fails unless all has
// been told once.
func (w watch) over(t testing.TB, silenced int) {
	t.Helper()
	select {
	case <-w.closed:
	case <-time.After(patience):
		t.Fatal("the connection isn't closed")
	}
	if len(w.closed) != 0 || len(w.silenced) != silenced {
		t.Errorf("OnClosed was called %d times, Silenced %d times; want 1 and %d", 1+len(w.closed), len(w.silenced), silenced)
	}
}

func (w watch) options() wsconn.Options {
	return wsconn.Options{OnClosed: func() { w.closed <- struct{}{} }}
}

// What the peer gets, and how the stream ends, in every state that End may find.
func TestEndInEveryState(t *testing.T) {
	const reset, clean = true, false
	for _, way := range ways {
		for _, tt := range []struct {
			name    string
			options func(*wsconn.Options)
			owner   string // writes that before
			want    string // the peer gets that
			reset   bool   // and then a reset
		}{
			{"nothing sent", nil, "", string(closing), clean},
			{"between frames", nil, string(frame(t, 5)), string(frame(t, 5)) + string(closing), clean},
			{"the owner has sent Close", nil, string(frame(t, 5)) + string(wsframe.AppendClose(nil, 1000, "", nil)), string(frame(t, 5)) + string(wsframe.AppendClose(nil, 1000, "", nil)), clean},
			{"raw", func(o *wsconn.Options) { o.Raw = true }, "hello", "hello", reset},
			{"raw beats head", func(o *wsconn.Options) { o.Raw, o.Head = true, true }, "hello", "hello", reset},
			{"no head yet", func(o *wsconn.Options) { o.Head = true }, "", "", reset},
			{"head not whole", func(o *wsconn.Options) { o.Head = true }, head[:len(head)-1], "", reset},
			{"head whole", func(o *wsconn.Options) { o.Head = true }, head, head + string(closing), clean},
			{"head and a frame in one", func(o *wsconn.Options) { o.Head = true }, head + string(frame(t, 5)), head + string(frame(t, 5)) + string(closing), clean},
			{"another upgrade", func(o *wsconn.Options) { o.Head = true }, strings.Replace(head, "websocket", "other", 1), strings.Replace(head, "websocket", "other", 1), reset},
			{"no upgrade", func(o *wsconn.Options) { o.Head = true }, "HTTP/1.1 200 OK\r\nUpgrade: websocket\r\n\r\nhello", "HTTP/1.1 200 OK\r\nUpgrade: websocket\r\n\r\nhello", reset},
			{"no HTTP", func(o *wsconn.Options) { o.Head = true }, "hello\r\n\r\nhello", "hello\r\n\r\nhello", reset},
			{"no frame", nil, "\x82\x7f\xff\xff\xff\xff\xff\xff\xff\xff", "\x82\x7f\xff\xff\xff\xff\xff\xff\xff\xff", reset},
		} {
			t.Run(way.name+"/"+tt.name, func(t *testing.T) {
				ours, peer := way.pair(t)
				w := newWatch()
				o := w.options()
				if tt.options != nil {
					tt.options(&o)
				}
				c := wsconn.New(ours, o)
				if n, err := io.WriteString(c, tt.owner); n != len(tt.owner) || err != nil {
					t.Fatalf("Write: %d, %v", n, err)
				}
				got := make([]byte, len(tt.want))
				if tt.reset { // which could overtake it
					if _, err := io.ReadFull(peer, got); err != nil {
						t.Fatal(err)
					}
				}
				c.End(w.ending())
				for what, err := range map[string]error{"Write": second(c.Write(frame(t, 1))), "Read": second(c.Read(make([]byte, 9)))} {
					if !errors.Is(err, errEnd) {
						t.Errorf("%s: %v, want the cause", what, err)
					}
				}
				if !tt.reset {
					if _, err := io.ReadFull(peer, got); err != nil {
						t.Fatal(err)
					}
				}
				rest, err := io.ReadAll(peer)
				if string(got) != tt.want || len(rest) > 0 || tt.reset == (err == nil) {
					t.Errorf("got %q, then %q, err %v; want %q and reset %v", got, rest, err, tt.want, tt.reset)
				}
				_ = peer.Close()
				_ = c.Close()
				w.over(t, 1)
			})
		}
	}
}

func second(_ int, err error) error { return err }

// started returns a Conn whose owner is in the middle of writing a frame, of
// which the peer has got a part, and the result of that.
func started(t testing.TB, pair func(testing.TB) (net.Conn, net.Conn), o wsconn.Options, size int) (c *wsconn.Conn, peer net.Conn, wrote chan error) {
	ours, peer := pair(t)
	c, wrote = wsconn.New(ours, o), make(chan error, 1)
	b := frame(t, size)
	go func() {
		n, err := c.Write(append(b, frame(t, 5)...)) // a frame that must not pass is right behind it
		if n != len(b) && err == nil {
			err = io.ErrShortWrite
		}
		wrote <- err
	}()
	if _, err := io.ReadFull(peer, make([]byte, 20)); err != nil {
		t.Fatal(err)
	}
	return c, peer, wrote
}

// A frame that had begun is finished, Close follows, and the owner hears of the
// end only then.
func TestEndFinishesTheFrame(t *testing.T) {
	const size = 16 << 20
	for _, way := range ways {
		t.Run(way.name, func(t *testing.T) {
			w := newWatch()
			c, peer, wrote := started(t, way.pair, w.options(), size)
			read, begun := make(chan error, 2), make(chan bool)
			reader := func() { begun <- true; read <- second(c.Read(make([]byte, 9))) }
			go reader()
			<-begun
			runtime.Gosched() // it is blocked, most likely
			c.End(w.ending())
			go reader()
			<-begun
			runtime.Gosched()
			select {
			case err := <-read:
				t.Errorf("Read: %v, before the frame is finished", err)
			case <-w.silenced:
				t.Error("silenced before the frame is finished")
			default:
			}
			want := append(frame(t, size)[20:], closing...)
			got, err := io.ReadAll(peer)
			if !bytes.Equal(got, want) || err != nil {
				t.Errorf("got %d bytes, %v; want %d, the last ones a Close frame", len(got), err, len(want))
			}
			if err := <-wrote; !errors.Is(err, errEnd) {
				t.Errorf("Write: %v, want the cause, behind the frame", err)
			}
			for range 2 {
				if err := <-read; !errors.Is(err, errEnd) {
					t.Errorf("Read: %v, want the cause", err)
				}
			}
			_ = peer.Close()
			w.over(t, 1)
		})
	}
}

// Abandon doesn't finish it, nor does an owner that gives up: the connection is
// cut inside of the frame, without Close.
func TestEndInAFrameThatIsNotFinished(t *testing.T) {
	const size = 16 << 20
	for _, way := range ways {
		for _, abandon := range []bool{true, false} {
			t.Run(way.name, func(t *testing.T) {
				w := newWatch()
				var c *wsconn.Conn
				var peer net.Conn
				wrote := make(chan error, 1)
				if abandon {
					c, peer, wrote = started(t, way.pair, w.options(), size)
				} else {
					var ours net.Conn
					ours, peer = way.pair(t)
					c = wsconn.New(ours, w.options())
					wrote <- second(c.Write(frame(t, 100)[:50]))
				}
				e := w.ending()
				e.Abandon = abandon
				c.End(e)
				if !abandon {
					_ = c.Close()
				}
				w.over(t, 1)
				if err := <-wrote; abandon && err == nil {
					t.Error("Write: no error")
				}
				got, err := io.ReadAll(peer)
				if err == nil || len(got) >= size || bytes.Contains(got, []byte("token_expired")) {
					t.Errorf("abandon %v: %d bytes, %v; want a part and a reset", abandon, len(got), err)
				}
			})
		}
	}
}

// With KeepReading the owner reads on until it closes; Close has been said by then.
func TestKeepReading(t *testing.T) {
	for _, way := range ways {
		t.Run(way.name, func(t *testing.T) {
			ours, peer := way.pair(t)
			w := newWatch()
			o := w.options()
			o.Early = []byte("early ")
			c := wsconn.New(ours, o)
			e := w.ending()
			e.KeepReading = true
			c.End(e)
			if got, err := io.ReadAll(peer); !bytes.Equal(got, closing) || err != nil {
				t.Fatalf("got %q, %v", got, err)
			}
			if _, err := io.WriteString(peer, "hello"); err != nil {
				t.Fatal(err)
			}
			got := make([]byte, len("early hello"))
			if _, err := io.ReadFull(c, got); err != nil || string(got) != "early hello" {
				t.Errorf("read %q, %v", got, err)
			}
			if err := c.Close(); err != nil {
				t.Errorf("Close: %v", err)
			}
			_ = peer.Close()
			w.over(t, 1)
		})
	}
}

// The first End counts, after Close it does nothing, and Close twice is an error.
func TestEndAndCloseInEachOrder(t *testing.T) {
	ours, peer := tcp(t)
	w := newWatch()
	c := wsconn.New(ours, w.options())
	c.End(w.ending())
	other := w.ending()
	other.Cause, other.Frame = io.ErrNoProgress, wsframe.AppendClose(nil, 1008, "other", nil)
	c.End(other)
	if got, err := io.ReadAll(peer); !bytes.Equal(got, closing) || err != nil {
		t.Errorf("End twice: got %q, %v", got, err)
	}
	_ = peer.Close()
	if _, err := c.Read(make([]byte, 1)); !errors.Is(err, errEnd) {
		t.Errorf("Read: %v, want the first cause", err)
	}
	if err1, err2 := c.Close(), c.Close(); err1 != nil || err2 != nil {
		t.Errorf("Close after End: %v, %v", err1, err2)
	}
	w.over(t, 2)

	ours, peer = tcp(t)
	w = newWatch()
	c = wsconn.New(ours, w.options())
	if err := c.Close(); err != nil {
		t.Error(err)
	}
	c.End(w.ending())
	if err := c.Close(); !errors.Is(err, net.ErrClosed) {
		t.Errorf("Close twice: %v, want ErrClosed", err)
	}
	if got, err := io.ReadAll(peer); len(got) > 0 || err != nil {
		t.Errorf("End after Close: got %q, %v", got, err)
	}
	w.over(t, 1)
}

// counted is a connection that counts how often a deadline is set to none.
type counted struct {
	net.Conn
	set atomic.Int32
}

func (c *counted) count(t time.Time) {
	if t.IsZero() {
		c.set.Add(1)
	}
}

func (c *counted) SetDeadline(t time.Time) error     { c.count(t); return c.Conn.SetDeadline(t) }
func (c *counted) SetReadDeadline(t time.Time) error { c.count(t); return c.Conn.SetReadDeadline(t) }

func (c *counted) SetWriteDeadline(t time.Time) error { c.count(t); return c.Conn.SetWriteDeadline(t) }

// The owner can't give itself more time after the end.
func TestDeadlinesAfterEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		pipe, peer := net.Pipe() // of which nobody reads
		ours := &counted{Conn: pipe}
		w := newWatch()
		c := wsconn.New(ours, w.options())
		_ = c.SetDeadline(time.Now().Add(time.Second))
		if _, err := c.Read(make([]byte, 1)); !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("Read: %v, want ErrDeadlineExceeded", err)
		}
		_ = c.SetDeadline(time.Time{})
		wrote := make(chan error)
		go func() { wrote <- second(c.Write(frame(t, 100))) }()
		synctest.Wait()
		begin := time.Now()
		e := w.ending()
		e.Grace = 3 * time.Second
		c.End(e)
		set := ours.set.Load()
		_, _, _ = c.SetDeadline(time.Time{}), c.SetReadDeadline(time.Time{}), c.SetWriteDeadline(time.Time{})
		if n := ours.set.Load() - set; n != 0 {
			t.Errorf("the owner set %d deadlines", n)
		}
		if err := <-wrote; !errors.Is(err, errEnd) {
			t.Errorf("Write: %v, want the cause", err)
		}
		w.over(t, 1)
		if took := time.Since(begin); took != 3*time.Second {
			t.Errorf("took %v, want 3s", took)
		}
		_ = peer.Close()
	})
}

// A head that the peer takes only a part of carries no Close frame behind it.
func TestEndInTheMiddleOfTheHead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ours, peer := net.Pipe()
		w := newWatch()
		o := w.options()
		o.Head = true
		c := wsconn.New(ours, o)
		wrote := make(chan error)
		go func() { wrote <- second(io.WriteString(c, head)) }()
		if _, err := io.ReadFull(peer, make([]byte, 10)); err != nil {
			t.Fatal(err)
		}
		e := w.ending()
		e.Abandon = true // cuts the write
		c.End(e)
		if err := <-wrote; !errors.Is(err, errEnd) {
			t.Errorf("Write: %v, want the cause", err)
		}
		if got, err := io.ReadAll(peer); len(got) > 0 || err != nil {
			t.Errorf("got %q, %v behind a part of the head", got, err)
		}
		w.over(t, 1)
		_ = peer.Close()
	})
}

// Early bytes come first, whole, in reads of any size, and not after the end.
func TestEarlyBytes(t *testing.T) {
	for _, size := range []int{1, 3, 7, 64} {
		ours, peer := net.Pipe()
		c := wsconn.New(ours, wsconn.Options{Early: []byte("early bytes")})
		go func() {
			_, _ = io.WriteString(peer, ", late bytes")
			_ = peer.Close()
		}()
		var got []byte
		for p := make([]byte, size); ; {
			n, err := c.Read(p)
			if got = append(got, p[:n]...); err != nil {
				break
			}
		}
		if string(got) != "early bytes, late bytes" {
			t.Errorf("reads of %d bytes: %q", size, got)
		}
		_ = c.Close()
	}
	ours, peer := tcp(t)
	w := newWatch()
	o := w.options()
	o.Early = []byte("early bytes")
	c := wsconn.New(ours, o)
	c.End(w.ending())
	if n, err := c.Read(make([]byte, 5)); n != 0 || !errors.Is(err, errEnd) {
		t.Errorf("Read after the end: %d, %v", n, err)
	}
	_ = peer.Close()
	w.over(t, 1)
}

// The answer's subprotocol is added where it is needed, however the head is cut,
// and nowhere else.
func TestEcho(t *testing.T) {
	with := strings.Replace(head, "\r\n\r\n", "\r\nSec-WebSocket-Protocol: bearer\r\n\r\n", 1)
	chat := strings.Replace(head, "\r\n\r\n", "\r\nsec-websocket-protocol: chat\r\n\r\n", 1)
	other := strings.Replace(head, "websocket", "other", 1)
	refusal := "HTTP/1.1 400 Bad Request\r\nUpgrade: websocket\r\nContent-Length: 4\r\n\r\n\r\n\r\n"
	for _, tt := range []struct{ name, echo, in, out string }{
		{"needed", "bearer", head, with},
		{"none configured", "", head, head},
		{"another one selected", "bearer", chat, chat},
		{"another upgrade", "bearer", other, other},
		{"refusal", "bearer", refusal, refusal},
		{"endless", "bearer", "HTTP/1.1 101 X\r\n" + strings.Repeat("A: b\r\n", 1<<14), "HTTP/1.1 101 X\r\n" + strings.Repeat("A: b\r\n", 1<<14)},
	} {
		for _, piece := range []int{1, 2, 5, 1 << 20} {
			if tt.name == "endless" && piece < 5 {
				continue
			}
			ours, peer := net.Pipe()
			c := wsconn.New(ours, wsconn.Options{Head: true, Echo: tt.echo})
			go func() {
				for in := tt.in + string(frame(t, 3)); len(in) > 0; {
					n := min(piece, len(in))
					if m, err := io.WriteString(c, in[:n]); m != n || err != nil {
						t.Errorf("%s: Write of %d bytes: %d, %v", tt.name, n, m, err)
						break
					}
					in = in[n:]
				}
				_ = c.Close()
			}()
			if got, _ := io.ReadAll(peer); string(got) != tt.out+string(frame(t, 3)) {
				t.Errorf("%s, pieces of %d bytes: got %.200q, want %.200q", tt.name, piece, got, tt.out)
			}
		}
	}
}

// Abort resets, in clear and in TLS.
func TestAbort(t *testing.T) {
	for _, way := range ways {
		ours, peer := way.pair(t)
		wsconn.Abort(ours)
		if _, err := io.ReadAll(peer); !errors.Is(err, syscall.ECONNRESET) {
			t.Errorf("%s: %v, want a reset", way.name, err)
		}
	}
}

// Promise 2: nothing is added to a frame that is abandoned.
func TestAbandonedFrameGetsNoByteMore(t *testing.T) {
	b := frame(t, 100)
	for range 300 {
		ours, peer := net.Pipe()
		w := newWatch()
		c := wsconn.New(ours, w.options())
		got := make(chan int)
		go func() {
			p, _ := io.ReadAll(peer)
			got <- len(p)
		}()
		if _, err := c.Write(b[:50]); err != nil {
			t.Fatal(err)
		}
		e := w.ending()
		e.Abandon = true
		c.End(e)
		if n, err := c.Write(b[50:]); n > 0 || !errors.Is(err, errEnd) {
			t.Fatalf("Write: %d, %v", n, err)
		}
		if n := <-got; n != 50 {
			t.Fatalf("the peer got %d bytes, want 50", n)
		}
		w.over(t, 1)
		_ = peer.Close()
	}
}
