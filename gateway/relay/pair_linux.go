package relay

import (
	"sync"

	"golang.org/x/sys/unix"

	"github.com/portcullis-auth/portcullis/internal/wsframe"
)

// A pair is the two sides of one socket in a loop. Only the loop's goroutine
// touches it, but for watch and sessionEnded.
type pair struct {
	loop *loop
	socket
	client, backend peer
	timer           timer

	mu        sync.Mutex // guards watched and socket.bye; held while bytes pass
	watched   bool       // by the loop
	listed    bool       // in loop.ready
	postponed bool       // in loop.tails
	closed    bool
	farewell  farewell
}

// A peer is one side of a pair.
type peer struct {
	out   *wsframe.Follower // where in a frame the peer's stream is; nil: at rest, as nearly always
	queue *block            // what the peer is still to get; nil: nothing, as nearly always
	moved int64             // bytes that the peer took from the other one
	fd    int               // -1: closed

	readable bool // there may be something to read
	hup      bool // there is an end, or an error, behind what is to be read
	failed   bool // it is an error
	eof      bool // nothing more comes
	broken   bool // it takes nothing more
	lost     bool // what it was sent are no frames: none can be added
	shutting bool // its stream ends behind the queue
	shut     bool // its stream has been ended
	cut      bool // it was not told goodbye
}

// A block holds what a peer couldn't take.
type block struct {
	rest []byte
	ours bool // it came from nobody
	buf  [readSize]byte
}

// begin passes on what came with the handshakes, and has the pair watched.
func (p *pair) begin(client, backend []byte) {
	p.mu.Lock()
	if p.rules.timed() {
		p.awake().begin(p.loop.now)
	}
	p.pass(&p.client, client, len(client))
	p.pass(&p.backend, backend, len(backend))
	p.arm()
	p.mu.Unlock()
	if !p.watch() {
		p.abort()
	}
}

// watch has the loop hear of what happens to the pair. It reports false if that
// can't be. Unlike all else it may be called by any goroutine.
func (p *pair) watch() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, fd := range []int{p.client.fd, p.backend.fd} {
		if fd < 0 { // it is over already
			continue
		}
		e := unix.EpollEvent{Events: unix.EPOLLIN | unix.EPOLLOUT | unix.EPOLLRDHUP | unix.EPOLLET, Fd: int32(fd)}
		if err := unix.EpollCtl(p.loop.epoll, unix.EPOLL_CTL_ADD, fd, &e); err != nil {
			_ = unix.EpollCtl(p.loop.epoll, unix.EPOLL_CTL_DEL, p.client.fd, nil) // so that another try may do
			return false
		}
	}
	p.watched = true
	if p.bye != nil {
		p.loop.end(p)
	}
	return true
}

// handle does what an event of fd asks for, and whatever else there is to do;
// -1 is no event.
func (p *pair) handle(fd int, events uint32) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.watched { // an event of somebody else's, who had the descriptor before
		return
	}
	switch fd {
	case p.client.fd:
		p.client.noted(events)
	case p.backend.fd:
		p.backend.noted(events)
	}
	switch {
	case p.bye == nil:
		p.work()
		if p.bye == nil {
			p.unheard()
		}
	case p.farewell.begun:
		p.loop.postpone(p)
	}
}

// work does what there is to do.
func (p *pair) work() {
	p.flush(&p.client)
	p.flush(&p.backend)
	p.move(&p.client)
	p.move(&p.backend)
}

// unheard is for a side that has gone, which nobody notices who doesn't read from
// it, because the other side takes nothing.
func (p *pair) unheard() {
	switch {
	case p.client.failed && p.backend.queue != nil:
		p.close()
	case p.backend.failed && p.client.queue != nil:
		p.patience()
	}
}

func (side *peer) noted(events uint32) {
	if events&^unix.EPOLLOUT != 0 {
		side.readable = true
	}
	if events&^(unix.EPOLLOUT|unix.EPOLLIN) != 0 {
		side.hup = true
	}
	if events&unix.EPOLLERR != 0 {
		side.failed = true
	}
}

