package wsframe_test

import (
	"bytes"
	"errors"
	"testing"
	"unsafe"

	"github.com/gobwas/ws"

	"github.com/portcullis-auth/portcullis/internal/wsframe"
)

const (
	fin      = 0x80
	cont     = 0x0
	text     = 0x1
	binary   = 0x2
	closing  = 0x8
	ping     = 0x9
	pong     = 0xA
	deflated = 0x40
)

// raw returns a frame that begins with first, whatever that means; a client's is
// masked, with bytes none of which does for another one.
func raw(fromClient bool, first byte, payload string) []byte {
	h := ws.Header{Fin: true, OpCode: ws.OpBinary, Length: int64(len(payload))}
	body := []byte(payload)
	if fromClient {
		h.Masked, h.Mask = true, [4]byte{0xA1, 0x52, 0x13, 0x04}
		ws.Cipher(body, h.Mask, 0)
	}
	var b bytes.Buffer
	if err := ws.WriteHeader(&b, h); err != nil {
		panic(err)
	}
	b.Write(body)
	b.Bytes()[0] = first
	return b.Bytes()
}

func client(first byte, payload string) []byte  { return raw(true, first, payload) }
func backend(first byte, payload string) []byte { return raw(false, first, payload) }

// stream joins frames.
func stream(frames ...[]byte) []byte { return bytes.Join(frames, nil) }

// An outcome is what became of a stream.
type outcome struct {
	passes  [][]byte // what each call of Check let pass
	passed  int      // bytes, altogether
	before  int      // bytes that were offered before the last piece
	offered int      // bytes that were offered, until the error came
	err     error

	messages int64
}

// feed gives a stream to a Checker as a relay does: cut after sizes, again and
// again, and what doesn't pass again in front of what comes next. One that is at
// rest is forgotten.
func feed(c *wsframe.Checker, stream []byte, r *wsframe.Rules, m wsframe.Meter, sizes ...int) (o outcome) {
	for i := 0; o.offered < len(stream) && o.err == nil; i++ {
		o.before = o.offered
		o.offered = min(o.offered+sizes[i%len(sizes)], len(stream))
		for o.err == nil {
			n, err := c.Check(stream[o.passed:o.offered:o.offered], r, m)
			if n > 0 {
				o.passes = append(o.passes, stream[o.passed:o.passed+n])
			}
			o.passed += n
			o.err = err
			if n == 0 {
				break
			}
		}
		if c.AtRest() {
			o.messages += c.Messages()
			*c = wsframe.Checker{}
		}
	}
	o.messages += c.Messages()
	return o
}

// code returns the Close code of an error; 0 is no error.
func code(tb testing.TB, err error) int {
	tb.Helper()
	if err == nil {
		return 0
	}
	var v *wsframe.Violation
	if !errors.As(err, &v) {
		tb.Fatalf("err = %v, want a Violation", err)
	}
	return v.Code
}

