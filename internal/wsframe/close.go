package wsframe

import "encoding/binary"

// maxReason is what a control frame's 125 bytes leave for a Close reason.
const maxReason = 123

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