// which returns which side a peer is, and the other side's.
func (p *pair) which(of *peer) (side, *peer) {
	if of == &p.client {
		return ofClient, &p.backend
	}
	return ofBackend, &p.client
}

// move passes on what there is to read from a side, but no more than is its
// turn. It reads nothing that the other side has no room for, nor between the end
// and the goodbye: what comes then may belong to a frame that is to be finished.
func (p *pair) move(from *peer) {
	which, to := p.which(from)
	for range burst {
		if !from.readable || from.eof || from.fd < 0 || to.queue != nil || p.bye != nil && !p.farewell.begun {
			return
		}
		in, buf := p.inlets[which], p.loop.buf[:]
		lead := in.lead(buf)
		n, err := read(from.fd, buf[lead:])
		switch {
		case err == unix.EAGAIN: //nolint:errorlint // an Errno as it is
			from.readable, from.hup, from.failed = false, false, false
			return
		case n == 0:
			from.readable, from.eof = false, true
			p.readEnded(from, err)
			return
		}
		if n < len(buf)-lead && !from.hup { // there is no more, or an event will tell
			from.readable = false
		}
		p.pass(from, in.join(buf[:lead+n], lead > 0), n)
	}
	if from.readable && !p.listed {
		p.listed = true
		p.loop.ready = append(p.loop.ready, p)
	}
}

// pass passes on what was read from a side, of which so many bytes are fresh:
// until the end all that keeps to the rules, and then what belongs to a frame that
// the client has begun to get. All else is dropped.
func (p *pair) pass(from *peer, b []byte, fresh int) {
	which, to := p.which(from)
	gone := to.broken || to.fd < 0
	switch {
	case len(b) == 0:
	case !gone && p.bye == nil:
		b, why := p.sift(which, b, fresh)
		p.vigil.note(which, p.data[which], p.loop.now)
		p.send(to, b)
		if why != nil {
			p.end(why)
		}
	case !gone && p.farewell.finishing && to == &p.client:
		b, _ = p.sift(which, to.frame(b), fresh)
		p.send(to, b)
		p.finish()
		p.check()
	default:
		p.inlets[which].drop()
	}
}

// frame returns what of b belongs to the frame that the peer's stream is in.
func (side *peer) frame(b []byte) []byte {
	if side.atBoundary() {
		return nil
	}
	ahead := *side.out
	n, _ := ahead.Next(b)
	return b[:n]
}

// send writes b, and keeps what the peer can't take now. Nothing may be queued.
func (p *pair) send(to *peer, b []byte) {
	if len(b) == 0 {
		return
	}
	n, err := write(to.fd, b)
	to.moved += int64(n)
	to.took(b[:n])
	switch {
	case n == len(b):
	case err != nil && err != unix.EAGAIN: //nolint:errorlint // an Errno as it is
		p.writeFailed(to)
	default:
		to.queue = p.loop.block(b[n:])
		which, _ := p.which(to)
		p.awake().stuck[which] = p.loop.now
		p.arm()
	}
}

// took follows what has been written.
func (side *peer) took(b []byte) {
	var out wsframe.Follower
	if side.out != nil {
		out = *side.out
	}
	if out.Advance(b) != nil {
		side.lost = true
	}
	switch {
	case out.AtRest():
		side.out = nil
		return
	case side.out == nil:
		side.out = new(wsframe.Follower)
	}
	*side.out = out
}

func (side *peer) atBoundary() bool { return side.out == nil || side.out.AtBoundary() }

// closed reports whether the peer has got a Close frame.
func (side *peer) closed() bool { return side.out != nil && side.out.Closed() }

// flush writes what is queued, as far as the peer takes it.
func (p *pair) flush(to *peer) {
	for to.queue != nil {
		n, err := write(to.fd, to.queue.rest)
		if !to.queue.ours {
			to.moved += int64(n)
		}
		to.took(to.queue.rest[:n])
		to.queue.rest = to.queue.rest[n:]
		switch {
		case err == unix.EAGAIN: //nolint:errorlint // an Errno as it is
			return
		case err != nil:
			p.writeFailed(to)
			return
		case len(to.queue.rest) == 0:
			p.drop(to)
			p.flushed(to)
		}
	}
}

