package wsframe_test

import (
	"bytes"
	encoding "encoding/binary"
	"errors"
	"io"
	"slices"
	"testing"
	"unicode/utf8"

	"github.com/gobwas/ws"
	"github.com/gobwas/ws/wsutil"

	"github.com/portcullis-auth/portcullis/internal/wsframe"
)

// refused is the code of the meter's error.
const refused = -1

// A verdict is what the oracle says of a stream.
type verdict struct {
	code       int   // of the error; 0: none
	passed     int   // bytes that pass of the stream, given at once
	decides    int   // the byte that brings the error
	inText     bool  // which is text
	first      bool  // in the first frame of a message
	boundaries []int // between the frames
	messages   int64
	asked      int
	closed     bool
	payloads   [][]byte // of the whole messages
}

// An oracle judges a stream with gobwas/ws, frame for frame, and has all of it
// at hand.
type oracle struct {
	verdict
	rules  *wsframe.Rules
	refuse int
	stream *bytes.Reader
	size   int
	text   *wsutil.UTF8Reader // nil: the message isn't text
	opened bool               // a message goes on
	bytes  int64              // of the message
	frames int
	plain  []byte
}

// at returns how many bytes of the stream have been read.
func (o *oracle) at() int { return o.size - o.stream.Len() }

// frame judges a frame, and reports whether there may be another one.
func (o *oracle) frame() bool {
	begin := o.at()
	h, err := ws.ReadHeader(o.stream)
	if err != nil && !errors.Is(err, ws.ErrHeaderLengthMSB) {
		return false
	}
	body := o.at()
	o.decides = body - 1
	o.first = h.OpCode == ws.OpText || h.OpCode == ws.OpBinary
	if o.code = o.header(h, err, body-begin); o.code != 0 {
		return false
	}
	payload := make([]byte, min(h.Length, int64(o.stream.Len())))
	_, _ = io.ReadFull(o.stream, payload)
	if h.Masked {
		ws.Cipher(payload, h.Mask, 0)
	}
	whole := int64(len(payload)) == h.Length
	if h.OpCode == ws.OpClose {
		o.decides = o.at() - 1
		if whole {
			o.code = closeCode(payload)
			o.closed = o.code == 0
		}
		if !o.closed {
			return false
		}
	}
	if !h.OpCode.IsControl() {
		if o.code = o.data(h, payload, body, whole); o.code != 0 {
			return false
		}
	}
	if whole {
		o.boundaries = append(o.boundaries, o.at())
	}
	switch message := !h.OpCode.IsControl() && h.Fin; {
	case !o.rules.Whole:
		o.passed = o.at()
		if o.first {
			o.messages++
		}
	case whole && (o.closed || !o.opened):
		o.passed = o.at()
		if message {
			o.messages++
			o.payloads = append(o.payloads, o.plain)
		}
	}
	return whole && !o.closed
}

// header judges a header of a size; err is what ws.ReadHeader said.
func (o *oracle) header(h ws.Header, err error, size int) int {
	state := ws.StateClientSide
	if o.rules.FromClient {
		state = ws.StateServerSide
	}
	if o.opened {
		state = state.Set(ws.StateFragmented)
	}
	may := byte(0)
	if o.first {
		may = o.rules.Reserved
	}
	switch {
	case err != nil, size != ws.HeaderSize(h), h.Rsv<<4&^may != 0, h.OpCode == ws.OpClose && h.Length == 1:
		return 1002
	}
	if ws.CheckHeader(h, state.Set(ws.StateExtended)) != nil {
		return 1002
	}
	if !h.OpCode.IsControl() {
		if o.first {
			o.bytes, o.frames = 0, 0
		}
		o.frames++
		bounded := o.rules.MaxMessage > 0 || o.rules.Whole
		if bounded && h.Length > o.rules.MaxMessage-o.bytes || o.rules.MaxFragments > 0 && o.frames > o.rules.MaxFragments {
			return 1009
		}
		o.bytes += h.Length
	}
	if o.rules.Whole && h.Length > 2*o.rules.MaxMessage+4<<10-ws.MaxHeaderSize-int64(o.at()-o.passed) {
		return 1009
	}
	if o.first {
		if o.asked++; o.asked == o.refuse {
			return refused
		}
	}
	return 0
}

