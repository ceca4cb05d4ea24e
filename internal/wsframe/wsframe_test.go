package wsframe_test

import (
	"bytes"
	"errors"
	"io"
	"slices"
	"testing"

	"github.com/gobwas/ws"

	"github.com/portcullis-auth/portcullis/internal/wsframe"
)

// frame returns a frame as gobwas/ws writes it.
func frame(tb testing.TB, op ws.OpCode, masked bool, payload []byte) []byte {
	tb.Helper()
	f := ws.NewFrame(op, true, payload)
	if masked {
		f = ws.MaskFrameWith(f, [4]byte{1, 2, 3, 4})
	}
	b, err := ws.CompileFrame(f)
	if err != nil {
		tb.Fatal(err)
	}
	return b
}

func TestFollowerFindsEveryBoundaryHoweverTheBytesAreCut(t *testing.T) {
	var stream []byte
	var want []int
	for _, size := range []int{0, 1, 125, 126, 127, 65535, 65536, 70000} {
		for _, masked := range []bool{false, true} {
			stream = append(stream, frame(t, ws.OpBinary, masked, make([]byte, size))...)
			want = append(want, len(stream))
		}
	}
	for _, piece := range []int{1, 2, 3, 7, 13, 1 << 10, len(stream)} {
		var f wsframe.Follower
		var got []int
		for at := 0; at < len(stream); {
			n, err := f.Next(stream[at:min(at+piece, len(stream))])
			if err != nil {
				t.Fatalf("piece %d: Next: %v", piece, err)
			}
			at += n
			if f.AtBoundary() {
				got = append(got, at)
			}
		}
		if !slices.Equal(got, want) {
			t.Errorf("pieces of %d bytes: boundaries %v, want %v", piece, got, want)
		}
	}
}

func TestFollowerSeesTheWholeCloseFrame(t *testing.T) {
	var f wsframe.Follower
	closing := wsframe.AppendClose(nil, 3000, "token_expired", nil)
	if err := f.Advance(closing[:len(closing)-1]); err != nil || f.Closed() {
		t.Fatalf("before the last byte: closed %v, err %v", f.Closed(), err)
	}
	if err := f.Advance(closing[len(closing)-1:]); err != nil || !f.Closed() {
		t.Errorf("after the last byte: closed %v, err %v", f.Closed(), err)
	}
}

func TestFollowerRefusesLengthWithHighestBit(t *testing.T) {
	var f wsframe.Follower
	_, err := f.Next([]byte{0x82, 127, 0x80, 0, 0, 0, 0, 0, 0, 0})
	if !errors.Is(err, wsframe.ErrLength) {
		t.Errorf("err = %v, want ErrLength", err)
	}
}

func TestFollowerAllocatesNothing(t *testing.T) {
	stream := frame(t, ws.OpText, true, make([]byte, 200))
	var f wsframe.Follower
	if n := testing.AllocsPerRun(100, func() { _ = f.Advance(stream) }); n != 0 {
		t.Errorf("%v allocations, want 0", n)
	}
}

func TestAppendCloseIsWhatOthersRead(t *testing.T) {
	mask := [4]byte{9, 8, 7, 6}
	for _, m := range []*[4]byte{nil, &mask} {
		b := wsframe.AppendClose(nil, 3003, "session_revoked", m)
		f, err := ws.ReadFrame(bytes.NewReader(b)) //nolint:staticcheck // what it reads is ours, and small
		if err != nil {
			t.Fatal(err)
		}
		if f.Header.Masked {
			f = ws.UnmaskFrame(f)
		}
		code, reason := ws.ParseCloseFrameData(f.Payload)
		if f.Header.OpCode != ws.OpClose || !f.Header.Fin || code != 3003 || reason != "session_revoked" {
			t.Errorf("masked %v: got %+v %d %q", m != nil, f.Header, code, reason)
		}
	}
	long := wsframe.AppendClose(nil, 1008, string(make([]byte, 500)), nil)
	if len(long) != 127 {
		t.Errorf("a long reason gives %d bytes, want 127", len(long))
	}
}

// FuzzFollower holds the Follower against gobwas/ws: whatever the bytes and
// however they are cut, both see the same boundaries.
func FuzzFollower(f *testing.F) {
	f.Add(frame(f, ws.OpText, false, []byte("hello")), 3)
	f.Add(append(frame(f, ws.OpBinary, true, make([]byte, 126)), frame(f, ws.OpClose, false, []byte{3, 232})...), 1)
	f.Add(frame(f, ws.OpBinary, false, make([]byte, 66000)), 1000)
	f.Add([]byte{0x82, 127, 0x80, 0, 0, 0, 0, 0, 0, 0, 1}, 2)
	f.Add([]byte{0x82, 126, 0, 1, 7, 0x81, 0}, 5)
	f.Fuzz(func(t *testing.T, stream []byte, piece int) {
		piece = min(max(piece, 1), 1<<16)

		var want []int // the oracle's boundaries
		wantErr := false
		for r := bytes.NewReader(stream); ; {
			h, err := ws.ReadHeader(r)
			if err != nil {
				wantErr = errors.Is(err, ws.ErrHeaderLengthMSB)
				break
			}
			if h.Length > int64(r.Len()) {
				break
			}
			if _, err := r.Seek(h.Length, io.SeekCurrent); err != nil {
				t.Fatal(err)
			}
			want = append(want, len(stream)-r.Len())
		}

		var follower wsframe.Follower
		var got []int
		var gotErr error
		for at := 0; at < len(stream) && gotErr == nil; {
			n, err := follower.Next(stream[at:min(at+piece, len(stream))])
			if n == 0 && err == nil {
				t.Fatal("no progress")
			}
			at += n
			gotErr = err
			if err == nil && follower.AtBoundary() {
				got = append(got, at)
			}
			if follower.AtRest() {
				follower = wsframe.Follower{}
			}
		}
		if !slices.Equal(got, want) || (gotErr != nil) != wantErr {
			t.Errorf("boundaries %v (err %v), gobwas/ws says %v (err %v)", got, gotErr, want, wantErr)
		}
	})
}

func BenchmarkFollower(b *testing.B) {
	var stream []byte
	for range 100 {
		stream = append(stream, frame(b, ws.OpText, true, make([]byte, 64))...)
	}
	b.SetBytes(int64(len(stream)))
	var f wsframe.Follower
	for b.Loop() {
		_ = f.Advance(stream)
	}
}
