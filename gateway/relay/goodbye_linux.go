package relay

// A farewell is how far the goodbye of a pair is.
type farewell struct {
	begun     bool
	finishing bool // the client is to get the rest of a frame
	silenced  bool // the client gets nothing more: the backend may go
}

// goodbye is the pair's turn to say it.
func (p *pair) goodbye() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.sayGoodbye()
}

// tail is the turn of a pair that has said it. Only now the streams end: for the
// price of that, another one has its Close frame on the wire.
func (p *pair) tail() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.work()
	for _, side := range []*peer{&p.client, &p.backend} {
		if side.shutting && !side.broken {
			p.shut(side)
		}
	}
	p.check()
}

// sayGoodbye ends both sides, once. What is queued and had not begun is dropped.
func (p *pair) sayGoodbye() {
	if p.farewell.begun || p.closed {
		return
	}
	p.farewell.begun = true
	now := p.loop.clock()
	p.awake().until = now + p.rules.Grace
	p.loop.timers.set(p, now, p.vigil.until)

	p.drop(&p.backend)
	p.sayClose(&p.backend, p.bye.toBackend)

	client := &p.client
	if p.bye.toClient == nil {
		client.broken = true
		p.drop(client)
	}
	if p.bye.toBackend == nil {
		p.refused[ofBackend] = true
	}
	if client.queue != nil {
		if client.queue.rest = client.frame(client.queue.rest); len(client.queue.rest) == 0 {
			p.drop(client)
		}
	}
	p.farewell.finishing = !client.lost && !client.broken && !client.shut
	p.finish()
	p.check()
	p.loop.postpone(p)
}

// finish tells the client goodbye, if its stream stands between two frames.
func (p *pair) finish() {
	client := &p.client
	if client.queue != nil || p.farewell.finishing && !client.lost && !client.atBoundary() {
		return
	}
	p.farewell.finishing, p.farewell.silenced = false, true
	p.sayClose(client, p.bye.toClient)
}

// sayClose sends the Close frame, unless the other side has sent one; the stream is
// to end behind it. A stream inside of a frame gets neither, nor does one that is
// to be cut.
func (p *pair) sayClose(to *peer, frame []byte) {
	if frame == nil || to.lost || to.broken || to.fd < 0 || !to.shut && !to.atBoundary() {
		to.cut = true
		return
	}
	if !to.closed() && !to.shut {
		p.sendOurs(to, frame)
	}
	to.shutting = to.shutting || !to.broken
}

// checkGoodbye closes the sides that have nothing more to expect.
func (p *pair) checkGoodbye() {
	client, backend := &p.client, &p.backend
	if p.farewell.finishing && client.queue == nil && (backend.eof || client.broken || p.refused[ofBackend]) { // the rest will never come
		p.farewell.finishing, p.farewell.silenced = false, true
		client.cut = true
	}
	if p.farewell.silenced && over(client) {
		p.closeSide(client)
	}
	if p.farewell.silenced && over(backend) {
		p.closeSide(backend)
	}
	if client.fd < 0 && backend.fd < 0 {
		p.close()
	}
}

// over reports whether a side is to be closed: it has been told, and has closed
// too; or it can't be told.
func over(side *peer) bool {
	return side.cut || side.broken || side.shut && side.eof
}
