package relay

import (
	"errors"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/portcullis-auth/portcullis/internal/wsconn"
	"github.com/portcullis-auth/portcullis/internal/wsframe"
)

// A duplex is the two sides of one socket, with a goroutine for each direction.
type duplex struct {
	socket  // vigil and bye are guarded by mu
	sides   [2]*wsconn.Conn
	beneath [2]net.Conn
	moved   [2]int64 // bytes of a side that the other one took
	begun   time.Time
	over    atomic.Bool    // bye is set
	moving  atomic.Int32   // how many directions go on
	open    sync.WaitGroup // the sides that aren't closed for good

	writing sync.Mutex       // held while the client is written to
	out     wsframe.Follower // where in a frame its stream is; guarded by writing, used if it is pinged
	lost    bool             // what it was sent are no frames

	mu    sync.Mutex // guards what follows
	timer *time.Timer
	due   time.Duration // when it fires; 0: never
	past  bool          // it is never to be set again
}

// start is Engine.Start with two goroutines a socket. Nothing is beneath up and
// down on their stacks, so that these stay as small as stacks are.
func start(k socket, client, backend Side) {
	p := &duplex{socket: k, beneath: [2]net.Conn{client.Conn, backend.Conn}, begun: time.Now()}
	p.moving.Store(2)
	p.open.Add(2)
	p.sides[ofClient] = wsconn.New(client.Conn, wsconn.Options{Early: client.Early, OnClosed: p.open.Done})
	p.sides[ofBackend] = wsconn.New(backend.Conn, wsconn.Options{Early: backend.Early, OnClosed: p.open.Done})
	p.mu.Lock()
	p.awake().begin(p.now())
	p.arm()
	if p.bye != nil {
		p.sayGoodbye()
	}
	p.mu.Unlock()
	p.session.OnEnd(p.sessionEnded)
	go p.up()
	go p.down()
}

// now is a time of the vigil.
func (p *duplex) now() time.Duration { return time.Since(p.begun) + 1 }

// left is called by each direction when it is over. The last one stays until
// the socket is over too.
func (p *duplex) left() {
	if p.moving.Add(-1) > 0 {
		return
	}
	p.close()
	p.open.Wait()
	p.mu.Lock()
	p.past = true
	if p.timer != nil {
		p.timer.Stop()
	}
	aborted := p.sides[ofBackend].Cut() || p.bye != nil && p.bye.toBackend == nil
	result := p.result(p.moved[ofClient], p.moved[ofBackend], aborted)
	p.mu.Unlock()
	p.done(result)
}

// sessionEnded ends both sides because authorization has ended.
func (p *duplex) sessionEnded(cause error) {
	code, reason := p.session.CloseStatus(cause)
	p.end(alike(cause, code, reason))
}

// end ends both sides, unless they are being ended already.
func (p *duplex) end(why *ending) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.bye == nil {
		p.bye = why.goodbye()
		p.sayGoodbye()
	}
}

// sayGoodbye ends both sides as bye says; mu is held.
func (p *duplex) sayGoodbye() {
	p.over.Store(true)
	for side, frame := range [2][]byte{p.bye.toClient, p.bye.toBackend} {
		if frame == nil {
			wsconn.Abort(p.beneath[side]) // nothing can be said on it any more
		}
	}
	p.sides[ofBackend].End(wsconn.Ending{
		Cause: p.bye.cause, Grace: p.rules.Grace,
		Frame:       p.bye.toBackend,
		Abandon:     true,
		KeepReading: true, // the client may be owed the rest of a frame
	})
	p.sides[ofClient].End(wsconn.Ending{
		Cause: p.bye.cause, Grace: p.rules.Grace,
		Frame:    p.bye.toClient,
		Silenced: func() { _ = p.sides[ofBackend].Close() }, // it is owed nothing more
	})
}

// up moves what the client sends.
func (p *duplex) up() {
	rerr, werr := p.move(ofClient)
	switch {
	case p.over.Load(): // the other direction may have a frame to finish
	case werr != nil: // the client is still to get what the backend said before it went
		p.patience()
		_, _ = io.Copy(io.Discard, p.sides[ofClient]) // unread, it would become a reset that overtakes that
	case errors.Is(rerr, io.EOF):
		p.finish(ofBackend)
	default:
		p.close()
	}
	p.left()
}

// down moves what the backend sends. A backend that resets the connection has
// ended it too.
func (p *duplex) down() {
	_, werr := p.move(ofBackend)
	if werr != nil || p.over.Load() {
		p.close()
	} else {
		p.finish(ofClient)
	}
	p.left()
}

