package relay_test

import (
	"bytes"
	"errors"
	"io"
	"net"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/iotest"
	"time"

	"github.com/gobwas/ws"

	"github.com/portcullis-auth/portcullis"
	"github.com/portcullis-auth/portcullis/gateway/relay"
	"github.com/portcullis-auth/portcullis/internal/wsconn"
)

// R2: between two frames both sides get a Close with code and reason, masked
// for the backend, and whatever they still send is dropped.
func TestR2EndBetweenFrames(t *testing.T) {
	everyWay(t, func(t *testing.T, w way) {
		l := newLine(t, w, patience)
		l.client.send(t, masked(ws.OpText, "hello"))
		l.backend.want(t, masked(ws.OpText, "hello"))
		l.revoke()
		l.client.send(t, masked(ws.OpText, "too late"))
		l.backend.send(t, plain(ws.OpText, "too late"))
		l.client.wantClose(t, 3003, "session_revoked", false)
		l.backend.wantClose(t, 3003, "session_revoked", true)
		if r := l.wait(); !errors.Is(r.Cause, portcullis.ErrRevoked) || r.BackendAborted {
			t.Errorf("result %+v", r)
		}
	})
}

// Promise 2: a frame to the client that had begun is finished.
func TestR2EndInsideOfAFrameToTheClient(t *testing.T) {
	everyWay(t, func(t *testing.T, w way) {
		l := newLine(t, w, patience)
		frame := plain(ws.OpBinary, strings.Repeat("z", 1<<20))
		l.backend.send(t, frame[:1000])
		l.client.want(t, frame[:1000])
		l.revoke()
		rest := append(bytes.Clone(frame[1000:]), plain(ws.OpText, "too late")...)
		go func() { _, _ = l.backend.Write(rest) }()
		l.client.want(t, frame[1000:])
		l.client.wantClose(t, 3003, "session_revoked", false)
		l.backend.wantClose(t, 3003, "session_revoked", true)
		if r := l.wait(); r.BackendAborted {
			t.Errorf("result %+v", r)
		}
	})
}

// The same while the client's own messages are stuck because the backend
// doesn't read: that the one direction fails must not cost the other its end.
func TestR2EndInsideOfAFrameToTheClientWhileTheBackendIsStuck(t *testing.T) {
	everyWay(t, func(t *testing.T, w way) {
		l := newLine(t, w, patience)
		frame := plain(ws.OpBinary, strings.Repeat("z", 1000))
		l.backend.send(t, frame[:500])
		l.client.want(t, frame[:500])
		for flood, err := masked(ws.OpBinary, strings.Repeat("x", 1<<20)), error(nil); err == nil; {
			_ = l.client.SetWriteDeadline(time.Now().Add(100 * time.Millisecond)) // until nothing moves
			_, err = l.client.Write(flood)
		}
		l.revoke()
		l.backend.send(t, frame[500:])
		l.client.want(t, frame[500:])
		l.client.wantClose(t, 3003, "session_revoked", false)
		_ = l.backend.Close()
		l.wait()
	})
}

// Promise 2: a frame to the backend that had begun is never finished; its
// connection is aborted.
func TestR2EndInsideOfAFrameToTheBackend(t *testing.T) {
	everyWay(t, func(t *testing.T, w way) {
		l := newLine(t, w, patience)
		frame := masked(ws.OpBinary, strings.Repeat("z", 1000))
		l.client.send(t, frame[:500])
		l.backend.want(t, frame[:500])
		l.revoke()
		l.client.send(t, frame[500:])
		l.client.wantClose(t, 3003, "session_revoked", false)
		if rest, err := io.ReadAll(l.backend.r); len(rest) > 0 || err == nil {
			t.Errorf("the backend got % x, err %v; want an error", rest, err)
		}
		if r := l.wait(); !r.BackendAborted {
			t.Errorf("result %+v", r)
		}
	})
}

