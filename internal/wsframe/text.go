package wsframe

import (
	"encoding/binary"
	"math/bits"
)

// A text is how far UTF-8 that comes in pieces has been checked (RFC 3629,
// section 4). The zero value stands before a character.
type text struct {
	need   uint8 // bytes that the character still lacks
	lo, hi uint8 // what the next one of them must be within
}

// whole reports whether the text stands behind a whole character.
func (t *text) whole() bool { return t.need == 0 }

// check continues with p, each byte of which is masked with the next byte of
// mask, its lowest one first; 0 is no mask. It reports false as soon as a byte
// can't be in UTF-8 where it is.
func (t *text) check(p []byte, mask uint32) bool {
	key := uint64(mask) | uint64(mask)<<32
	for i := 0; i < len(p); {
		if t.need == 0 {
			i = characters(p, i, key)
		}
		if i < len(p) {
			if !t.step(p[i] ^ byte(key>>(i%4*8))) {
				return false
			}
			i++
		}
	}
	return true
}

// characters returns where in p the whole characters end that begin at i, as far
// as that is seen in eight bytes at a time, the first one lowest. What is wrong,
// and the last bytes, is left to step.
func characters(p []byte, i int, key uint64) int {
	for i+8 <= len(p) {
		turned := bits.RotateLeft64(key, i%4*-8)
		for i+8 <= len(p) && (binary.LittleEndian.Uint64(p[i:])^turned)&0x8080808080808080 == 0 { // ASCII
			i += 8
		}
		if i+8 > len(p) {
			break
		}
		switch w := binary.LittleEndian.Uint64(p[i:]) ^ turned; {
		case w&0x80808080 == 0:
			i += 4
		case w&0x80 == 0:
			i++
		case w&0xC0E0 == 0x80C0 && w&0x1E != 0: // else overlong
			i += 2
		case w&0xC0C0F0 == 0x8080E0 && w&0x200F != 0 && w&0x200F != 0x200D: // else overlong, or a surrogate
			i += 3
		case w&0xC0C0C0F8 == 0x808080F0 && (w&7<<2|w>>12&3)-1 < 16: // else overlong, or beyond U+10FFFF
			i += 4
		default:
			return i
		}
	}
	return i
}

// step continues with one byte.
func (t *text) step(b byte) bool {
	if t.need > 0 {
		ok := t.lo <= b && b <= t.hi
		t.need, t.lo, t.hi = t.need-1, 0x80, 0xBF
		return ok
	}
	t.lo, t.hi = 0x80, 0xBF
	switch {
	case b < 0x80:
	case b < 0xC2: // a continuation, or an overlong form of ASCII
		return false
	case b < 0xE0:
		t.need = 1
	case b < 0xF0:
		t.need = 2
		switch b {
		case 0xE0: // less is overlong
			t.lo = 0xA0
		case 0xED: // more is a surrogate
			t.hi = 0x9F
		}
	case b < 0xF5:
		t.need = 3
		switch b {
		case 0xF0: // less is overlong
			t.lo = 0x90
		case 0xF4: // more is beyond U+10FFFF
			t.hi = 0x8F
		}
	default:
		return false
	}
	return true
}
