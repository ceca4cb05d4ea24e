package relay

// patience lets the pair be closed when Grace is over.
func (p *pair) patience() {
	p.awake().patience(p.loop.now, p.rules.Grace)
	p.arm()
}

// arm sets the timer, unless it is early enough; late will set it again.
func (p *pair) arm() {
	at, _ := p.vigil.next(p.rules)
	if at == 0 || p.closed || p.timer.due != 0 && p.timer.due <= after(at) {
		return
	}
	p.loop.timers.set(p, p.loop.now, at)
}

// late does what the timer was set for, if it is time.
func (p *pair) late() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.bye != nil && !p.farewell.begun {
		p.sayGoodbye()
		return
	}
	if at, what := p.vigil.next(p.rules); at <= p.loop.now {
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
	p.arm()
}

// ping asks the client whether it is there, if its stream stands between two
// frames; else another time. One that has been told Close owes an answer anyway.
func (p *pair) ping() {
	to := &p.client
	switch {
	case to.closed() || to.shut:
		p.vigil.asked = p.loop.now
	case to.queue != nil || to.lost || to.broken || !to.atBoundary():
		p.vigil.heard = p.loop.now
	default:
		p.vigil.asked = p.loop.now
		p.sendOurs(to, ping)
	}
}

// sendOurs is send for what comes from nobody.
func (p *pair) sendOurs(to *peer, b []byte) {
	moved := to.moved
	p.send(to, b)
	to.moved = moved
	if to.queue != nil {
		to.queue.ours = true
	}
}