// flushed goes on with what waited for the queue to be empty.
func (p *pair) flushed(to *peer) {
	switch {
	case to.shutting:
		p.shut(to)
	case p.farewell.finishing && to == &p.client:
		p.finish()
	}
	p.check()
}

// drop forgets what is queued.
func (p *pair) drop(to *peer) {
	if to.queue != nil {
		p.loop.unblock(to.queue)
		to.queue = nil
		which, _ := p.which(to)
		if p.vigil.unstuck(which, p.loop.now); !p.rules.timed() && p.vigil.over() {
			p.vigil = nil
		}
		p.arm()
	}
}

// readEnded is for a side that says nothing more. A backend that resets the
// connection has ended it too.
func (p *pair) readEnded(from *peer, err error) {
	from.broken = from.broken || err != nil
	switch {
	case p.bye != nil:
	case err != nil && from == &p.client:
		p.close()
	default: // the other one has Grace to say what it has to say
		_, to := p.which(from)
		p.shut(to)
		p.patience()
	}
	p.check()
}

// writeFailed is for a side that takes nothing more. The client is still to get
// what the backend said before it went; what the client says meanwhile is read
// and dropped: unread, it would become a reset that overtakes that.
func (p *pair) writeFailed(to *peer) {
	to.broken = true
	p.drop(to)
	switch {
	case p.bye != nil:
	case to == &p.client:
		p.close()
	default:
		p.patience()
	}
	p.check()
}

// shut ends the stream to a side, behind what is queued for it.
func (p *pair) shut(to *peer) {
	to.shutting = true
	if to.queue != nil || to.shut || to.fd < 0 {
		return
	}
	to.shut = true
	if unix.Shutdown(to.fd, unix.SHUT_WR) != nil {
		to.broken = true
	}
}

// check closes what nothing is left to do for.
func (p *pair) check() {
	switch {
	case p.bye != nil:
		p.checkGoodbye()
	case p.client.eof && p.backend.eof && p.client.queue == nil && p.backend.queue == nil:
		p.close()
	}
}

// abort is for a pair of a loop that ends.
func (p *pair) abort() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.client.cut, p.backend.cut = true, true
	p.close()
}

// close closes both sides. One that was to be told goodbye, and wasn't, sees
// that it is cut.
func (p *pair) close() {
	if p.closed {
		return
	}
	p.closeSide(&p.client)
	p.closeSide(&p.backend)
	p.closed = true
	p.loop.timers.stop(p)
	go p.done(p.result(p.backend.moved, p.client.moved, p.bye != nil && p.backend.cut)) // it is somebody else's: it may block
}

func (p *pair) closeSide(side *peer) {
	if side.fd < 0 {
		return
	}
	if told := side.shutting && side.queue == nil; p.bye != nil && !told {
		side.cut = true
	}
	if side.cut { // with a reset
		_ = unix.SetsockoptLinger(side.fd, unix.SOL_SOCKET, unix.SO_LINGER, &unix.Linger{Onoff: 1})
	}
	p.drop(side)
	p.loop.remove(side.fd)
	_ = unix.Close(side.fd)
	side.fd = -1
}

// sessionEnded ends both sides because authorization has ended. When it returns,
// nothing more passes; the goodbye waits for its turn.
func (p *pair) sessionEnded(cause error) {
	code, reason := p.session.CloseStatus(cause)
	p.mu.Lock()
	defer p.mu.Unlock()
	p.end(alike(cause, code, reason))
}

// end has both sides be told goodbye, unless they are already.
func (p *pair) end(why *ending) {
	if p.bye != nil {
		return
	}
	p.bye = why.goodbye()
	if p.watched { // else watch will see it
		p.loop.end(p)
	}
}
