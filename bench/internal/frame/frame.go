// Package frame writes and follows WebSocket frames (RFC 6455, section 5.2) of
// the benchmark's own ends, which have no need to check each other much.
package frame

import (
	"encoding/binary"
)

// The opcodes of RFC 6455, section 11.8.
const (
	Text   = 0x1
	Binary = 0x2
	Close  = 0x8
	Ping   = 0x9
	Pong   = 0xA
)

// Key is what clients mask with: always the same, as nobody has to be kept from
// guessing.
var Key = [4]byte{0x5a, 0xc3, 0x69, 0x96}

// Append appends a whole frame, masked if it comes from a client.
func Append(b []byte, op byte, payload []byte, masked bool) []byte {
	b = AppendHeader(b, op, len(payload), masked)
	at := len(b)
	b = append(b, payload...)
	if masked {
		mask(b[at:], Key, 0)
	}
	return b
}

// AppendHeader appends the header of a frame without fragments.
func AppendHeader(b []byte, op byte, length int, masked bool) []byte {
	var bit byte
	if masked {
		bit = 0x80
	}
	b = append(b, 0x80|op)
	switch {
	case length < 126:
		b = append(b, bit|byte(length))
	case length <= 0xffff:
		b = binary.BigEndian.AppendUint16(append(b, bit|126), uint16(length))
	default:
		b = binary.BigEndian.AppendUint64(append(b, bit|127), uint64(length))
	}
	if masked {
		b = append(b, Key[:]...)
	}
	return b
}

func mask(b []byte, key [4]byte, at int) {
	var k [8]byte
	for i := range k {
		k[i] = key[(at+i)&3]
	}
	word := binary.LittleEndian.Uint64(k[:])
	for ; len(b) >= 8; b = b[8:] {
		binary.LittleEndian.PutUint64(b, binary.LittleEndian.Uint64(b)^word)
	}
	for i := range b {
		b[i] ^= k[i]
	}
}

// A Reader follows the frames of a stream, in whatever pieces that comes. It is
// ready as its zero value, and after each whole frame.
type Reader struct {
	Op     byte
	Length int
	Seen   int  // how much of the payload has been taken
	First  bool // the last Take has completed the header
	key    [4]byte
	masked bool
	head   [14]byte
	have   int
	whole  bool // the header
}

// Take takes from what b begins with: first a header, then payload, which it
// unmasks in place. It returns the payload, and what remains of b, of which more
// must be given to Take if there is any.
func (r *Reader) Take(b []byte) (payload, rest []byte) {
	if r.whole && r.Seen == r.Length {
		*r = Reader{}
	}
	r.First = false
	for !r.whole {
		if len(b) == 0 {
			return nil, nil
		}
		r.head[r.have] = b[0]
		r.have++
		b = b[1:]
		if r.have >= 2 && r.have == r.headerSize() {
			r.parse()
			r.whole, r.First = true, true
		}
	}
	n := min(len(b), r.Length-r.Seen)
	if r.masked {
		mask(b[:n], r.key, r.Seen)
	}
	r.Seen += n
	return b[:n], b[n:]
}

// Headed reports whether the header is whole: Op and Length hold.
func (r *Reader) Headed() bool { return r.whole }

// Done reports whether the frame is whole.
func (r *Reader) Done() bool { return r.whole && r.Seen == r.Length }

func (r *Reader) headerSize() int {
	n := 2
	switch r.head[1] & 0x7f {
	case 126:
		n = 4
	case 127:
		n = 10
	}
	if r.head[1]&0x80 != 0 {
		n += 4
	}
	return n
}

func (r *Reader) parse() {
	r.Op, r.masked = r.head[0]&0xf, r.head[1]&0x80 != 0
	switch r.Length = int(r.head[1] & 0x7f); r.Length {
	case 126:
		r.Length = int(binary.BigEndian.Uint16(r.head[2:]))
	case 127:
		r.Length = int(binary.BigEndian.Uint64(r.head[2:]) & (1<<62 - 1))
	}
	if r.masked {
		copy(r.key[:], r.head[r.have-4:r.have])
	}
}
