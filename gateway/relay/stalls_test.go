package relay_test

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http/httptest"
	"os"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gobwas/ws"
	"pgregory.net/rapid"

	"github.com/portcullis-auth/portcullis"
	"github.com/portcullis-auth/portcullis/gateway/relay"
	"github.com/portcullis-auth/portcullis/internal/faultproxy"
	"github.com/portcullis-auth/portcullis/internal/wsconn"
)

// The sides of a socket, as indices.
const (
	client  = 0
	backend = 1
)

// A stream is what a side sends.
type stream struct {
	bytes []byte
	ends  []int // where its frames end, with 0
}

// A course is how a socket runs, as far as a test decides it.
type course struct {
	seed    uint64
	streams [2]stream // by sender
	pieces  [2]int    // how the senders' bytes are chopped
	stalls  [2][]faultproxy.Script
	ends    string        // "", "client" or "backend" vanishes, "revoked"
	last    int           // for "": the side that waits for the other one's end before it ends
	grace   time.Duration // less than patience: it may be over too soon
	stuck   bool          // the client's bytes are held until all is over
	rules   string        // "strict", "transparent" or "judged"

	// For "revoked": how many bytes of a side reach the relay before it, at most,
	// and for how many of them it waits if they come; else after how many the one
	// that vanishes does.
	at, await [2]int
}

// GoString keeps what a failing test prints short.
func (c course) GoString() string {
	return fmt.Sprintf("%s, seed %d, ends %q (last %d), grace %v, stuck %v; at %v, await %v, pieces %v; stalls of the client %+v, of the backend %+v; "+
		"the client's frames end at %v, the backend's at %v",
		c.rules, c.seed, c.ends, c.last, c.grace, c.stuck, c.at, c.await, c.pieces, c.stalls[client], c.stalls[backend], c.streams[client].ends, c.streams[backend].ends)
}

// drawStream draws frames as a peer may send them: messages in fragments, with
// control frames in between, and a Close frame at the end if closing.
func drawStream(t *rapid.T, seed uint64, masked, closing bool) (s stream) {
	random := rand.NewChaCha8([32]byte{byte(seed), byte(seed >> 8), byte(len(s.ends))})
	add := func(f ws.Frame) {
		if masked {
			var mask [4]byte
			_, _ = random.Read(mask[:])
			f = ws.MaskFrameInPlaceWith(f, mask)
		}
		s.bytes = append(s.bytes, ws.MustCompileFrame(f)...)
		s.ends = append(s.ends, len(s.bytes))
	}
	s.ends = []int{0}
	payload := func(n int) []byte {
		p := make([]byte, n)
		_, _ = random.Read(p)
		return p
	}
	size := rapid.OneOf(rapid.IntRange(0, 200), rapid.IntRange(0, 70_000), rapid.IntRange(0, 300<<10))
	for range rapid.IntRange(0, 4).Draw(t, "messages") {
		fragments := rapid.SampledFrom([]int{1, 1, 3}).Draw(t, "fragments")
		for i := range fragments {
			op := ws.OpContinuation
			if i == 0 {
				op = ws.OpBinary
			}
			add(ws.NewFrame(op, i == fragments-1, payload(size.Draw(t, "size"))))
			if rapid.Bool().Draw(t, "ping") {
				add(ws.NewFrame(ws.OpPing, true, payload(rapid.IntRange(0, 125).Draw(t, "ping size"))))
			}
		}
	}
	if closing {
		add(ws.NewCloseFrame(ws.NewCloseFrameBody(1000, "bye")))
	}
	return s
}

var drawCourse = rapid.Custom(func(t *rapid.T) course {
	c := course{
		seed:  rapid.Uint64().Draw(t, "seed"),
		ends:  rapid.SampledFrom([]string{"", "client", "backend", "revoked", "revoked", "revoked"}).Draw(t, "ends"),
		last:  rapid.IntRange(0, 1).Draw(t, "last"),
		rules: rapid.SampledFrom([]string{"strict", "transparent", "judged"}).Draw(t, "rules"),
		grace: patience,
	}
	closing := c.ends == "" && rapid.Bool().Draw(t, "closing")
	if c.ends == "revoked" && rapid.IntRange(0, 3).Draw(t, "short grace") == 0 {
		c.grace = time.Duration(rapid.IntRange(0, 20).Draw(t, "ms")) * time.Millisecond
		c.stuck = rapid.Bool().Draw(t, "stuck")
	} else if c.ends != "" && c.ends != "revoked" {
		c.grace = 100 * time.Millisecond
	}
	for side := range c.streams {
		c.streams[side] = drawStream(t, c.seed+uint64(side), side == client, closing)
		length := len(c.streams[side].bytes)
		c.at[side] = rapid.IntRange(0, length).Draw(t, "at")
		if rapid.IntRange(0, 3).Draw(t, "on a boundary") == 0 {
			c.at[side] = rapid.SampledFrom(c.streams[side].ends).Draw(t, "boundary")
		}
		c.await[side] = rapid.IntRange(0, c.at[side]).Draw(t, "await")
		c.pieces[side] = rapid.SampledFrom([]int{0, 1000, 40_000}).Draw(t, "pieces")
		for range rapid.IntRange(0, 3).Draw(t, "stalls") {
			c.stalls[side] = append(c.stalls[side], faultproxy.Script{
				Pieces: rapid.SampledFrom([]int{0, 1000, 40_000}).Draw(t, "pieces"),
				Fault:  rapid.SampledFrom([]faultproxy.Fault{faultproxy.Pass, faultproxy.Hold}).Draw(t, "fault"),
				At:     int64(rapid.IntRange(0, 300<<10).Draw(t, "stall at")),
			})
		}
	}
	return c
})

