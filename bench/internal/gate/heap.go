package gate

import (
	"bytes"
	"regexp"
	"strconv"
)

// Live returns how many bytes of the heap were live at the last collection; 0:
// there was none. The gateway must have been started with GODEBUG=gctrace=1 in
// its environment. It isn't safe for concurrent use.
func (g *Gate) Live() (int, error) {
	log, err := g.LogSince(g.traced)
	if err != nil {
		return 0, err
	}
	mb, whole := live(log)
	if mb >= 0 {
		g.live = mb << 20
	}
	g.traced += int64(whole)
	return g.live, nil
}

// traced is what the runtime says of a collection: the heap at its begin, at its
// end, and what of it is live.
var traced = regexp.MustCompile(`[0-9]+->[0-9]+->([0-9]+) MB, `)

// live returns the last figure of whole lines, or -1, and how long those are.
func live(log []byte) (mb, whole int) {
	whole = bytes.LastIndexByte(log, '\n') + 1
	all := traced.FindAllSubmatch(log[:whole], -1)
	if len(all) == 0 {
		return -1, whole
	}
	mb, err := strconv.Atoi(string(all[len(all)-1][1]))
	if err != nil { // nobody has so much
		return -1, whole
	}
	return mb, whole
}
