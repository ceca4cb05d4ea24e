package wsframe

import (
	"encoding/binary"
	"iter"
)

// Payload appends the payload of a message's data frames, unmasked, to dst.
// frames are whole frames that [Checker.Check] has let pass with [Rules.Whole]:
// one data message, and the control frames in front of it and between its
// fragments. The opcode is the message's, 1 for text and 2 for binary; 0 says
// that there is no whole message, and payload is dst then.
func Payload(dst, frames []byte) (opcode byte, payload []byte) {
	payload = dst
	for h, body := range split(frames) {
		if h[0]&bitControl != 0 {
			continue
		}
		if opcode == opContinuation {
			if opcode = h[0] & bitsOpcode; opcode == opContinuation {
				break
			}
		}
		payload = appendUnmasked(payload, h, body)
		if h[0]&bitFin != 0 {
			return opcode, payload
		}
	}
	return 0, dst
}

// Controls appends the control frames of frames to dst: what stays of them when
// the message is dropped. dst may lie in front of frames in the same array, or
// be frames[:0].
func Controls(dst, frames []byte) []byte {
	for h, body := range split(frames) {
		if h[0]&bitControl != 0 {
			dst = append(append(dst, h...), body...)
		}
	}
	return dst
}

// split yields the header and the payload of each whole frame.
func split(frames []byte) iter.Seq2[[]byte, []byte] {
	return func(yield func(h, payload []byte) bool) {
		for {
			size, ok := header(frames)
			if !ok {
				return
			}
			length := payloadLength(frames)
			if length > uint64(len(frames)-size) {
				return
			}
			end := size + int(length)
			if !yield(frames[:size], frames[size:end]) {
				return
			}
			frames = frames[end:]
		}
	}
}

// maskOf returns the mask of a header, with the byte for the first byte of the
// payload lowest; 0 if the frame isn't masked.
func maskOf(h []byte) uint32 {
	if h[1]&bitMask == 0 {
		return 0
	}
	return binary.LittleEndian.Uint32(h[len(h)-4:])
}

// appendUnmasked appends a payload to dst as it was before it was masked.
func appendUnmasked(dst, h, payload []byte) []byte {
	at := len(dst)
	dst = append(dst, payload...)
	mask := maskOf(h)
	if mask == 0 {
		return dst
	}
	b, key := dst[at:], uint64(mask)|uint64(mask)<<32
	for ; len(b) >= 8; b = b[8:] {
		binary.LittleEndian.PutUint64(b, binary.LittleEndian.Uint64(b)^key)
	}
	for i := range b {
		b[i] ^= byte(key >> (8 * i))
	}
	return dst
}
