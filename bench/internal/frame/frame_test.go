package frame_test

import (
	"bytes"
	"testing"

	"github.com/gobwas/ws"

	"github.com/portcullis-auth/portcullis/bench/internal/frame"
)

// Each length form, in pieces of every size, as gobwas/ws writes and reads it.
func TestFrames(t *testing.T) {
	var stream, own []byte
	var want [][]byte
	for _, masked := range []bool{false, true} {
		for _, size := range []int{0, 1, 64, 125, 126, 300, 0xffff, 0x10000, 70001} {
			payload := make([]byte, size)
			for i := range payload {
				payload[i] = byte(i * 7)
			}
			f := ws.NewBinaryFrame(bytes.Clone(payload))
			if masked {
				f = ws.MaskFrameInPlaceWith(f, frame.Key)
			}
			stream = append(stream, ws.MustCompileFrame(f)...)
			own = frame.Append(own, frame.Binary, payload, masked)
			want = append(want, payload)
		}
	}
	if !bytes.Equal(stream, own) {
		t.Fatal("Append writes something else than gobwas/ws")
	}
	for _, piece := range []int{1, 2, 3, 7, 64, 1000, 65550, len(stream)} {
		var r frame.Reader
		var got [][]byte
		var now []byte
		in := bytes.Clone(stream)
		for len(in) > 0 {
			b := in[:min(piece, len(in))]
			in = in[len(b):]
			for len(b) > 0 {
				var payload []byte
				payload, b = r.Take(b)
				if r.First {
					now = []byte{}
					if r.Op != frame.Binary {
						t.Fatalf("opcode %d", r.Op)
					}
				}
				now = append(now, payload...)
				if r.Done() {
					got = append(got, now)
				}
			}
		}
		if len(got) != len(want) {
			t.Fatalf("pieces of %d: %d frames, want %d", piece, len(got), len(want))
		}
		for i := range got {
			if !bytes.Equal(got[i], want[i]) {
				t.Errorf("pieces of %d: frame %d differs", piece, i)
			}
		}
	}
}