func TestW5RulesOfFrames(t *testing.T) {
	fromClient := wsframe.Rules{FromClient: true}
	fromBackend := wsframe.Rules{}
	deflate := wsframe.Rules{FromClient: true, Reserved: deflated}
	long := string(make([]byte, 126))
	for _, tt := range []struct {
		name   string
		rules  wsframe.Rules
		stream []byte
		pass   int // -1: all
		code   int
	}{
		{"nothing", fromClient, nil, -1, 0},
		{"text", fromClient, client(fin|text, "hello"), -1, 0},
		{"text from the backend", fromBackend, backend(fin|text, "hello"), -1, 0},
		{"binary", fromClient, client(fin|binary, long), -1, 0},
		{"empty", fromClient, client(fin|binary, ""), -1, 0},
		{"64 KiB", fromClient, client(fin|binary, string(make([]byte, 1<<16))), -1, 0},
		{"fragments", fromClient, stream(client(text, "a"), client(cont, ""), client(fin|cont, "b"), client(fin|text, "")), -1, 0},
		{"ping and pong", fromClient, stream(client(fin|ping, "12345"), client(fin|pong, "")), -1, 0},
		{"control frames between fragments", fromBackend, stream(backend(binary, "a"), backend(fin|ping, "b"), backend(fin|pong, ""), backend(fin|cont, "c")), -1, 0},
		{"text that isn't UTF-8, unasked", fromClient, client(fin|text, "\xFF"), -1, 0},

		{"client doesn't mask", fromClient, backend(fin|text, "hello"), 0, 1002},
		{"client doesn't mask an empty frame", fromClient, backend(fin|text, ""), 0, 1002},
		{"client doesn't mask a ping", fromClient, backend(fin|ping, ""), 0, 1002},
		{"client masks no more", fromClient, stream(client(fin|text, "hello"), backend(fin|text, "hello")), 11, 1002},
		{"backend masks", fromBackend, client(fin|text, "hello"), 0, 1002},
		{"backend masks a Close frame", fromBackend, client(fin|closing, ""), 0, 1002},

		{"opcode 3", fromClient, client(fin|0x3, ""), 0, 1002},
		{"opcode 7", fromClient, client(fin|0x7, ""), 0, 1002},
		{"opcode B", fromClient, client(fin|0xB, ""), 0, 1002},
		{"opcode F", fromClient, client(fin|0xF, ""), 0, 1002},

		{"reserved bit 1", fromClient, client(fin|0x40|text, "a"), 0, 1002},
		{"reserved bit 2", fromClient, client(fin|0x20|text, "a"), 0, 1002},
		{"reserved bit 3", fromClient, client(fin|0x10|binary, "a"), 0, 1002},
		{"compressed", deflate, client(fin|deflated|text, "a"), -1, 0},
		{"compressed, in fragments", deflate, stream(client(deflated|text, "a"), client(fin|cont, "b")), -1, 0},
		{"uncompressed in spite of the extension", deflate, client(fin|text, "a"), -1, 0},
		{"compressed, other bit", deflate, client(fin|deflated|0x20|text, "a"), 0, 1002},
		{"compressed continuation", deflate, stream(client(deflated|text, ""), client(fin|deflated|cont, "")), 6, 1002},
		{"compressed ping", deflate, client(fin|deflated|ping, ""), 0, 1002},
		{"compressed Close frame", deflate, client(fin|deflated|closing, ""), 0, 1002},

		{"continuation first", fromClient, client(fin|cont, "a"), 0, 1002},
		{"continuation behind a message", fromClient, stream(client(fin|text, ""), client(cont, "a")), 6, 1002},
		{"continuation behind the last fragment", fromClient, stream(client(text, ""), client(fin|cont, ""), client(cont, "a")), 12, 1002},
		{"message inside of a message", fromClient, stream(client(text, ""), client(fin|text, "a")), 6, 1002},
		{"message behind a ping inside of a message", fromClient, stream(client(text, ""), client(fin|ping, ""), client(binary, "a")), 12, 1002},

		{"ping in fragments", fromClient, client(ping, ""), 0, 1002},
		{"Close frame in fragments", fromClient, client(closing, ""), 0, 1002},
		{"ping of 125 bytes", fromClient, client(fin|ping, long[:125]), -1, 0},
		{"ping of 126 bytes", fromClient, client(fin|ping, long), 0, 1002},
		{"Close frame of 125 bytes", fromClient, client(fin|closing, "\x03\xE8"+long[:123]), -1, 0},
		{"Close frame of 126 bytes", fromClient, client(fin|closing, "\x03\xE8"+long[:124]), 0, 1002},

		{"125 in 16 bits", fromBackend, []byte{fin | binary, 126, 0, 125}, 0, 1002},
		{"126 in 16 bits", fromBackend, append([]byte{fin | binary, 126, 0, 126}, long...), -1, 0},
		{"65535 in 64 bits", fromBackend, []byte{fin | binary, 127, 0, 0, 0, 0, 0, 0, 0xFF, 0xFF}, 0, 1002},
		{"0 in 64 bits, masked", fromClient, []byte{fin | binary, 0x80 | 127, 0, 0, 0, 0, 0, 0, 0, 0, 1, 2, 3, 4}, 0, 1002},
		{"ping of 1 in 16 bits", fromBackend, []byte{fin | ping, 126, 0, 1}, 0, 1002},
		{"length with its highest bit", fromBackend, []byte{fin | binary, 127, 0x80, 0, 0, 0, 0, 0, 0, 0}, 0, 1002},
		{"the greatest length", fromBackend, []byte{fin | binary, 127, 0x7F, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 1}, -1, 0},

		{"half a code", fromClient, client(fin|closing, "\x03"), 0, 1002},
		{"reason that isn't UTF-8", fromClient, client(fin|closing, "\x03\xE8a\xFF"), 0, 1007},
		{"reason that ends in a character", fromBackend, backend(fin|closing, "\x03\xE8\xE2\x82"), 0, 1007},
		{"behind a Close frame", fromClient, stream(client(fin|closing, "\x03\xE8bye"), client(fin|text, "a")), 11, 0},
		{"nonsense behind a Close frame", fromClient, stream(client(fin|closing, ""), []byte("nonsense")), 6, 0},
		{"Close frame inside of a message", fromClient, stream(client(text, "a"), client(fin|closing, ""), client(fin|cont, "a")), 13, 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			want := tt.pass
			if want < 0 {
				want = len(tt.stream)
			}
			for _, size := range []int{1, 2, 3, 5, 14, 1 << 20} {
				var c wsframe.Checker
				o := feed(&c, tt.stream, &tt.rules, nil, size)
				if got := code(t, o.err); got != tt.code || o.passed != want {
					t.Errorf("pieces of %d bytes: code %d, %d bytes passed; want %d, %d", size, got, o.passed, tt.code, want)
				}
			}
		})
	}
}

