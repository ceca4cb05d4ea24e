package wsframe_test

import (
	"errors"
	"math"
	"testing"

	"github.com/portcullis-auth/portcullis/internal/wsframe"
)

// A meter counts, and refuses behind so many.
type meter struct{ asked, refuse int }

var errMeter = errors.New("too many messages")

func (m *meter) Message() error {
	m.asked++
	if m.asked == m.refuse {
		return errMeter
	}
	return nil
}

func TestL2SizeAndFragments(t *testing.T) {
	// A header alone, that declares so much.
	declares := func(first byte, length ...byte) []byte {
		return append([]byte{first, 127}, length...)
	}
	for _, tt := range []struct {
		name      string
		max       int64
		fragments int
		stream    []byte
		pass      int // -1: all
		code      int
	}{
		{"as much as may be", 3, 0, backend(fin|text, "123"), -1, 0},
		{"one more", 3, 0, backend(fin|text, "1234")[:2], 0, 1009},
		{"each message for itself", 3, 0, stream(backend(fin|text, "123"), backend(fin|binary, "123"), backend(fin|text, "1")), -1, 0},
		{"fragments together", 3, 0, stream(backend(text, "12"), backend(cont, "3"), backend(fin|cont, "4")[:2]), 7, 1009},
		{"fragments of two messages", 3, 0, stream(backend(text, "12"), backend(fin|cont, "3"), backend(text, "12"), backend(fin|cont, "3")), -1, 0},
		{"control frames don't count", 3, 2, stream(backend(text, "123"), backend(fin|ping, "12345"), backend(fin|pong, "6789"), backend(fin|cont, "")), -1, 0},
		{"the greatest length", 3, 0, declares(fin|binary, 0x7F, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF), 0, 1009},
		{"the greatest length in a second fragment", math.MaxInt64, 0, stream(backend(binary, "1"), declares(fin|cont, 0x7F, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF)), 3, 1009},
		{"as many fragments as may be", 0, 3, stream(backend(text, "1"), backend(cont, "2"), backend(fin|cont, "3"), backend(fin|text, "")), -1, 0},
		{"fragments of each message for itself", 0, 2, stream(backend(text, "1"), backend(fin|cont, "2"), backend(text, "1"), backend(fin|cont, "2"), backend(fin|text, "")), -1, 0},
		{"one fragment more", 0, 3, stream(backend(text, "1"), backend(cont, ""), backend(cont, ""), backend(fin|cont, "")), 7, 1009},
		{"no fragments", 0, 1, stream(backend(fin|text, "1"), backend(text, ""), backend(fin|cont, "")), 5, 1009},
		{"a wrong frame, that is also too big", 3, 0, backend(fin|0x3, "1234"), 0, 1002},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := &wsframe.Rules{MaxMessage: tt.max, MaxFragments: tt.fragments}
			want := tt.pass
			if want < 0 {
				want = len(tt.stream)
			}
			for _, size := range []int{1, 3, 1 << 20} {
				var c wsframe.Checker
				o := feed(&c, tt.stream, r, nil, size)
				if got := code(t, o.err); got != tt.code || o.passed != want {
					t.Errorf("pieces of %d bytes: code %d, %d bytes passed; want %d, %d", size, got, o.passed, tt.code, want)
				}
			}
		})
	}
}

func TestL2MeterIsAskedOnceAMessage(t *testing.T) {
	p := stream(client(fin|text, "hello"), client(fin|ping, ""), client(binary, "a"), client(fin|pong, ""), client(fin|cont, "b"),
		client(fin|text, ""), client(fin|closing, ""))
	for _, whole := range []bool{false, true} {
		r := &wsframe.Rules{FromClient: true, Whole: whole, MaxMessage: 10}
		for _, size := range []int{1, 2, 7, 13, 1 << 20} {
			var c wsframe.Checker
			var m meter
			o := feed(&c, p, r, &m, size)
			if o.err != nil || o.passed != len(p) || m.asked != 3 || o.messages != 3 {
				t.Errorf("whole %v, pieces of %d bytes: asked %d times, %d messages, %d bytes, err %v; want 3, 3, %d",
					whole, size, m.asked, o.messages, o.passed, o.err, len(p))
			}
			c = wsframe.Checker{}
			m = meter{refuse: 2}
			o = feed(&c, p, r, &m, size)
			if !errors.Is(o.err, errMeter) || o.passed != 17 || o.messages != 1 || !c.AtBoundary() {
				t.Errorf("whole %v, pieces of %d bytes, the second refused: %d bytes, %d messages, boundary %v, err %v",
					whole, size, o.passed, o.messages, c.AtBoundary(), o.err)
			}
		}
	}
	// What is wrong anyway isn't asked about.
	for _, bad := range [][]byte{client(fin|0x20|text, ""), client(fin|text, "12345678901"), backend(fin|text, ""), client(fin|cont, "")} {
		var c wsframe.Checker
		var m meter
		if _, err := c.Check(bad, &wsframe.Rules{FromClient: true, MaxMessage: 10}, &m); err == nil || m.asked != 0 {
			t.Errorf("% x: asked %d times, err %v", bad, m.asked, err)
		}
	}
}
