package portcullis

// End ends the live sessions whose current Identity match reports true for, and
// returns how many. cause is what they are told; it should wrap one of this
// package's errors: [ErrUnavailable] for those whose token system has been out
// of reach for too long. Unlike [Guard.Revoke] it is not remembered: the same
// tokens may come back. When End returns, no byte of these sessions passes any
// more. match must not call the Guard.
func (g *Guard) End(cause error, match func(*Identity) bool) int {
	ends := g.sessions.snapshot(func(s *Session) bool { return match(s.Identity()) })
	for _, s := range ends {
		s.end(cause)
	}
	g.sessions.settled()
	return len(ends)
}

// EndSession ends the live session that [Session.Handle] names, and reports
// whether there was one. cause is as for [Guard.End].
func (g *Guard) EndSession(handle string, cause error) bool {
	s := g.Session(handle)
	if s != nil {
		s.end(cause)
	}
	g.sessions.settled()
	return s != nil
}
