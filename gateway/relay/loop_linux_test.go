package relay_test

import (
	"errors"
	"io"
	"net"
	"os"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/gobwas/ws"
	"golang.org/x/sys/unix"
	"pgregory.net/rapid"

	"github.com/portcullis-auth/portcullis/gateway/relay"
)

// descriptors returns how many this process has.
func descriptors(t *testing.T) int {
	t.Helper()
	list, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	return len(list)
}

// An idle socket in a loop costs two descriptors and no goroutine, before and
// after it has carried something; and it leaves neither behind.
func TestIdleSocketsHoldNoGoroutines(t *testing.T) {
	newLine(t, way{}, patience).quit() // whose loop stays
	const sockets = 50
	engine := new(relay.Engine)
	defer engine.Close()
	first := newLineIn(t, engine, patience)
	goroutines, open := runtime.NumGoroutine(), descriptors(t)
	var lines []*line
	for range sockets {
		lines = append(lines, newLineIn(t, engine, patience))
	}
	message := strings.Repeat("x", 16<<10)
	for range 2 {
		for _, l := range lines {
			l.client.send(t, masked(ws.OpText, message))
			l.backend.want(t, masked(ws.OpText, message))
			l.backend.send(t, plain(ws.OpText, message))
			l.client.want(t, plain(ws.OpText, message))
		}
		if n := runtime.NumGoroutine() - goroutines; n > 0 {
			t.Errorf("%d goroutines for %d sockets", n, sockets)
		}
		if n := descriptors(t) - open; n != 4*sockets { // two of the relay, and the peers' two
			t.Errorf("%d descriptors for %d sockets, want 4 each", n, sockets)
		}
	}
	for _, l := range lines {
		l.quit()
	}
	if n := descriptors(t) - open; n != 0 {
		t.Errorf("%d descriptors are left", n)
	}
	first.quit()
}

// What a backend said before it reset the connection reaches the client, though
// the client is still talking.
func TestBackendsLastWordsReachTheClientInALoop(t *testing.T) {
	for range 20 {
		l := newLine(t, way{}, 200*time.Millisecond)
		words := append(plain(ws.OpText, strings.Repeat("last words ", 10_000)), plain(ws.OpClose, "\x03\xe9")...)
		stop, stopped := make(chan struct{}), make(chan struct{})
		go func() {
			defer close(stopped)
			for {
				select {
				case <-stop:
					return
				default:
					_, _ = l.client.Write(masked(ws.OpText, "still talking"))
				}
			}
		}()
		l.backend.want(t, masked(ws.OpText, "still talking"))
		l.backend.send(t, words)
		_ = l.backend.Close() // with something unread: a reset
		l.client.want(t, words)
		if rest, err := io.ReadAll(l.client.r); len(rest) > 0 || err != nil {
			t.Errorf("then % x, err %v; want the end", rest, err)
		}
		close(stop)
		<-stopped
		_ = l.client.Close()
		l.wait()
	}
}

// A socket that never pauses doesn't keep others of its loop from theirs.
func TestNobodyTakesALoopForItself(t *testing.T) {
	engine := new(relay.Engine)
	defer engine.Close()
	var flooded []*line
	for range 8 { // for every loop there may be
		l := newLineIn(t, engine, patience)
		flooded = append(flooded, l)
		go func() { _, _ = io.Copy(io.Discard, l.backend.r) }()
		go func() {
			for b := masked(ws.OpBinary, strings.Repeat("x", 1<<20)); ; {
				if _, err := l.client.Write(b); err != nil {
					return
				}
			}
		}()
	}
	l := newLineIn(t, engine, patience)
	for range 100 {
		l.client.send(t, masked(ws.OpText, "hello"))
		l.backend.want(t, masked(ws.OpText, "hello"))
	}
	for _, l := range append(flooded, l) {
		l.quit()
	}
}

// An Engine that is closed cuts what it has, and who is told is told.
func TestCloseCutsSocketsInALoop(t *testing.T) {
	engine := new(relay.Engine)
	l := newLineIn(t, engine, patience)
	l.client.send(t, masked(ws.OpText, "hello"))
	l.backend.want(t, masked(ws.OpText, "hello"))
	engine.Close()
	for name, end := range map[string]*end{"client": l.client, "backend": l.backend} {
		if rest, err := io.ReadAll(end.r); err == nil {
			t.Errorf("the %s got % x and a proper end, want a reset", name, rest)
		}
	}
	l.wait()
	after := newLineIn(t, engine, patience) // with goroutines, as there is no loop any more
	after.client.send(t, masked(ws.OpText, "hello"))
	after.backend.want(t, masked(ws.OpText, "hello"))
	after.quit()
}

// The wheel agrees with a list of all timers about who is late when, give or
// take a tick, however far ahead they are.
func TestWheel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := relay.NewWheel()
		due := map[int]time.Duration{} // what is set, by pair
		var now time.Duration
		for range rapid.IntRange(1, 60).Draw(t, "steps") {
			switch i := rapid.IntRange(0, 9).Draw(t, "pair"); rapid.IntRange(0, 3).Draw(t, "act") {
			case 0, 1:
				d := time.Duration(rapid.Int64Range(0, int64(10*time.Second)).Draw(t, "in"))
				w.Set(i, now, d)
				due[i] = now + d
			case 2:
				w.Stop(i)
				delete(due, i)
			default:
				now += time.Duration(rapid.Int64Range(0, int64(12*time.Second)).Draw(t, "pause"))
				late := w.Advance(now)
				for i, at := range due {
					if late[i] {
						if now < at {
							t.Fatalf("at %v: pair %d is late, which is due at %v", now, i, at)
						}
						delete(due, i)
						delete(late, i)
					} else if now >= at+relay.Tick {
						t.Fatalf("at %v: pair %d isn't late, which was due at %v", now, i, at)
					}
				}
				if len(late) > 0 {
					t.Fatalf("late without a timer: %v", late)
				}
			}
			next, ok := w.Next()
			if ok != (len(due) > 0) {
				t.Fatalf("next: %v with %d timers", ok, len(due))
			}
			for i, at := range due {
				if ok && next > at+relay.Tick {
					t.Fatalf("next at %v, but pair %d is due at %v", next, i, at)
				}
			}
		}
	})
}