// A backend that has got its Close frame wasn't aborted, however it takes that.
func TestR2BackendResetsAfterItsClose(t *testing.T) {
	everyWay(t, func(t *testing.T, w way) {
		l := newLine(t, w, patience)
		l.revoke()
		if f, err := ws.ReadFrame(l.backend.r); err != nil || f.Header.OpCode != ws.OpClose { //nolint:staticcheck // what it reads is ours, and small
			t.Errorf("%v, err %v; want Close", f.Header, err)
		}
		wsconn.Abort(l.backend.Conn)
		l.client.wantClose(t, 3003, "session_revoked", false)
		if r := l.wait(); r.BackendAborted {
			t.Errorf("result %+v", r)
		}
	})
}

// Whoever doesn't answer is cut when Grace is over.
func TestR2SilentPeersAreCut(t *testing.T) {
	everyWay(t, func(t *testing.T, w way) {
		l := newLine(t, w, 20*time.Millisecond)
		l.revoke()
		if r := l.wait(); !errors.Is(r.Cause, portcullis.ErrRevoked) {
			t.Errorf("result %+v", r)
		}
	})
}

// A side that vanishes takes the other one along.
func TestVanishingPeers(t *testing.T) {
	everyWay(t, func(t *testing.T, w way) {
		for _, who := range []string{"client", "backend"} {
			l := newLine(t, w, 20*time.Millisecond)
			gone, other := l.client, l.backend
			if who == "backend" {
				gone, other = other, gone
			}
			_ = gone.Close()
			if rest, _ := io.ReadAll(other.r); len(rest) > 0 {
				t.Errorf("%s gone: the other side got % x", who, rest)
			}
			l.wait()
		}
	})
}

// A dying conn can't be written to any more, but has something left to read.
type dying struct {
	net.Conn
	left   io.Reader
	failed chan struct{} // closed by the first Write
	closed chan struct{}
	once   [2]sync.Once
}

func (d *dying) Write([]byte) (int, error) {
	d.once[0].Do(func() { close(d.failed) })
	return 0, syscall.EPIPE
}

func (d *dying) Read(p []byte) (int, error) {
	<-d.failed
	select {
	case <-d.closed:
		return 0, net.ErrClosed
	case <-time.After(50 * time.Millisecond): // slow, as behind a client that reads slowly
		return d.left.Read(p)
	}
}

func (d *dying) Close() error {
	d.once[1].Do(func() { close(d.closed) })
	return d.Conn.Close()
}

// What a backend said before it went reaches the client, its Close frame above
// all, though the client is still talking; and so it is if the backend resets.
func TestBackendsLastWordsReachTheClient(t *testing.T) {
	words := append(plain(ws.OpText, "last words"), plain(ws.OpClose, "\x03\xe9")...)
	for name, end := range map[string]error{"ends": io.EOF, "resets": syscall.ECONNRESET} {
		t.Run(name, func(t *testing.T) {
			l := newLineOver(t, func(nc net.Conn) net.Conn {
				return &dying{
					Conn: nc, left: io.MultiReader(bytes.NewReader(words), iotest.ErrReader(end)),
					failed: make(chan struct{}), closed: make(chan struct{}),
				}
			})
			for range 100 {
				l.client.send(t, masked(ws.OpText, "still talking"))
			}
			l.client.want(t, words)
			if rest, err := io.ReadAll(l.client.r); len(rest) > 0 || err != nil {
				t.Errorf("then % x, err %v; want the end", rest, err)
			}
			l.client.send(t, masked(ws.OpText, "still talking"))
			_ = l.client.Close()
			l.wait()
		})
	}
}

// Whoever says Close first, both Close frames pass, also when the first one
// half-closes or goes on talking behind it, which nobody hears; and the relay
// ends.
func TestClosingHandshakes(t *testing.T) {
	everyWay(t, func(t *testing.T, w way) {
		for _, first := range []string{"client", "backend"} {
			l := newLine(t, w, 100*time.Millisecond)
			a, b := l.client, l.backend
			fromA, fromB := masked(ws.OpClose, "\x03\xe8"), plain(ws.OpClose, "\x03\xe8")
			if first == "backend" {
				a, b, fromA, fromB = b, a, fromB, fromA
			}
			a.send(t, append(fromA, "behind"...))
			if err := a.Conn.(interface{ CloseWrite() error }).CloseWrite(); err != nil {
				t.Fatal(err)
			}
			b.want(t, fromA)
			if rest, err := io.ReadAll(b.r); len(rest) > 0 || err != nil {
				t.Errorf("behind the Close frame: % x, err %v", rest, err)
			}
			b.send(t, fromB)
			_ = b.Close()
			a.want(t, fromB)
			_ = a.Close()
			l.wait()
		}
	})
}

