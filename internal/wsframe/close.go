package wsframe

import (
	"encoding/binary"
	"unicode/utf8"
)

// maxControl is how long a control frame's payload may be (RFC 6455, section 5.5).
const maxControl = 125

// maxReason is what that leaves for a Close reason.
const maxReason = maxControl - 2

// AppendClose appends a Close frame with the code and reason (RFC 6455,
// section 5.5.1), masked with mask if it isn't nil, as a client must. A reason
// of more than 123 bytes is cut; reasons are ASCII words, so no character is
// cut in two.
func AppendClose(dst []byte, code int, reason string, mask *[4]byte) []byte {
	if len(reason) > maxReason {
		reason = reason[:maxReason]
	}
	second := byte(2 + len(reason))
	if mask != nil {
		second |= 0x80
	}
	dst = append(dst, 0x80|opClose, second)
	if mask != nil {
		dst = append(dst, mask[:]...)
	}
	start := len(dst)
	dst = binary.BigEndian.AppendUint16(dst, uint16(code))
	dst = append(dst, reason...)
	if mask != nil {
		for i := range dst[start:] {
			dst[start+i] ^= mask[i%4]
		}
	}
	return dst
}

// judgeClose judges the payload of a Close frame (RFC 6455, sections 5.5.1 and
// 7.4): a code that may be sent, which 1004, 1005, 1006 and 1015 may not, and a
// reason in UTF-8.
func judgeClose(h, payload []byte) *Violation {
	if len(payload) == 0 {
		return nil
	}
	var plain [maxControl]byte
	b := appendUnmasked(plain[:0], h, payload)
	switch code := binary.BigEndian.Uint16(b); {
	case code >= 1000 && code <= 1003, code >= 1007 && code <= 1014, code >= 3000 && code <= 4999:
	default:
		return errCloseCode
	}
	if !utf8.Valid(b[2:]) {
		return errCloseReason
	}
	return nil
}
