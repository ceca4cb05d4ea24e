package wsconn_test

import (
	"bytes"
	"errors"
	"io"
	"net"
	"os"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/portcullis-auth/portcullis/internal/wsconn"
	"github.com/portcullis-auth/portcullis/internal/wsframe"
)

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