// A message of any size passes, and whoever doesn't read is waited for, not
// buffered for.
func TestSlowReadersAreNotBufferedFor(t *testing.T) {
	everyWay(t, func(t *testing.T, w way) {
		const size = 16 << 20
		l := newLine(t, w, time.Second)
		frame := plain(ws.OpBinary, strings.Repeat("z", size))
		var before, after runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&before)
		sent := make(chan error, 1)
		go func() { _, err := l.backend.Write(frame); sent <- err }()
		if _, err := l.client.r.Peek(1); err != nil {
			t.Fatal(err)
		}
		runtime.GC()
		runtime.ReadMemStats(&after)
		if grown := int64(after.HeapAlloc) - int64(before.HeapAlloc); grown > size/4 {
			t.Errorf("%d bytes more are in memory", grown)
		}
		l.client.want(t, frame)
		if err := <-sent; err != nil {
			t.Error(err)
		}
		_ = l.client.Close()
		_ = l.backend.Close()
		if r := l.wait(); r.FromBackend != size+10 {
			t.Errorf("%d bytes, want %d", r.FromBackend, size+10)
		}
	})
}

// W5: what a client is owed at the end of an authorization keeps to the rules too.
func TestW5TextIsJudgedToTheEnd(t *testing.T) {
	everyWay(t, func(t *testing.T, w way) {
		l := newLineWith(t, w, relay.Options{Rules: &relay.Rules{UTF8: true, Grace: patience}})
		frame := plain(ws.OpText, strings.Repeat("x", 500)+"\xff"+strings.Repeat("x", 500))
		l.backend.send(t, frame[:300])
		l.client.want(t, frame[:300])
		l.revoke()
		l.backend.send(t, frame[300:])
		cut(t, l.client, frame[300:])
		l.backend.wantClose(t, 3003, "session_revoked", true)
		if r := l.wait(); !errors.Is(r.Cause, portcullis.ErrRevoked) {
			t.Errorf("result %+v", r)
		}
	})
}

// L1: nothing is kept of what is said behind a Close frame, nor of what is dropped
// at the end.
func TestL1NothingIsHeldBehindTheEnd(t *testing.T) {
	everyWay(t, func(t *testing.T, w way) {
		const size = 16 << 20
		frame := masked(ws.OpBinary, strings.Repeat("z", size))
		for name, end := range map[string]func(l *line){
			"close": func(l *line) {
				l.client.send(t, masked(ws.OpClose, ""))
				l.backend.want(t, masked(ws.OpClose, ""))
			},
			"revocation": func(l *line) {
				l.client.send(t, append(masked(ws.OpText, "hello"), frame[:1000]...)) // which is held
				l.backend.want(t, masked(ws.OpText, "hello"))
				l.revoke()
				l.client.wantClose2(t, 3003, "session_revoked", false)
			},
		} {
			t.Run(name, func(t *testing.T) {
				pass := func(*portcullis.Session, bool, []byte) relay.Verdict { return relay.Pass }
				l := newLineWith(t, w, relay.Options{Rules: &relay.Rules{Grace: patience, Judge: pass, MaxMessage: 1 << 30}})
				end(l)
				var before, after runtime.MemStats
				runtime.GC()
				runtime.ReadMemStats(&before)
				l.client.send(t, frame)
				runtime.GC()
				runtime.ReadMemStats(&after)
				if grown := int64(after.HeapAlloc) - int64(before.HeapAlloc); grown > size/4 {
					t.Errorf("%d bytes more are in memory", grown)
				}
				runtime.KeepAlive(frame)
				l.quit()
			})
		}
	})
}
