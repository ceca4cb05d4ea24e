package wsframe_test

import (
	"bytes"
	"strings"
	"testing"

	"github.com/portcullis-auth/portcullis/internal/wsframe"
)

// frames returns many frames of a size.
func frames(fromClient bool, payload string) []byte {
	frame := raw(fromClient, fin|text, payload)
	return bytes.Repeat(frame, max(1, 16<<10/len(frame)))
}

// Compare "follower" with "checker": what the rules cost a relay that reads no
// payload.
func BenchmarkFrames(b *testing.B) {
	for _, size := range []int{64, 4096} {
		p := frames(true, strings.Repeat("a", size))
		name := map[int]string{64: "64B", 4096: "4KiB"}[size]
		b.Run("follower/"+name, func(b *testing.B) {
			b.SetBytes(int64(len(p)))
			var f wsframe.Follower
			for b.Loop() {
				_ = f.Advance(p)
			}
		})
		b.Run("checker/"+name, func(b *testing.B) {
			check(b, p, &wsframe.Rules{FromClient: true, Reserved: deflated, MaxMessage: 1 << 20})
		})
	}
}

func BenchmarkText(b *testing.B) {
	for _, text := range []struct{ name, payload string }{
		{"ascii", strings.Repeat("plain text ", 400)},
		{"mixed", strings.Repeat("Dünne Häute, größere Mühe ", 200)},
		{"cyrillic", strings.Repeat("мир труд май ", 300)},
	} {
		for _, fromClient := range []bool{false, true} {
			name := text.name + map[bool]string{false: "/plain", true: "/masked"}[fromClient]
			b.Run(name, func(b *testing.B) {
				check(b, frames(fromClient, text.payload), &wsframe.Rules{FromClient: fromClient, UTF8: true})
			})
		}
	}
}

func check(b *testing.B, p []byte, r *wsframe.Rules) {
	b.SetBytes(int64(len(p)))
	var c wsframe.Checker
	for b.Loop() {
		if n, err := c.Check(p, r, nil); n != len(p) || err != nil {
			b.Fatal(n, err)
		}
	}
}
