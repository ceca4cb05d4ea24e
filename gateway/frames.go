package gateway

import (
	"github.com/portcullis-auth/portcullis"
	"github.com/portcullis-auth/portcullis/gateway/config"
	"github.com/portcullis-auth/portcullis/gateway/relay"
)

// newFrames returns how the frames of a route's sockets are treated.
func (g *gate) newFrames(c *config.Route) relay.Rules {
	return relay.Rules{
		Grace:        g.config.Grace,
		Transparent:  c.Frames == "transparent",
		UTF8:         c.UTF8,
		MaxMessage:   int64(c.Limits.MessageSize),
		MaxFragments: int(c.Limits.Fragments),
		Idle:         c.Idle,
		Ping:         c.Ping,
		Stall:        c.Stall,
		Judge:        judge(c.Messages),
	}
}

// readsHeaders reports whether a rule of the route looks at the handshake's
// header while a socket lives.
func (rt *route) readsHeaders() bool {
	return rt.Allow != nil && rt.Allow.ReadsHeaders() || rt.Messages != nil && rt.Messages.Allow.ReadsHeaders()
}

// judge returns a route's rule for messages; nil: it has none.
func judge(c *config.Messages) relay.Judge {
	if c == nil {
		return nil
	}
	otherwise := relay.End
	if c.Otherwise == "drop" {
		otherwise = relay.Drop
	}
	return func(s *portcullis.Session, text bool, payload []byte) relay.Verdict {
		if ok, err := c.Allow.Judge(s, text, payload); !ok || err != nil {
			return otherwise
		}
		return relay.Pass
	}
}
