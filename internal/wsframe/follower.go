// Package wsframe reads a WebSocket's byte stream (RFC 6455, section 5), however
// it is cut, without buffering, changing or copying it. A [Follower] finds the
// frames' boundaries; a [Checker] also holds the frames to rules. Neither reads
// more than headers, unless text is to be checked. And it writes Close frames.
package wsframe

import "errors"

// ErrLength says that a frame's 64-bit length has its highest bit set, which
// RFC 6455, section 5.2 forbids. What follows can't be told apart any more.
var ErrLength = errors.New("frame length has its highest bit set")

// A Follower knows where in a frame a byte stream is. It judges nothing but a
// length that no frame can have. The zero value stands
// before the first byte of the first frame. It is not safe for concurrent use
// and allocates nothing.
type Follower struct {
	header  [maxHeader]byte
	have    uint8 // header bytes seen of a header that isn't complete
	closed  bool  // a Close frame has passed completely
	opcode  byte  // of the frame that the stream is in
	payload uint64
}

// AtBoundary reports whether the stream stands between two frames.
func (f *Follower) AtBoundary() bool { return f.have == 0 && f.payload == 0 }

// AtRest reports whether a zero Follower would do as well: the stream stands
// between two frames, and no Close frame has passed.
func (f *Follower) AtRest() bool { return f.AtBoundary() && !f.closed }

// Closed reports whether a whole Close frame has passed. Nothing may follow it
// (RFC 6455, section 5.5.1).
func (f *Follower) Closed() bool { return f.closed }

// Next consumes bytes of p up to the end of the frame that the stream is in,
// or all of p if the frame goes on behind it. From a boundary it goes to the
// end of the next frame. It returns how many bytes it consumed; after
// [ErrLength] the Follower must not be used any more.
func (f *Follower) Next(p []byte) (n int, err error) {
	if f.payload == 0 {
		h, ok := p, false
		if n, ok = header(p); !ok || f.have > 0 {
			if n, ok = f.gather(p); !ok {
				return n, nil
			}
			h = f.header[:]
		}
		f.opcode = h[0] & bitsOpcode
		f.payload = payloadLength(h)
		if f.payload>>63 != 0 {
			return n, ErrLength
		}
	}
	take := min(f.payload, uint64(len(p)-n))
	f.payload -= take
	n += int(take)
	if f.payload == 0 && f.opcode == opClose {
		f.closed = true
	}
	return n, nil
}

// Advance consumes all of p.
func (f *Follower) Advance(p []byte) error {
	for len(p) > 0 {
		n, err := f.Next(p)
		if err != nil {
			return err
		}
		p = p[n:]
	}
	return nil
}

// gather completes a header that comes in pieces, and reports whether it is
// whole. It returns how many bytes of p belong to it.
func (f *Follower) gather(p []byte) (n int, ok bool) {
	for need := 2; n < len(p); { // bytes that the header has at least
		f.header[f.have] = p[n]
		f.have++
		n++
		if f.have >= 2 {
			need = headerSize(f.header[1])
		}
		if int(f.have) == need {
			f.have = 0
			return n, true
		}
	}
	return n, false
}
