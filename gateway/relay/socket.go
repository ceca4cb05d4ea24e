package relay

import (
	"slices"
	"sync"

	"github.com/portcullis-auth/portcullis"
	"github.com/portcullis-auth/portcullis/internal/wsframe"
)

// A side is the client or the backend.
type side uint8

const (
	ofClient side = iota
	ofBackend
)

// A socket is what the engines have in common of one: what both sides send goes
// through sift, and its vigil says when it is too late for something.
type socket struct {
	session *portcullis.Session
	rules   *Rules
	meter   Meter
	done    func(Result)
	vigil   *vigil   // nil: there is nothing that it could be late for
	bye     *goodbye // nil: it isn't being ended

	// By who sends.
	inlets   [2]*inlet // nil: at rest, as nearly always
	messages [2]int64
	refused  [2]bool // nothing more may pass
	data     [2]bool // what passed last was data

	deflated bool // messages may be compressed
}

func newSocket(s *portcullis.Session, o Options, done func(Result)) socket {
	if o.Rules == nil {
		o.Rules = &strict
	}
	k := socket{session: s, rules: o.Rules, meter: o.Meter, done: done, deflated: o.deflated()}
	if o.unkept() {
		k.bye = alike(ErrRules, 1011, "internal_error").goodbye()
	}
	return k
}

// An inlet is where the frames of a side come in. Nil is one at rest: nothing is
// held, and what comes begins a message, or is a control frame.
type inlet struct {
	checker wsframe.Checker
	held    []byte // what has been read and can't be judged yet
}

// maxLead is how much of what is held is better copied in front of what is read
// than the other way round, in bytes: all of it, but where messages are held.
const maxLead = 131

// lead copies what is held to the front of buf, and returns how much that is: 0
// also if it is too much for that.
func (in *inlet) lead(buf []byte) int {
	if in == nil || len(in.held) > maxLead {
		return 0
	}
	return copy(buf, in.held)
}

// join returns what is held, and b behind it, which begins with that if led.
func (in *inlet) join(b []byte, led bool) []byte {
	switch {
	case in == nil, in.held == nil:
		return b
	case led:
		in.held = nil
		return b
	}
	in.held = append(in.held, b...)
	return in.held
}

// drop gives up what is held.
func (in *inlet) drop() {
	if in != nil {
		in.held = nil
	}
}

// keep holds the last bytes of data, which came from join.
func (in *inlet) keep(rest, data []byte) {
	switch {
	case len(rest) == 0 || in.checker.Closed():
		in.held = nil
	case in.held == nil || len(rest) < len(data):
		in.held = slices.Clone(rest)
	}
}

// sift returns what of data may go on, and keeps what can't be judged yet; data
// came from join, and what is returned may lie in it. fresh is how many of the
// bytes are new. An ending says that nothing behind what is returned goes on.
func (k *socket) sift(from side, data []byte, fresh int) (out []byte, why *ending) {
	var meter wsframe.Meter
	if from == ofClient && k.meter != nil {
		if err := k.meter.Bytes(fresh); err != nil {
			k.refused[from] = true
			return nil, refuse(from, err)
		}
		meter = k.meter
	}
	if k.rules.Transparent {
		k.data[from] = true
		return data, nil
	}
	var in inlet
	if was := k.inlets[from]; was != nil {
		in = *was
	}
	rules := k.rules.frames(from, k.deflated)
	messages, inside := in.checker.Messages(), !in.checker.AtBoundary()
	if rules.Whole {
		out, why = k.siftWhole(&in, data, &rules, meter)
	} else {
		n, err := in.checker.Check(data, &rules, meter)
		out = data[:n]
		in.keep(data[n:], data)
		if err != nil {
			why = refuse(from, err)
		}
	}
	began := in.checker.Messages() - messages
	k.messages[from] += began
	k.data[from] = inside || began > 0
	k.refused[from] = why != nil
	k.remember(from, &in)
	return out, why
}

// remember keeps what an inlet has become, if it isn't at rest.
func (k *socket) remember(from side, in *inlet) {
	switch {
	case in.held == nil && in.checker.AtRest():
		k.inlets[from] = nil
		return
	case k.inlets[from] == nil:
		k.inlets[from] = new(inlet)
	}
	*k.inlets[from] = *in
}

// siftWhole does it for a client whose messages are judged, one after the other.
func (k *socket) siftWhole(in *inlet, data []byte, r *wsframe.Rules, m wsframe.Meter) (out []byte, why *ending) {
	out = data[:0]
	rest := data
	for n := 1; n > 0 && why == nil; {
		var err error
		n, err = in.checker.Check(rest, r, m)
		if n > 0 {
			out, why = k.admit(out, rest[:n])
			rest = rest[n:]
		}
		if err != nil && why == nil {
			why = refuse(ofClient, err)
		}
	}
	in.keep(rest, data)
	return out, why
}

// payloads are for the messages that are being judged.
var payloads = sync.Pool{New: func() any { return new([]byte) }}

// maxPayload is how large a payload may be whose memory is used again.
const maxPayload = 64 << 10

// admit appends to out what may go on of frames, which Check has let pass: there
// is one message among them at most. What is appended may lie in out already, or
// behind it.
func (k *socket) admit(out, frames []byte) ([]byte, *ending) {
	buf := payloads.Get().(*[]byte)
	opcode, payload := wsframe.Payload((*buf)[:0], frames)
	if cap(payload) <= maxPayload {
		*buf = payload
		defer payloads.Put(buf)
	}
	if opcode == 0 {
		return wsframe.Controls(out, frames), nil
	}
	switch k.rules.Judge(k.session, opcode == opText, payload) {
	case Pass:
		return append(out, frames...), nil
	case Drop:
		return wsframe.Controls(out, frames), nil
	default:
		return out, alike(ErrForbidden, 1008, "forbidden")
	}
}

// opText is the opcode of text (RFC 6455, section 11.8).
const opText = 1

// result is what becomes of a socket that is over; aborted says so of the
// backend, which took and sent so many bytes.
func (k *socket) result(fromClient, fromBackend int64, aborted bool) Result {
	r := Result{
		Cause:               k.session.Err(),
		FromClient:          fromClient,
		FromBackend:         fromBackend,
		MessagesFromClient:  k.messages[ofClient],
		MessagesFromBackend: k.messages[ofBackend],
		BackendAborted:      aborted,
	}
	if k.bye != nil {
		r.Cause, r.Code, r.Reason = k.bye.cause, k.bye.client.code, k.bye.client.reason
	}
	return r
}
