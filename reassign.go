package portcullis

// Reassign has every session live under the Policy that to returns for it, and
// returns how many it ended: for who changes the rules while sockets live. It
// concerns the sessions that are alive, and until the next Reassign each one
// that is admitted, so that none is left out whose admission had begun before.
//
// The rule of that Policy is asked at once, with the request as it was admitted
// and the current Identity; an error of its ends the session, as one of to does:
// it should wrap one of this package's. nil leaves the session under the Policy
// it has. to may be called concurrently, and must not call the Guard.
func (g *Guard) Reassign(to func(*Session) (*Policy, error)) int {
	g.assign.Store(&to)
	ended := 0
	for _, s := range g.sessions.snapshot(func(*Session) bool { return true }) {
		if s.reassign(to) != nil {
			ended++
		}
	}
	g.sessions.settled()
	return ended
}

func (s *Session) reassign(to func(*Session) (*Policy, error)) error {
	p, err := to(s)
	if err == nil && p != nil {
		s.policy.Store(p) // first: see stillAllowed
		err = p.allow(s.Request(), s.Identity())
	}
	if err != nil {
		s.end(err)
	}
	return err
}

// stillAllowed is called when the session has got another Identity, which the rule
// of p has allowed. If the session is under another Policy by now, the rule of that
// one may have been asked about the former Identity only.
func (s *Session) stillAllowed(p *Policy) error {
	now := s.Policy()
	if now == p {
		return nil
	}
	err := now.allow(s.Request(), s.Identity())
	if err != nil {
		s.end(err)
	}
	return err
}
