package wsframe

import "math/bits"

// heldOverhead is what may be held of a message besides twice its bound, so
// that the caller never holds more than 4 KiB besides.
const heldOverhead = 4<<10 - maxHeader

// Rules is what the frames of one direction must keep to. The zero value is
// for the frames of a backend, without extensions or bounds. It must not be
// changed while a [Checker] uses it; many may use the same one.
type Rules struct {
	// FromClient says that frames must be masked; else they must not be.
	FromClient bool

	// Reserved holds the reserved bits (0x40, 0x20, 0x10) that a negotiated
	// extension may set on the first frame of a message, and nowhere else;
	// permessage-deflate: 0x40 (RFC 7692, section 6).
	Reserved byte

	// UTF8 says that text is checked, unless a reserved bit says that an
	// extension has changed it.
	UTF8 bool

	// MaxMessage bounds the bytes of payload in a message, all fragments
	// together, as they are sent: compressed, if they are. 0: no bound.
	MaxMessage int64

	// MaxFragments bounds the frames of a message. 0: no bound.
	MaxFragments int

	// Whole says that nothing of a data message may pass before all of it has
	// come. What the caller holds meanwhile, with the headers and the control
	// frames between the fragments, stays below twice MaxMessage and 4 KiB;
	// without MaxMessage only empty messages pass.
	Whole bool
}

// A Meter is asked about each data message when its first frame's header has
// come and is in order. An error ends the socket: it is what [Checker.Check]
// returns.
type Meter interface {
	Message() error
}

// A Checker holds the frames of one direction of a socket to [Rules] (W5;
// RFC 6455, sections 5 and 8.1). The zero value stands before the first frame.
// It buffers, copies and allocates nothing, whatever length a frame declares,
// and isn't safe for concurrent use.
type Checker struct {
	left      uint64 // payload bytes that the frame still lacks
	size      uint64 // payload bytes of the message, in the fragments so far
	messages  int64
	held      int    // bytes that were judged and not passed: only with Rules.Whole
	fragments uint32 // of the message, so far
	mask      uint32 // of the frame's next payload bytes, the lowest one first
	first     byte   // the first byte of the frame's header
	text      text
	checked   bool // the message is text to be checked
	open      bool // more fragments of the message must follow
	closed    bool
}

// AtBoundary reports whether what has passed ends between two frames. What is
// held hasn't passed.
func (c *Checker) AtBoundary() bool { return c.left == 0 || c.held > 0 }

// AtRest reports whether a zero Checker would judge alike what comes: it stands
// between two messages, and no Close frame has passed.
func (c *Checker) AtRest() bool { return c.left == 0 && !c.open && !c.closed }

// Closed reports whether a whole Close frame has passed. Nothing passes behind
// it (RFC 6455, section 5.5.1).
func (c *Checker) Closed() bool { return c.closed }

// Messages returns how many data messages have begun to pass, or with
// [Rules.Whole] have passed.
func (c *Checker) Messages() int64 { return c.messages }