func closeCode(payload []byte) int {
	if len(payload) == 0 {
		return 0
	}
	code, reason := ws.ParseCloseFrameData(payload)
	registered := code >= 1012 && code <= 1014 // after RFC 6455
	switch err := ws.CheckCloseFrameData(code, reason); {
	case code > 4999:
		return 1002
	case err != nil && !registered && !errors.Is(err, ws.ErrProtocolInvalidUTF8):
		return 1002
	case !utf8.ValidString(reason):
		return 1007
	}
	return 0
}

// data judges the payload of a data frame, as far as it is there.
func (o *oracle) data(h ws.Header, payload []byte, body int, whole bool) int {
	if o.first {
		o.plain, o.text = nil, nil
		if o.rules.UTF8 && h.OpCode == ws.OpText && h.Rsv == 0 {
			o.text = wsutil.NewUTF8Reader(nil)
		}
	}
	o.plain = append(o.plain, payload...)
	o.opened = !h.Fin || !whole
	if o.text == nil {
		return 0
	}
	for i := range payload {
		o.text.Source = bytes.NewReader(payload[i : i+1])
		if _, err := o.text.Read(make([]byte, 1)); err != nil {
			o.inText, o.decides = true, body+i
			return 1007
		}
	}
	if h.Fin && whole && !o.text.Valid() {
		o.inText, o.decides = true, body+len(payload)-1
		return 1007
	}
	return 0
}

func FuzzChecker(f *testing.F) {
	add := func(fromClient bool, frames ...[]byte) {
		p := stream(frames...)
		for flags := range byte(4) {
			if fromClient {
				flags |= 4
			}
			f.Add(p, []byte{}, flags, byte(deflated), uint16(200), uint8(9), uint8(0))
			f.Add(p, []byte{0}, flags, byte(0), uint16(0), uint8(0), uint8(0))
			f.Add(p, []byte{2, 0, 6}, flags, byte(deflated), uint16(6), uint8(2), uint8(2))
		}
	}
	for _, fromClient := range []bool{false, true} {
		frame := func(first byte, payload string) []byte { return raw(fromClient, first, payload) }
		add(fromClient, frame(fin|text, "hello"), frame(fin|binary, ""), frame(fin|closing, "\x03\xE8bye"), frame(fin|text, "more"))
		add(fromClient, frame(text, "h\xC3"), frame(fin|ping, "1"), frame(cont, ""), frame(fin|cont, "\xA4 and more of it"), frame(fin|text, "a"))
		add(fromClient, frame(deflated|text, "\xFF"), frame(fin|cont, "a"), frame(fin|text, "a\xF0\x90\x8D\x88\xED\xA0\x80"))
		add(fromClient, frame(fin|binary, string(make([]byte, 126))), frame(fin|closing, "\x03\xF6\xFF"))
		add(fromClient, frame(fin|binary, string(make([]byte, 66000))), frame(fin|pong, ""), frame(fin|closing, "\x03"))
		add(fromClient, frame(text, "a"), frame(fin|closing, ""), frame(fin|0x3, ""))
		add(fromClient, frame(text, "a"), frame(fin|text, "b"))
	}
	add(false, []byte{0x82, 127, 0x80, 0, 0, 0, 0, 0, 0, 0, 1})
	add(false, []byte{0x82, 126, 0, 1, 7, 0x81, 0})
	f.Fuzz(func(t *testing.T, stream, cuts []byte, flags, reserved byte, size uint16, fragments, refuse uint8) {
		r := &wsframe.Rules{
			FromClient: flags&4 != 0, UTF8: flags&2 != 0, Whole: flags&1 != 0,
			Reserved: reserved & 0x70, MaxMessage: int64(size), MaxFragments: int(fragments),
		}
		sizes := []int{len(stream)}
		for _, cut := range cuts {
			sizes = append(sizes, 1+int(cut))
		}
		if len(cuts) > 0 {
			sizes = sizes[1:]
		}

		want := oracle{rules: r, refuse: int(refuse), stream: bytes.NewReader(stream), size: len(stream)}
		want.boundaries = []int{0}
		for want.frame() {
		}

		given := bytes.Clone(stream)
		var c wsframe.Checker
		m := meter{refuse: int(refuse)}
		o := feed(&c, given, r, &m, sizes...)

		got := refused
		if !errors.Is(o.err, errMeter) {
			got = code(t, o.err)
		}
		if got != want.code {
			t.Fatalf("code %d (%v), want %d", got, o.err, want.code)
		}
		if !bytes.Equal(given, stream) {
			t.Error("the stream has been changed")
		}
		// An error comes with the byte that brings it, not later.
		if got != 0 && (o.offered <= want.decides || o.before > want.decides) {
			t.Errorf("byte %d is wrong: the error came with bytes %d to %d", want.decides, o.before, o.offered-1)
		}
		// Of a frame whose text is wrong, what came earlier has passed.
		messages := want.messages
		if want.inText && !r.Whole && o.passed > want.passed {
			want.passed = min(o.passed, want.decides)
			if want.first {
				messages++
			}
		}
		if o.passed != want.passed || o.messages != messages || m.asked != want.asked || c.Closed() != want.closed {
			t.Errorf("%d bytes, %d messages, asked %d times, closed %v; want %d, %d, %d, %v",
				o.passed, o.messages, m.asked, c.Closed(), want.passed, messages, want.asked, want.closed)
		}
		if got, want := c.AtBoundary(), slices.Contains(want.boundaries, o.passed); got != want {
			t.Errorf("at a boundary: %v, want %v", got, want)
		}
		if r.Whole {
			var payloads [][]byte
			for _, frames := range o.passes {
				if opcode, payload := wsframe.Payload(nil, frames); opcode != 0 {
					payloads = append(payloads, payload)
				}
			}
			if !slices.EqualFunc(payloads, want.payloads, bytes.Equal) {
				t.Errorf("messages %q, want %q", payloads, want.payloads)
			}
		}
	})
}

