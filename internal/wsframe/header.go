package wsframe

import "encoding/binary"

// The opcodes (RFC 6455, section 11.8).
const (
	opContinuation = 0x0
	opText         = 0x1
	opBinary       = 0x2
	opClose        = 0x8
	opPong         = 0xA
)

// The bits of a header's first two bytes (RFC 6455, section 5.2).
const (
	bitFin       = 0x80
	bitsReserved = 0x70
	bitsOpcode   = 0x0F
	bitControl   = 0x08 // of the opcode
	bitMask      = 0x80
	bitsLength   = 0x7F
)

// maxHeader is the longest header: 2 bytes, a 64-bit length and a mask.
const maxHeader = 14

// header returns how long the header is with which p begins; ok says that it is
// there completely.
func header(p []byte) (size int, ok bool) {
	if len(p) < 2 {
		return 0, false
	}
	size = headerSize(p[1])
	return size, len(p) >= size
}

// headerSize returns how long a header is whose second byte this is.
func headerSize(second byte) int {
	size := 2
	switch second & bitsLength {
	case 126:
		size += 2
	case 127:
		size += 8
	}
	if second&bitMask != 0 {
		size += 4
	}
	return size
}

// payloadLength returns the payload's length from a complete header.
func payloadLength(h []byte) uint64 {
	switch l := h[1] & bitsLength; l {
	case 126:
		return uint64(binary.BigEndian.Uint16(h[2:]))
	case 127:
		return binary.BigEndian.Uint64(h[2:])
	default:
		return uint64(l)
	}
}