func TestW5CloseCodes(t *testing.T) {
	may := func(code int) bool {
		switch code {
		case 1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 1012, 1013, 1014:
			return true
		}
		return code >= 3000 && code < 5000
	}
	for _, fromClient := range []bool{false, true} {
		for number := range 1 << 16 {
			var c wsframe.Checker
			frame := raw(fromClient, fin|closing, string([]byte{byte(number >> 8), byte(number)}))
			n, err := c.Check(frame, &wsframe.Rules{FromClient: fromClient}, nil)
			if may(number) != (err == nil && n == len(frame) && c.Closed()) || !may(number) && (code(t, err) != 1002 || n != 0) {
				t.Errorf("code %d: %d bytes pass, closed %v, err %v", number, n, c.Closed(), err)
			}
		}
	}
}

// A Close frame is held until it can be judged, but no longer than it must be.
func TestW5CloseFrameIsHeld(t *testing.T) {
	r := &wsframe.Rules{FromClient: true}
	var c wsframe.Checker
	p := stream(client(fin|ping, "12"), client(fin|closing, "\x03\xE8"+string(make([]byte, 123))))
	if n, err := c.Check(p[:len(p)-1], r, nil); n != 8 || err != nil || c.Closed() || !c.AtBoundary() {
		t.Errorf("a byte is missing: %d bytes pass, closed %v, boundary %v, err %v", n, c.Closed(), c.AtBoundary(), err)
	}
	p = p[8:]
	if len(p) != 131 {
		t.Errorf("the longest Close frame has %d bytes", len(p))
	}
	if n, err := c.Check(p, r, nil); n != 131 || err != nil || !c.Closed() || !c.AtBoundary() {
		t.Errorf("whole: %d bytes pass, closed %v, boundary %v, err %v", n, c.Closed(), c.AtBoundary(), err)
	}
	if n, err := c.Check(client(fin|text, "more"), r, nil); n != 0 || err != nil || c.Messages() != 0 {
		t.Errorf("behind it: %d bytes pass, %d messages, err %v", n, c.Messages(), err)
	}

	c = wsframe.Checker{} // a bad header is seen without the payload
	if n, err := c.Check(client(fin|closing, "\x03\xE8"+string(make([]byte, 124)))[:8], r, nil); n != 0 || code(t, err) != 1002 {
		t.Errorf("too long: %d bytes pass, err %v", n, err)
	}
}