// A proxied socket has the fault proxy between each peer and the relay.
type proxied struct {
	course
	way
	proxy  *faultproxy.Proxy
	links  [2]*faultproxy.Conn
	sides  [2]relay.Side
	peers  [2]net.Conn
	base   [2]int64 // what had passed before the peers began
	guard  *portcullis.Guard
	engine *relay.Engine
	result chan relay.Result

	received [2]atomic.Int64  // how many bytes the peers have read
	over     [2]chan struct{} // closed when there are no more
	got      [2][]byte        // all of them
	err      [2]error         // how that ended; nil: as it should
	sendErr  [2]error         // why the peers could not send any more
}

// errStranger says that somebody else connected to a port that used to be
// somebody's.
var errStranger = errors.New("a stranger connected")

// connect connects both peers, and starts the relay.
func (c course) connect(w way) (*proxied, error) {
	const kernel = 64 << 10 // small, so that whoever writes gets stuck
	p := &proxied{course: c, way: w, result: make(chan relay.Result, 1), engine: &relay.Engine{Portable: w.portable}}
	p.over = [2]chan struct{}{make(chan struct{}), make(chan struct{})}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return p, err
	}
	defer l.Close()
	p.proxy = &faultproxy.Proxy{Target: l.Addr().String(), Seed: c.seed, Buffer: kernel}
	if err := p.proxy.Listen(); err != nil {
		return p, err
	}
	for side := range p.peers {
		nc, err := net.Dial("tcp", p.proxy.Addr())
		if err != nil {
			return p, err
		}
		p.peers[side] = nc
		ours, err := l.Accept()
		if err != nil {
			return p, err
		}
		p.sides[side].Conn = ours
		for _, nc := range []net.Conn{nc, ours} {
			_ = nc.(*net.TCPConn).SetReadBuffer(kernel)
			_ = nc.(*net.TCPConn).SetWriteBuffer(kernel)
		}
		_ = nc.SetDeadline(time.Now().Add(patience))
		if p.links[side], err = p.proxy.Conn(context.Background(), side); err != nil {
			return p, err
		}
		if from, seen := p.links[side].Addrs(); from.String() != nc.LocalAddr().String() || fmt.Sprint(seen) != ours.RemoteAddr().String() {
			return p, errStranger
		}
		if w.secure {
			server, peer := tls.Server(wsconn.ForTLS(ours), stallsTLS()), tls.Client(nc, &tls.Config{InsecureSkipVerify: true})
			shaken := make(chan error, 1)
			go func() { shaken <- server.Handshake() }()
			if err := errors.Join(peer.Handshake(), <-shaken); err != nil {
				return p, err
			}
			p.sides[side].Conn, p.peers[side] = server, peer
		}
		p.base[side], _ = p.links[side].Up.Count()
	}
	p.guard = &portcullis.Guard{Verifier: portcullis.VerifierFunc(func(context.Context, string) (*portcullis.Identity, error) {
		return &portcullis.Identity{Subject: "u", IssuedAt: time.Now(), ExpiresAt: time.Now().Add(time.Hour)}, nil
	})}
	r := asked()
	r.Header.Set("Authorization", "Bearer x")
	s, err := p.guard.Admit(r, &portcullis.Policy{})
	if err != nil {
		return p, err
	}
	rules := &relay.Rules{Grace: p.grace, UTF8: true, Transparent: p.rules == "transparent"}
	if p.rules == "judged" {
		rules.MaxMessage = 1 << 20
		rules.Judge = func(*portcullis.Session, bool, []byte) relay.Verdict { return relay.Pass }
	}
	p.engine.Start(s, p.sides[client], p.sides[backend], relay.Options{Rules: rules}, func(result relay.Result) {
		s.Close()
		p.result <- result
	})
	return p, nil
}

// stallsTLS has a certificate.
func stallsTLS() *tls.Config {
	s := httptest.NewUnstartedServer(nil)
	s.StartTLS()
	defer s.Close()
	return s.TLS
}

func (p *proxied) close() {
	p.engine.Close()
	for side, nc := range p.peers {
		if nc != nil {
			_ = nc.Close()
		}
		if nc := p.sides[side].Conn; nc != nil {
			_ = nc.Close()
		}
	}
	if p.proxy != nil {
		p.proxy.Close()
	}
}

