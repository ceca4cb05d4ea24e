package faulttest_test

import (
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gobwas/ws"

	"github.com/portcullis-auth/portcullis/internal/faultproxy"
)

const (
	badPeers  = 50
	perSocket = 1 << 20 // what one of them may cost the gateway, in bytes
)

// peers are clients, or backends, that are no good.
var peers = []struct {
	name  string
	path  string
	does  func(*stuck, *client)
	times string // what a route says that ends them; "": nothing does but their session
	told  string // what the backend is told then; "": it doesn't listen
}{
	{"the client takes nothing", "/flood", func(*stuck, *client) {}, "stall: 1s", `Close 1008 "slow"`},
	{"the backend takes nothing", "/deaf", func(s *stuck, c *client) { pour(c, ws.MaskFrame(large()), &s.sent) }, "stall: 1s", ""},
	{"the client sends a byte now and then", "/", func(s *stuck, c *client) {
		s.drip(c, ws.MustCompileFrame(ws.MaskFrame(large())))
	}, "", ""},
	{"the client sends a byte now and then of a header", "/", func(s *stuck, c *client) {
		s.drip(c, []byte{0x82, 0xff, 0, 0, 0, 0, 0, 0, 0x40})
	}, "idle: 1s", `Close 1008 "idle"`},
	{"the client has vanished", "/", func(s *stuck, c *client) {
		s.vanish(c)
	}, "ping: 1s", `Close 1001 "ping_timeout"`},
}

// stuck are peers that are no good.
type stuck struct {
	t     testing.TB
	front *faultproxy.Proxy
	sent  atomic.Int64 // bytes, by all
	over  chan struct{}
	all   sync.WaitGroup
}

// drip sends the beginning of a frame, a byte now and then, and never the end.
func (s *stuck) drip(c *client, frame []byte) {
	for i := range len(frame) - 1 {
		n, err := c.Write(frame[i : i+1])
		if s.sent.Add(int64(n)); err != nil {
			return
		}
		select {
		case <-time.After(10 * time.Millisecond):
		case <-s.over:
			return
		}
	}
}

// vanish has nothing pass any more, either way, not even the client's end.
func (s *stuck) vanish(c *client) {
	for _, through := range s.front.Conns() {
		if from, _ := through.Addrs(); from.String() == c.LocalAddr().String() {
			through.Up.Set(faultproxy.Script{Fault: faultproxy.Drop})
			through.Down.Set(faultproxy.Script{Fault: faultproxy.Drop})
			return
		}
	}
	s.t.Error("a connection that isn't there")
}

// L1: bad peers are told apart from good ones by time, and end by themselves; where
// somebody still listens, he is told why.
func TestL1BadPeersEnd(t *testing.T) {
	for _, tt := range peers {
		t.Run(tt.name, func(t *testing.T) {
			if tt.times == "" {
				return
			}
			t.Parallel()
			s := open(t, sound(", "+tt.times))
			const n = 10
			newStuck(t, s, n, tt.path, fresh("", "good"), tt.does)
			s.wantNoSessions()
			for i := 0; i < n && tt.told != ""; i++ {
				select {
				case got := <-s.visited.ends:
					if got.Error() != tt.told {
						t.Errorf("the backend reads %v, want %s", got, tt.told)
					}
				case <-time.After(patience):
					t.Fatal("a backend's socket doesn't end")
				}
			}
		})
	}
}

// L1: fifty sockets whose one side is too slow, stuck or gone cost the gateway
// little memory, disturb nobody, and end when their session does.
func TestL1BadPeers(t *testing.T) {
	for _, tt := range peers {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			p := start(t, sound(""))
			good := p.socket("/", fresh("", "good"))
			good.wantEcho("before")
			before := p.resident()
			mallory := fresh("", "good")
			s := newStuck(t, p.street, badPeers, tt.path, mallory, tt.does)
			settled(t, func() int64 { return s.sent.Load() + p.visited.sent.Load() }, strings.Contains(tt.name, "takes nothing"))

			took := p.resident() - before
			t.Logf("%d KB for each of %d sockets", took/badPeers>>10, badPeers)
			if took > badPeers*perSocket {
				t.Errorf("%d sockets cost %d bytes of memory, more than 1 MiB each", badPeers, took)
			}
			good.wantEcho("meanwhile")
			if got := p.status("/", fresh("", "good"), false, true); got != http.StatusOK {
				t.Errorf("a call meanwhile: %d, want 200", got)
			}
			operator := newOperator(t)
			if err := p.revoke(operator, strings.TrimSuffix(mallory, "-good")); err != nil {
				t.Fatal(err)
			}
			p.wantSessions(operator, 1)
			good.wantEcho("after")
		})
	}
}

// sound is a configuration with one route, to the backend that nothing happens to.
func sound(times string) string {
	return `
verify:
  introspection: {url: "http://TOKENS/", client_id: gateway, client_secret_env: SECRET}
routes:
  - {path: /, backend: "http://SOUND"` + times + `}
`
}

// newStuck opens the sockets.
func newStuck(t testing.TB, p *street, n int, path, token string, does func(*stuck, *client)) *stuck {
	t.Helper()
	s := &stuck{t: t, front: &faultproxy.Proxy{Target: p.addr, Buffer: 64 << 10}, over: make(chan struct{})}
	if err := s.front.Listen(); err != nil {
		t.Fatal(err)
	}
	for range n {
		c := p.socketAt(s.front.Addr(), path, token)
		holdLittle(c.Conn)
		s.all.Go(func() { does(s, c) })
	}
	t.Cleanup(func() {
		close(s.over)
		s.front.Close()
		s.all.Wait()
	})
	return s
}

// settled waits until a count doesn't grow any more, if it comes to that, or else
// until it has grown.
func settled(t testing.TB, count func() int64, still bool) {
	t.Helper()
	last, since := int64(-1), time.Now()
	eventually(t, "nothing more passes", func() bool {
		now := count()
		if now != last {
			last, since = now, time.Now()
		}
		return !still || now > 0 && time.Since(since) > 500*time.Millisecond
	})
}

// wantSessions wants so many sessions to be left.
func (p *process) wantSessions(operator *http.Client, n int) {
	p.Helper()
	eventually(p, "the sessions end", func() bool {
		got, err := p.sessions(operator)
		if err != nil {
			p.Fatal(err)
		}
		return got == n
	})
}