func TestW5Boundaries(t *testing.T) {
	r := &wsframe.Rules{FromClient: true, UTF8: true}
	var c wsframe.Checker
	frame := client(fin|text, "hello")
	for i := range frame {
		held := max(0, 6-i) // the header passes when it is whole
		if got, want := c.AtBoundary(), i < 6; got != want {
			t.Errorf("behind byte %d: AtBoundary %v, want %v", i, got, want)
		}
		begin := i
		if held > 0 {
			begin = 0
		}
		if _, err := c.Check(frame[begin:i+1], r, nil); err != nil {
			t.Fatal(err)
		}
	}
	if !c.AtBoundary() {
		t.Error("not at a boundary behind the frame")
	}
	// A frame that is bad passes no part of itself, so a Close frame may follow.
	n, err := c.Check(stream(frame, client(text, "hello"), client(fin|cont, "hel\xFFlo")), r, nil)
	if n != 22 || code(t, err) != 1007 || !c.AtBoundary() || c.Messages() != 3 {
		t.Errorf("bad text: %d bytes pass, boundary %v, %d messages, err %v", n, c.AtBoundary(), c.Messages(), err)
	}
	c = wsframe.Checker{} // unless it has begun to pass
	bad := client(fin|text, "hello\xFF")
	n1, err1 := c.Check(bad[:8], r, nil)
	n2, err2 := c.Check(bad[8:], r, nil)
	if n1 != 8 || err1 != nil || n2 != 0 || code(t, err2) != 1007 || c.AtBoundary() || c.Messages() != 1 {
		t.Errorf("bad text in pieces: %d, %v; %d, %v; boundary %v; %d messages", n1, err1, n2, err2, c.AtBoundary(), c.Messages())
	}
	c = wsframe.Checker{} // a message that didn't begin to pass isn't counted
	if n, err := c.Check(bad, r, nil); n != 0 || code(t, err) != 1007 || c.Messages() != 0 {
		t.Errorf("bad message: %d bytes pass, %d messages, err %v", n, c.Messages(), err)
	}
}

func TestW5ChecksWithoutMemory(t *testing.T) {
	if size := unsafe.Sizeof(wsframe.Checker{}); size > 48 {
		t.Errorf("a Checker has %d bytes, want 48 at most", size)
	}
	huge := []byte{fin | text, 127, 0x7F, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 'a', 'b'}
	p := stream(backend(fin|text, "hello"), backend(fin|ping, "hello"), backend(text, "a"), backend(fin|cont, "b"), huge)
	for _, r := range []*wsframe.Rules{{}, {UTF8: true}, {MaxMessage: 100}, {MaxMessage: 100, UTF8: true, Whole: true}} {
		if n := testing.AllocsPerRun(100, func() {
			var c wsframe.Checker
			_, _ = c.Check(p, r, nil)
		}); n != 0 {
			t.Errorf("%+v: %v allocations, want 0", r, n)
		}
	}
	r := &wsframe.Rules{FromClient: true}
	for _, p := range [][]byte{client(fin|closing, "\x03\xE8bye"), client(fin|closing, "\x00\x00bye"), client(fin|0x3, "")} {
		if n := testing.AllocsPerRun(100, func() {
			var c wsframe.Checker
			_, _ = c.Check(p, r, nil)
		}); n != 0 {
			t.Errorf("% x: %v allocations, want 0", p, n)
		}
	}
}