// FuzzPayload writes a message in fragments with gobwas/ws, and reads it again;
// and reads whatever there is.
func FuzzPayload(f *testing.F) {
	f.Add([]byte("hello, world"), []byte{1, 0, 200, 7}, uint32(0x01020304), true, []byte{0x81, 127, 0xFF})
	f.Add([]byte{}, []byte{}, uint32(0), false, client(fin|text, "hello"))
	f.Add([]byte{}, []byte{}, uint32(0), false, backend(fin|cont, "0000"))
	f.Add(make([]byte, 300), []byte{}, uint32(0x01020304), true, stream(client(fin|ping, "1"), client(binary, "1"), client(fin|closing, "")))
	f.Fuzz(func(t *testing.T, message, cuts []byte, key uint32, text bool, anything []byte) {
		var frames, controls bytes.Buffer
		write := func(op ws.OpCode, fin bool, payload []byte) []byte {
			frame := ws.NewFrame(op, fin, payload)
			if key != 0 {
				mask := [4]byte(encoding.BigEndian.AppendUint32(nil, key))
				frame = ws.MaskFrameWith(frame, mask)
			}
			b, err := ws.CompileFrame(frame)
			if err != nil {
				t.Fatal(err)
			}
			frames.Write(b)
			return b
		}
		op := ws.OpBinary
		if text {
			op = ws.OpText
		}
		begins, rest := op, message
		for _, cut := range cuts {
			if cut >= 128 {
				controls.Write(write(ws.OpPing, true, make([]byte, cut-128, 127)[:min(cut-128, 125)]))
				continue
			}
			n := min(int(cut), len(rest))
			write(begins, false, rest[:n])
			begins, rest = ws.OpContinuation, rest[n:]
		}
		write(begins, true, rest)
		opcode, payload := wsframe.Payload([]byte("before"), frames.Bytes())
		if opcode != byte(op) || string(payload) != "before"+string(message) {
			t.Errorf("Payload: %d %q, want %d %q", opcode, payload, op, message)
		}
		if got := wsframe.Controls(nil, frames.Bytes()); !bytes.Equal(got, controls.Bytes()) {
			t.Errorf("Controls: % x, want % x", got, controls.Bytes())
		}

		kept := bytes.Clone(anything)
		opcode, payload = wsframe.Payload(nil, anything)
		if len(payload) > len(anything) || opcode == 0 && payload != nil {
			t.Errorf("Payload of % x: %d % x", anything, opcode, payload)
		}
		got := wsframe.Controls(nil, anything)
		if again := wsframe.Controls(nil, got); !bytes.Equal(got, again) {
			t.Errorf("Controls of % x: % x, and of these % x", anything, got, again)
		}
		if !bytes.Equal(anything, kept) {
			t.Error("the frames have been changed")
		}
		if inPlace := wsframe.Controls(kept[:0], kept); !bytes.Equal(inPlace, got) {
			t.Errorf("Controls of % x: % x, in place % x", anything, got, inPlace)
		}
	})
}