// send sends the side's stream in writes of random sizes. The one that vanishes
// does that in the middle.
func (p *proxied) send(side int) {
	random := rand.New(rand.NewPCG(p.seed, uint64(side)))
	rest := p.streams[side].bytes
	vanishes := p.ends == [2]string{"client", "backend"}[side]
	if vanishes {
		rest = rest[:p.at[side]]
	}
	for len(rest) > 0 {
		n := min(len(rest), 1+random.IntN(50_000))
		if _, p.sendErr[side] = p.peers[side].Write(rest[:n]); p.sendErr[side] != nil {
			break
		}
		rest = rest[n:]
	}
	switch {
	case vanishes:
		_ = p.peers[side].Close()
	case p.ends == "":
		if side == p.last {
			<-p.over[side]
		}
		_ = p.peers[side].(interface{ CloseWrite() error }).CloseWrite()
	}
}

// receive reads to the end.
func (p *proxied) receive(side int) {
	defer close(p.over[side])
	r := bufio.NewReader(p.peers[side])
	for buf := make([]byte, 8<<10); p.err[side] == nil; {
		var n int
		n, p.err[side] = r.Read(buf)
		p.got[side] = append(p.got[side], buf[:n]...)
		p.received[side].Add(int64(n))
	}
	if p.err[side] == io.EOF { //nolint:errorlint // TLS wraps it where the end came too soon
		p.err[side] = nil
	}
}

// stall lets what a side gets stall, by one script after the other, and then
// no more.
func (p *proxied) stall(side int) {
	flow := &p.links[side].Down
	for _, script := range p.stalls[side] {
		flow.Set(script)
		brief(flow, script.At+1) // a script that holds is to hold for a moment
	}
	if !(p.stuck && side == client) {
		flow.Set(faultproxy.Script{})
	}
}

// brief waits a moment for bytes that may never come.
func brief(f *faultproxy.Flow, n int64) {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Millisecond)
	defer cancel()
	_ = f.Await(ctx, n)
}

// run plays the course, and says what was wrong.
func (c course) run(w way) error {
	p, err := c.connect(w)
	defer p.close()
	if errors.Is(err, errStranger) {
		return c.run(w)
	}
	if err != nil {
		return err
	}
	for side, link := range p.links {
		script := faultproxy.Script{Pieces: p.pieces[side]}
		if p.ends == "revoked" {
			script.Fault, script.At = faultproxy.Hold, p.base[side]+int64(p.at[side])
		}
		link.Up.Set(script)
		if p.stuck && side == client {
			_, sent := p.links[side].Down.Count()
			link.Down.Set(faultproxy.Script{Fault: faultproxy.Hold, At: sent})
		}
	}
	done := make(chan struct{})
	for side := range p.peers {
		go func() {
			sent, stalled := make(chan struct{}), make(chan struct{})
			go func() { defer close(sent); p.send(side) }()
			go func() { defer close(stalled); p.stall(side) }()
			p.receive(side)
			<-sent
			<-stalled
			_ = p.peers[side].Close()
			done <- struct{}{}
		}()
	}
	var least, most [2]int64 // what a side may have got when the revocation returned
	if p.ends == "revoked" {
		for side, link := range p.links {
			brief(&link.Up, p.base[side]+int64(p.await[side]))
		}
		least = [2]int64{p.received[client].Load(), p.received[backend].Load()}
		err = p.guard.Revoke(context.Background(), portcullis.Revocation{Subject: "u"})
		for side, link := range p.links {
			passed, _ := link.Up.Count()
			most[1-side] = min(int64(p.at[side]), passed-p.base[side]+4<<10) // with what was being passed on
			link.Up.Set(faultproxy.Script{})                                 // what comes now comes too late
		}
	}
	var result relay.Result
	select {
	case result = <-p.result:
	case <-time.After(patience):
		return errors.New("the relay doesn't end")
	}
	if p.stuck {
		p.links[client].Down.Set(faultproxy.Script{})
	}
	<-done
	<-done
	if err != nil {
		return err
	}
	switch p.ends {
	case "":
		return p.checkAll(result)
	case "revoked":
		return errors.Join(p.checkClient(result, least[client], most[client]), p.checkBackend(result, least[backend], most[backend]))
	}
	return p.checkPrefixes(result)
}

// Whatever stalls, and in whatever pieces: what a peer receives is what was
// sent, byte for byte; all of it, unless somebody ends it. A revocation lets
// the client have the frame that had begun and nothing behind it, and the
// backend nothing at all, and tells both (R2, promise 2).
//
// For each engine it plays 100 courses, or as many as -rapid.checks says, but
// begins none after three seconds, or what PORTCULLIS_STALLS says (as 10m).
func TestR2WhatIsReceivedIsWhatWasSent(t *testing.T) {
	budget := 3 * time.Second
	if given := os.Getenv("PORTCULLIS_STALLS"); given != "" {
		var err error
		if budget, err = time.ParseDuration(given); err != nil {
			t.Fatal(err)
		}
	}
	everyWay(t, func(t *testing.T, w way) {
		begin, failed := time.Now(), false
		rapid.Check(t, func(rt *rapid.T) {
			if !failed && time.Since(begin) > budget {
				return
			}
			if err := drawCourse.Draw(rt, "course").run(w); err != nil {
				failed = true // shrinking has all the time it needs
				rt.Fatal(err)
			}
		})
	})
}
