package wsframe_test

import (
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/portcullis-auth/portcullis/internal/wsframe"
)

// viable reports whether UTF-8 can begin so.
func viable(s string) bool {
	for len(s) > 0 {
		if !utf8.FullRuneInString(s) {
			return true // it says false for what is wrong already
		}
		r, size := utf8.DecodeRuneInString(s)
		if r == utf8.RuneError && size == 1 {
			return false
		}
		s = s[size:]
	}
	return true
}

// All that a character can begin with, and what is next to each border behind
// that: the verdict is utf8's, and comes with the first byte that is wrong.
func TestW5TextIsUTF8(t *testing.T) {
	var all []string
	next := func(s string, bytes string) (longer []string) {
		for i := range len(bytes) {
			longer = append(longer, s+bytes[i:i+1])
		}
		all = append(all, longer...)
		return longer
	}
	var each [256]byte
	for i := range each {
		each[i] = byte(i)
	}
	for _, a := range next("", string(each[:])) {
		if a < "\xC0" {
			continue
		}
		for _, b := range next(a, string(each[:])) {
			if a < "\xE0" || b[1] < 0x7E || b[1] > 0xC1 {
				continue
			}
			for _, c := range next(b, "A\x7F\x80\xBF\xC0") {
				if a >= "\xF0" {
					next(c, "A\x7F\x80\xBF\xC0")
				}
			}
		}
	}
	verdict := func(s string, fromClient bool) int {
		r := &wsframe.Rules{UTF8: true, FromClient: fromClient}
		frame := raw(fromClient, fin|text, s)
		var c wsframe.Checker
		n, err := c.Check(frame, r, nil)
		if err == nil && n != len(frame) {
			t.Errorf("%q: %d bytes pass", s, n)
		}
		return code(t, err)
	}
	for _, s := range all {
		want := 0
		if !utf8.ValidString(s) {
			want = 1007
		}
		for _, fromClient := range []bool{false, true} {
			// Byte for byte, and at a glance, at places of a word that differ.
			for _, s := range []string{s, s + "12345678", "123" + s + "12345"} {
				if got := verdict(s, fromClient); got != want {
					t.Fatalf("%q, masked %v: code %d, want %d", s, fromClient, got, want)
				}
			}
			// All but the last byte: wrong only if no byte could make it right.
			frame := raw(fromClient, fin|text, s)
			var c wsframe.Checker
			_, err := c.Check(frame[:len(frame)-1], &wsframe.Rules{UTF8: true, FromClient: fromClient}, nil)
			if (err == nil) != viable(s[:len(s)-1]) {
				t.Fatalf("%q, masked %v, without its last byte: err %v", s, fromClient, err)
			}
		}
	}
}

func TestW5TextInPieces(t *testing.T) {
	const word = "aé€𐍈" // 1, 2, 3 and 4 bytes
	long := strings.Repeat("All ASCII, more than eight bytes. ", 3)
	for _, tt := range []struct {
		name  string
		parts []string
		wrong int // the byte of the whole text that is wrong; -1: none, -2: it ends too early
	}{
		{"nothing", []string{""}, -1},
		{"nothing in fragments", []string{"", "", ""}, -1},
		{"one frame", []string{word}, -1},
		{"cut in each character", []string{"a\xC3", "\xA9\xE2", "\x82\xAC\xF0\x90", "", "\x8D", "\x88"}, -1},
		{"long", []string{long + word + long, long, word}, -1},
		{"wrong behind ASCII", []string{long + "\x80" + long}, len(long)},
		{"wrong in the second fragment", []string{long + word, "abc\xC0\x80"}, len(long+word) + 3},
		{"wrong across fragments", []string{long + "\xE2", "a"}, len(long) + 1},
		{"wrong across fragments, at a glance", []string{long + "\xE2", long}, len(long) + 1},
		{"surrogate across fragments", []string{"\xED", "\xA0\x80"}, 1},
		{"beyond U+10FFFF across fragments", []string{"\xF4", "\x90"}, 1},
		{"overlong across fragments", []string{"\xE0", "\x9F\x80"}, 1},
		{"overlong of four bytes across fragments", []string{"\xF0", "\x8F\x80\x80"}, 1},
		{"ends in a character", []string{long + "\xE2\x82"}, -2},
		{"ends in a character, empty fragment", []string{"\xE2\x82", ""}, -2},
		{"ends in a character, 4 bytes", []string{"\xF0\x90\x8D"}, -2},
	} {
		t.Run(tt.name, func(t *testing.T) {
			for _, fromClient := range []bool{false, true} {
				var p []byte
				decisive, at := -1, 0 // the byte of the stream that decides
				for i, part := range tt.parts {
					first := byte(cont)
					if i == 0 {
						first = text
					}
					if i == len(tt.parts)-1 {
						first |= fin
					}
					p = append(p, raw(fromClient, first, part)...)
					if at <= tt.wrong && tt.wrong < at+len(part) {
						decisive = len(p) - (at + len(part) - tt.wrong)
					}
					at += len(part)
					if i < len(tt.parts)-1 { // pings are no text
						p = append(p, raw(fromClient, fin|ping, "\xFF\xC3")...)
					}
				}
				if tt.wrong == -2 {
					decisive = len(p) - 1
				}
				// Another message, of which nothing of the first one is remembered.
				p = append(p, raw(fromClient, fin|text, word)...)
				p = append(p, raw(fromClient, fin|binary, "\xFF")...)
				for size := 1; size < 40; size++ {
					r := &wsframe.Rules{FromClient: fromClient, UTF8: true}
					var c wsframe.Checker
					o := feed(&c, p, r, nil, size)
					switch {
					case decisive < 0:
						if o.err != nil || o.passed != len(p) {
							t.Errorf("masked %v, pieces of %d bytes: %d of %d bytes passed, err %v", fromClient, size, o.passed, len(p), o.err)
						}
					case code(t, o.err) != 1007 || o.offered <= decisive || o.offered > decisive+size || o.passed > decisive:
						t.Errorf("masked %v, pieces of %d bytes: %d bytes passed, %d offered, err %v; byte %d decides",
							fromClient, size, o.passed, o.offered, o.err, decisive)
					}
				}
			}
		})
	}
}

func TestW5CompressedTextIsNotRead(t *testing.T) {
	r := &wsframe.Rules{UTF8: true, Reserved: deflated}
	p := stream(backend(deflated|text, "\xFF\xFF"), backend(fin|cont, "\xFF"))
	var c wsframe.Checker
	if n, err := c.Check(p, r, nil); n != len(p) || err != nil {
		t.Errorf("%d bytes pass, err %v", n, err)
	}
	if n, err := c.Check(backend(fin|text, "\xFF"), r, nil); n != 0 || code(t, err) != 1007 {
		t.Errorf("the next message, which isn't compressed: %d bytes pass, err %v", n, err)
	}
}
