// Package wsframe finds frame boundaries in a WebSocket's byte stream
// (RFC 6455, section 5.2) without buffering, unmasking or copying it, and
// writes Close frames.
//
// It reads headers only. It doesn't judge them, except for a length that no
// frame can have: rules about frames belong to whoever forwards them.
package wsframe

import (
	"encoding/binary"
	"errors"
)

// ErrLength says that a frame's 64-bit length has its highest bit set, which
// RFC 6455, section 5.2 forbids. What follows can't be told apart any more.
var ErrLength = errors.New("frame length has its highest bit set")

// opClose is the Close frame's opcode.
const opClose = 0x8

// maxHeader is the longest header: 2 bytes, a 64-bit length and a mask.
const maxHeader = 14

// A Follower knows where in a frame a byte stream is. The zero value stands
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

// Closed reports whether a whole Close frame has passed. Nothing may follow it
// (RFC 6455, section 5.5.1).
func (f *Follower) Closed() bool { return f.closed }

// Next consumes bytes of p up to the end of the frame that the stream is in,
// or all of p if the frame goes on behind it. From a boundary it goes to the
// end of the next frame. It returns how many bytes it consumed; after
// [ErrLength] the Follower must not be used any more.
func (f *Follower) Next(p []byte) (n int, err error) {
	if f.payload == 0 {
		for need := f.need(); int(f.have) < need; need = f.need() {
			c := copy(f.header[f.have:need], p[n:])
			n += c
			f.have += uint8(c)
			if int(f.have) < need {
				return n, nil
			}
		}
		f.opcode = f.header[0] & 0x0F
		f.payload = f.length()
		f.have = 0
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

// need returns how long the header is, as far as the bytes seen tell.
func (f *Follower) need() int {
	if f.have < 2 {
		return 2
	}
	need := 2
	switch f.header[1] & 0x7F {
	case 126:
		need += 2
	case 127:
		need += 8
	}
	if f.header[1]&0x80 != 0 {
		need += 4
	}
	return need
}

// length returns the payload's length from a complete header.
func (f *Follower) length() uint64 {
	switch l := f.header[1] & 0x7F; l {
	case 126:
		return uint64(binary.BigEndian.Uint16(f.header[2:]))
	case 127:
		return binary.BigEndian.Uint64(f.header[2:])
	default:
		return uint64(l)
	}
}
