package wsframe_test

import (
	"errors"
	"fmt"

	"github.com/portcullis-auth/portcullis/internal/wsframe"
)

// One direction of a relay: what doesn't pass is kept, and given again in front
// of what is read next.
func ExampleChecker() {
	rules := &wsframe.Rules{UTF8: true, MaxMessage: 64 << 10}
	reads := []string{"\x81\x05hel", "lo\x81\x03a\xFF", "b"}

	var c wsframe.Checker
	var kept []byte
	for _, read := range reads {
		p := append(kept, read...)
		n, err := c.Check(p, rules, nil)
		fmt.Printf("send %q\n", p[:n])
		if v, ok := errors.AsType[*wsframe.Violation](err); ok {
			goodbye := wsframe.AppendClose(nil, v.Code, "", nil)
			fmt.Printf("%v: send %q at a boundary: %v\n", err, goodbye, c.AtBoundary())
			return
		}
		kept = append([]byte(nil), p[n:]...)
	}
	// Output:
	// send "\x81\x05hel"
	// send "lo"
	// text that isn't UTF-8 (1007): send "\x88\x02\x03\xef" at a boundary: true
}

// Message rules see one message at a time. When a message is dropped, the
// control frames that came with it go on.
func ExamplePayload() {
	rules := &wsframe.Rules{Whole: true, MaxMessage: 64 << 10}
	p := []byte("\x89\x00" + "\x01\x02se" + "\x8A\x00" + "\x80\x04cret" + "\x81\x05hello" + "\x81\x05more")

	var c wsframe.Checker
	var payload []byte
	for {
		n, err := c.Check(p, rules, nil)
		if n == 0 || err != nil {
			fmt.Printf("keep %q, %v\n", p, err)
			return
		}
		frames := p[:n]
		p = p[n:]
		var opcode byte
		if opcode, payload = wsframe.Payload(payload[:0], frames); opcode != 0 && string(payload) == "secret" {
			frames = wsframe.Controls(nil, frames)
		}
		fmt.Printf("%q: send %q\n", payload, frames)
	}
	// Output:
	// "secret": send "\x89\x00\x8a\x00"
	// "hello": send "\x81\x05hello"
	// keep "\x81\x05more", <nil>
}

// A Close frame may be added where the stream stands between two frames.
func ExampleFollower() {
	var f wsframe.Follower
	for _, sent := range []string{"\x81\x05hel", "lo\x89\x00"} {
		if err := f.Advance([]byte(sent)); err != nil {
			fmt.Println(err)
		}
		fmt.Println(f.AtBoundary())
	}
	fmt.Printf("%q\n", wsframe.AppendClose(nil, 3000, "token_expired", nil))
	// Output:
	// false
	// true
	// "\x88\x0f\v\xb8token_expired"
}
