package wsconn_test

import (
	"bytes"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http/httptest"
	"runtime"
	"strings"
	"testing"
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
	return securedOver(t, func(nc net.Conn) net.Conn { return nc })
}

// waitable does it with TLS over ForTLS.
func waitable(t testing.TB) (ours, peers net.Conn) {
	t.Helper()
	return securedOver(t, wsconn.ForTLS)
}

func securedOver(t testing.TB, below func(net.Conn) net.Conn) (ours, peers net.Conn) {
	t.Helper()
	s := httptest.NewTLSServer(nil) // for its certificate
	defer s.Close()
	ours, peers = tcp(t)
	server := tls.Server(below(ours), s.TLS.Clone())
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
}{{"TCP", tcp}, {"TCP in another type", named}, {"TLS", secured}, {"TLS over ForTLS", waitable}}

// named is a TCP connection of another type, as a listener may make them.
func named(t testing.TB) (ours, peers net.Conn) {
	t.Helper()
	ours, peers = tcp(t)
	return namedConn{ours.(*net.TCPConn)}, peers
}

type namedConn struct{ *net.TCPConn }

func (c namedConn) TCP() *net.TCPConn { return c.TCPConn }

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
			for range 20 {
				if _, err := c.Read(got); !errors.Is(err, errEnd) {
					t.Errorf("Read: %v, want the cause", err)
				}
			}
		})
	}
}