// Check judges p, which continues what passed before, and returns how many
// bytes of it may pass. The rest is the beginning of a frame header or of a
// Close frame (at most 131 bytes; with [Rules.Whole]: of a message) that can't
// be judged yet: the caller keeps it, and gives it again in front of what comes
// next.
//
// With [Rules.Whole], pass ends behind a message or a control frame outside of
// messages, and behind the first whole message even if p goes on: the caller
// sees one message at a time, and calls again with the rest of p until nothing
// of it passes. A Close frame inside of a message passes with what came of
// the message; [Payload] finds none there, and only [Controls] are to be sent.
//
// Behind a Close frame nothing passes, and it isn't an error: when
// [Checker.Closed] says so, the rest is to be dropped.
//
// An error is a [*Violation], or the meter's; m may be nil. Behind pass nothing
// may pass any more, and Check must not be called again. Whole frames in front
// of the bad one pass, and of the bad one nothing that is in p; so a Close
// frame can be added if [Checker.AtBoundary] says so.
func (c *Checker) Check(p []byte, r *Rules, m Meter) (pass int, err error) {
	n := c.held
	for n < len(p) && !c.closed {
		left, began := c.left, false
		if left == 0 {
			size, ok := header(p[n:])
			if !ok {
				break
			}
			h := p[n : n+size]
			n += size
			left = payloadLength(h)
			if v := c.admit(h, left, r); v != nil {
				return pass, v
			}
			if r.Whole && uint64(n-pass)+left > r.held() { // L1
				return pass, errHeld
			}
			switch c.first & bitsOpcode {
			case opClose:
				if left > uint64(len(p)-n) {
					c.held = n - size - pass
					return pass, nil
				}
				if v := judgeClose(h, p[n:n+int(left)]); v != nil {
					return pass, v
				}
			case opText, opBinary:
				began = true
				if m != nil {
					if err := m.Message(); err != nil {
						return pass, err
					}
				}
			}
		}
		some := int(min(left, uint64(len(p)-n)))
		left -= uint64(some)
		control := c.first&bitControl != 0
		if c.checked && !control && !c.checkText(p[n:n+some], left == 0) {
			return pass, errText
		}
		n += some
		c.left = left
		switch {
		case c.first&bitsOpcode == opClose:
			c.closed = true
			pass = n
		case !r.Whole:
			pass = n
			if began {
				c.messages++
			}
		case left > 0 || c.open: // held
		case control:
			pass = n
		default: // a whole message
			c.messages++
			c.held = 0
			return n, nil
		}
	}
	c.held = n - pass
	return pass, nil
}

// admit holds a whole header to the rules, and takes note of it.
func (c *Checker) admit(h []byte, length uint64, r *Rules) *Violation {
	first := h[0]
	opcode, masked, form := first&bitsOpcode, h[1]&bitMask != 0, h[1]&bitsLength
	c.first = first
	switch {
	case r.FromClient && !masked: // 5.1
		return errUnmasked
	case !r.FromClient && masked: // 5.1
		return errMasked
	case length>>63 != 0: // 5.2
		return errLength
	case form == 126 && length < 126, form == 127 && length < 1<<16: // 5.2
		return errMinimal
	case opcode&bitControl != 0:
		return judgeControl(h, opcode, length)
	}
	reserved := first & bitsReserved
	if opcode != opContinuation {
		reserved &^= r.Reserved
	}
	switch {
	case opcode > opBinary: // 5.2
		return errOpcode
	case reserved != 0: // 5.2
		return errReserved
	case opcode == opContinuation && !c.open: // 5.4
		return errContinuation
	case opcode != opContinuation && c.open: // 5.4
		return errInterleaved
	case (r.MaxMessage > 0 || r.Whole) && length > r.bound()-c.size: // L2
		return errTooBig
	case r.MaxFragments > 0 && int64(c.fragments) >= int64(r.MaxFragments): // L2
		return errFragments
	}
	if first&bitFin == 0 {
		c.open = true
		c.size += length
		c.fragments++
	} else if c.open {
		c.open = false
		c.size, c.fragments = 0, 0
	}
	if r.UTF8 {
		if opcode != opContinuation {
			c.checked = first&(bitsReserved|bitsOpcode) == opText
		}
		c.mask = maskOf(h)
	}
	return nil
}

// judgeControl is admit for a control frame, of which there is nothing to note.
func judgeControl(h []byte, opcode byte, length uint64) *Violation {
	switch {
	case opcode > opPong: // 5.2
		return errOpcode
	case h[0]&bitsReserved != 0: // 5.2
		return errReserved
	case h[0]&bitFin == 0: // 5.5
		return errControlFin
	case length > maxControl: // 5.5
		return errControlSize
	case opcode == opClose && length == 1: // 5.5.1
		return errCloseSize
	}
	return nil
}

// checkText continues with some of a frame's text; ends says that the frame
// ends there.
func (c *Checker) checkText(p []byte, ends bool) bool {
	if !c.text.check(p, c.mask) {
		return false
	}
	c.mask = bits.RotateLeft32(c.mask, -8*(len(p)&3))
	return !ends || c.open || c.text.whole()
}

// bound returns the bound of a message, for rules that have one.
func (r *Rules) bound() uint64 { return uint64(max(r.MaxMessage, 0)) }

// held returns how much of a message may be held.
func (r *Rules) held() uint64 { return 2*r.bound() + heldOverhead }
