package wsframe

import "fmt"

// The Close codes of violations (RFC 6455, section 7.4.1).
const (
	closeProtocol = 1002
	closeText     = 1007
	closeTooBig   = 1009
)

// A Violation says which rule a frame broke. [Checker.Check] returns it as a
// *Violation.
type Violation struct {
	Code int    // the Close code with which the socket ends: 1002, 1007 or 1009
	Why  string // which rule, for logs; holds nothing that the peer sent
}

// Error returns the rule and the code.
func (v *Violation) Error() string { return fmt.Sprintf("%s (%d)", v.Why, v.Code) }

func protocol(why string) *Violation { return &Violation{Code: closeProtocol, Why: why} }

// The violations, with the section of RFC 6455 that says so.
var (
	errUnmasked     = protocol("client's frame isn't masked")                 // 5.1
	errMasked       = protocol("backend's frame is masked")                   // 5.1
	errReserved     = protocol("reserved bit that no extension allows there") // 5.2
	errOpcode       = protocol("unknown opcode")                              // 5.2
	errLength       = protocol("frame length has its highest bit set")        // 5.2
	errMinimal      = protocol("frame length not in the fewest bytes")        // 5.2
	errContinuation = protocol("continuation outside of a message")           // 5.4
	errInterleaved  = protocol("new message inside of another")               // 5.4
	errControlFin   = protocol("control frame in fragments")                  // 5.5
	errControlSize  = protocol("control frame longer than 125 bytes")         // 5.5
	errCloseSize    = protocol("close frame with half of a code")             // 5.5.1
	errCloseCode    = protocol("close code that may not be sent")             // 7.4

	errText        = &Violation{Code: closeText, Why: "text that isn't UTF-8"}                  // 8.1
	errCloseReason = &Violation{Code: closeText, Why: "close reason that isn't UTF-8"}          // 5.5.1
	errTooBig      = &Violation{Code: closeTooBig, Why: "message too big"}                      // 7.4.1
	errFragments   = &Violation{Code: closeTooBig, Why: "message in too many fragments"}        // 7.4.1
	errHeld        = &Violation{Code: closeTooBig, Why: "too much besides a message's payload"} // 7.4.1
)