// finish passes on to a side that nothing more comes; it has Grace to say what it
// has to say.
func (p *duplex) finish(to side) {
	if p.sides[to].CloseWrite() != nil {
		p.close()
		return
	}
	p.patience()
}

// move passes on what a side sends, as far as it keeps to the rules, until one of
// them fails or ends, and says which.
func (p *duplex) move(from side) (rerr, werr error) {
	var b *wsconn.Buffer
	for rerr == nil && werr == nil {
		var n int
		if b, n, rerr = p.sides[from].ReadLent(b); n == 0 {
			continue
		}
		out, why := p.came(from, b[:n])
		if len(out) > 0 {
			if from == ofBackend {
				p.writing.Lock()
			}
			p.stuck(ofBackend - from)
			n, werr = p.sides[ofBackend-from].Write(out)
			p.went(from, out[:n])
		}
		if why != nil {
			p.end(why)
			werr = why.cause
		}
	}
	b.Return()
	return rerr, werr
}

// came returns what of b, which was read from a side, is to be written now.
func (p *duplex) came(from side, b []byte) ([]byte, *ending) {
	out, why := p.sift(from, p.inlets[from].join(b, false), len(b))
	p.mu.Lock()
	defer p.mu.Unlock()
	p.vigil.note(from, p.data[from], p.now())
	return out, why
}

// stuck notes that a side is being written to.
func (p *duplex) stuck(to side) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.vigil.stuck[to] = p.now()
	p.arm()
}

// went notes that b, which a side has sent, was written, and gives up writing.
func (p *duplex) went(from side, b []byte) {
	p.moved[from] += int64(len(b))
	if from == ofBackend {
		if p.rules.Ping > 0 && p.out.Advance(b) != nil {
			p.lost = true
		}
		defer p.writing.Unlock() // else a ping could begin before unstuck
	}
	p.unstuck(ofBackend - from)
}

// unstuck notes that a side has taken what it was to get.
func (p *duplex) unstuck(to side) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.rules.Ping == 0 {
		p.vigil.unstuck(to, 0)
		return
	}
	p.vigil.unstuck(to, p.now())
	p.arm()
}

// patience lets the socket be closed when Grace is over.
func (p *duplex) patience() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.vigil.patience(p.now(), p.rules.Grace)
	p.arm()
}

// arm sets the timer, unless it is early enough; late will set it again. mu is
// held.
func (p *duplex) arm() {
	at, _ := p.vigil.next(p.rules)
	if at == 0 || p.past || p.bye != nil || p.due != 0 && p.due <= at {
		return
	}
	p.due = at
	d := at - p.now()
	if p.timer == nil {
		p.timer = time.AfterFunc(d, p.late)
		return
	}
	p.timer.Reset(d)
}

// late does what the timer was set for, if it is time.
func (p *duplex) late() {
	p.mu.Lock()
	p.due = 0
	now := p.now()
	at, what := p.vigil.next(p.rules)
	if at == 0 || at > now || p.bye != nil {
		what = nothing
	}
	switch what {
	case nothing:
		p.arm()
	case silent:
		p.vigil.heard = now - 1 // until it has been pinged, which is later
		p.arm()
	}
	p.mu.Unlock()
	switch what {
	case nothing:
	case all:
		p.close()
	case silent:
		p.ping()
	default:
		p.end(what.ending())
	}
}

// ping asks the client whether it is there, if nothing is being written to it and
// its stream stands between two frames; else another time. One that has been told
// Close owes an answer anyway.
func (p *duplex) ping() {
	if !p.writing.TryLock() {
		return
	}
	defer p.writing.Unlock()
	if p.lost || !p.out.AtBoundary() {
		return
	}
	p.mu.Lock()
	p.vigil.asked = p.now()
	p.vigil.stuck[ofClient] = p.vigil.asked
	p.arm()
	p.mu.Unlock()
	if !p.out.Closed() {
		_, _ = p.sides[ofClient].Write(ping) // whoever reads hears of an error too
	}
	p.unstuck(ofClient)
}

// close is for both sides; a side that is saying goodbye goes on with that, so the
// other one must have been ended too.
func (p *duplex) close() {
	p.mu.Lock()
	p.mu.Unlock() //nolint:staticcheck // whoever ends them both holds it
	_ = p.sides[ofClient].Close()
	_ = p.sides[ofBackend].Close()
}