// R2: of what waits for a client that doesn't read, it gets the rest of the frame
// that had begun, and nothing of those behind it.
func TestR2WhatHadNotBegunIsDropped(t *testing.T) {
	engine := new(relay.Engine)
	defer engine.Close()
	l := newLineIn(t, engine, patience)
	frame := plain(ws.OpBinary, strings.Repeat("x", 1000-4))
	go func() {
		for {
			if _, err := l.backend.Write(frame); err != nil {
				return
			}
		}
	}()
	var taken int64
	var queued int
	got := 0
	for begin := time.Now(); ; runtime.Gosched() {
		if taken, queued = engine.Stuck(); time.Since(begin) > patience {
			t.Fatal("the client never got stuck")
		}
		if queued >= 10*len(frame) {
			break
		}
		if queued > 0 { // another time, it may be more
			l.client.want(t, frame)
			got += len(frame)
		}
	}
	l.revoke()
	for ; ; got += len(frame) {
		first, err := l.client.r.Peek(1)
		if err != nil {
			t.Fatal(err)
		}
		if first[0] == 0x88 { // Close
			if most := int(taken) + queued - 5*len(frame); got > most {
				t.Errorf("%d bytes, want %d at most", got, most)
			}
			break
		}
		l.client.want(t, frame)
	}
	l.client.wantClose(t, 3003, "session_revoked", false)
	_ = l.backend.Close()
	l.wait()
}

// A loop forgets a pair that has ended, also if many end at once.
func TestLoopForgetsWhoHasEnded(t *testing.T) {
	if kept := relay.InboxKeeps(1000); kept > 0 {
		t.Errorf("%d of 1000 are still in its memory", kept)
	}
}

// An event that is left over of somebody who had the descriptor before doesn't
// let bytes overtake those that came with the handshake.
func TestStaleEventsMoveNothing(t *testing.T) {
	client, err1 := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
	backend, err2 := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
	if err := errors.Join(err1, err2); err != nil {
		t.Fatal(err)
	}
	for _, fd := range append(client[:], backend[:]...) {
		defer func() { _ = unix.Close(fd) }()
	}
	if _, err := unix.Write(client[1], []byte("second")); err != nil {
		t.Fatal(err)
	}
	relay.HandleEarly(client[0], backend[0])
	got := make([]byte, 10)
	if n, err := unix.Read(client[0], got); err != nil || string(got[:n]) != "second" {
		t.Errorf("%q are left, %v; want all", got[:max(n, 0)], err)
	}
}

// A side that resets is noticed, also while the other one takes nothing, so that
// nobody reads from it.
func TestResetsAreNoticedBehindAQueue(t *testing.T) {
	for _, who := range []string{"client", "backend"} {
		l := newLine(t, way{}, 50*time.Millisecond)
		gone, flood := l.client, masked(ws.OpBinary, strings.Repeat("x", 1<<20))
		if who == "backend" {
			gone, flood = l.backend, plain(ws.OpBinary, strings.Repeat("x", 1<<20))
		}
		for err := error(nil); err == nil; {
			_ = gone.SetWriteDeadline(time.Now().Add(100 * time.Millisecond)) // until nothing moves
			_, err = gone.Write(flood)
		}
		_ = gone.Conn.(*net.TCPConn).SetLinger(0)
		_ = gone.Close()
		l.wait()
	}
}

// A claimed is a connection that says that it is TCP.
type claimed struct{ net.Conn }

func (c claimed) TCP() *net.TCPConn { return c.Conn.(*net.TCPConn) }

// What says that it is TCP is moved as TCP is.
func TestLoopTakesWhatIsTCP(t *testing.T) {
	engine := new(relay.Engine)
	defer engine.Close()
	l := newLineFor(t, engine, relay.Options{Rules: &relay.Rules{Grace: time.Second}}, func() (net.Conn, *end) {
		ours, peer := tcp(t, false)
		return claimed{ours}, peer
	})
	if n := engine.InLoops(); n != 1 {
		t.Errorf("%d sockets are in loops, want 1", n)
	}
	l.client.send(t, masked(ws.OpText, "hello"))
	l.backend.want(t, masked(ws.OpText, "hello"))
	l.quit()
}

// W5: when a client breaks a rule while its backend never pauses, nothing of the
// frame that the client is in gets lost on the way to the goodbye.
func TestW5EndInsideOfAFloodToTheClient(t *testing.T) {
	frame := plain(ws.OpBinary, strings.Repeat("z", 16<<20))
	for range 5 {
		l := newLine(t, way{}, patience)
		go func() { _, _ = l.backend.Write(frame) }()
		l.client.want(t, frame[:1<<20])
		l.client.send(t, plain(ws.OpText, "not masked"))
		l.client.want(t, frame[1<<20:])
		l.client.wantClose(t, 1002, "protocol_error", false)
		l.backend.wantClose(t, 1002, "protocol_error", true)
		l.wait()
	}
}
