package wsframe_test

import (
	"bytes"
	"strings"
	"testing"

	"github.com/portcullis-auth/portcullis/internal/wsframe"
)

func TestPayloadAndControls(t *testing.T) {
	long := strings.Repeat("a long payload, 126 bytes and more; ", 2000) // 72,000
	pinged := client(fin|ping, "1")
	for _, tt := range []struct {
		name     string
		frames   []byte
		opcode   byte
		payload  string
		controls []byte
	}{
		{"nothing", nil, 0, "", nil},
		{"text", client(fin|text, "hello"), text, "hello", nil},
		{"text from the backend", backend(fin|text, "hello"), text, "hello", nil},
		{"empty", client(fin|binary, ""), binary, "", nil},
		{"126 bytes", client(fin|binary, long[:126]), binary, long[:126], nil},
		{"long", client(fin|binary, long), binary, long, nil},
		{"fragments", stream(client(text, "hel"), client(cont, ""), client(fin|cont, "lo, world")), text, "hello, world", nil},
		{"control frames", stream(pinged, client(binary, "a"), pinged, client(fin|pong, ""), client(fin|cont, "b")), binary, "ab", stream(pinged, pinged, client(fin|pong, ""))},
		{"control frames only", stream(pinged, client(fin|closing, "\x03\xE8")), 0, "", stream(pinged, client(fin|closing, "\x03\xE8"))},
		{"no whole message", stream(client(text, "a"), pinged), 0, "", pinged},
		{"continuation of nothing", client(fin|cont, "a"), 0, "", nil},
		{"no whole frame", client(fin|text, "hello")[:10], 0, "", nil},
		{"no whole header", client(fin|text, "hello")[:5], 0, "", nil},
		{"a length beyond", []byte{fin | ping, 127, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF}, 0, "", nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			frames := bytes.Clone(tt.frames)
			opcode, payload := wsframe.Payload([]byte("before "), frames)
			if opcode != tt.opcode || string(payload) != "before "+tt.payload {
				t.Errorf("Payload: %d, %.40q, want %d, %.40q", opcode, payload, tt.opcode, "before "+tt.payload)
			}
			if got := wsframe.Controls([]byte("before "), frames); string(got) != "before "+string(tt.controls) {
				t.Errorf("Controls: % x, want % x", got, tt.controls)
			}
			if !bytes.Equal(frames, tt.frames) {
				t.Error("the frames have been changed")
			}
			if got := wsframe.Controls(frames[:0], frames); !bytes.Equal(got, tt.controls) {
				t.Errorf("Controls in place: % x, want % x", got, tt.controls)
			}
		})
	}
}
