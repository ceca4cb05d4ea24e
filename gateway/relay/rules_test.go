package relay_test

import (
	"bytes"
	"errors"
	"io"
	"net"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/gobwas/ws"

	"github.com/portcullis-auth/portcullis"
	"github.com/portcullis-auth/portcullis/gateway/relay"
	"github.com/portcullis-auth/portcullis/internal/wsframe"
)

// maskIf masks frames that a client sends.
func maskIf(client bool, frames ...ws.Frame) (b []byte) {
	for _, f := range frames {
		if client {
			f = ws.MaskFrameWith(f, [4]byte{1, 2, 3, 4})
		}
		b = append(b, ws.MustCompileFrame(f)...)
	}
	return b
}

// with returns the frame with other bits in its first byte.
func with(f ws.Frame, first byte) ws.Frame {
	f.Header.Fin, f.Header.OpCode, f.Header.Rsv = first&0x80 != 0, ws.OpCode(first&0x0F), first>>4&7
	return f
}

func text(s string) ws.Frame { return ws.NewTextFrame([]byte(s)) }

// An offence is what a side may not send.
type offence struct {
	name   string
	bad    func(client bool) []byte
	rules  relay.Rules
	code   ws.StatusCode
	reason string
}

var offences = []offence{
	{"mask", func(client bool) []byte { return maskIf(!client, text("bad")) }, relay.Rules{}, 1002, "protocol_error"},
	{"reserved bit", func(client bool) []byte { return maskIf(client, with(text("bad"), 0xC1)) }, relay.Rules{}, 1002, "protocol_error"},
	{"opcode", func(client bool) []byte { return maskIf(client, with(text("bad"), 0x83)) }, relay.Rules{}, 1002, "protocol_error"},
	{"long ping", func(client bool) []byte { return maskIf(client, with(text(strings.Repeat("x", 126)), 0x89)) }, relay.Rules{}, 1002, "protocol_error"},
	{"ping in fragments", func(client bool) []byte { return maskIf(client, with(text("x"), 0x09)) }, relay.Rules{}, 1002, "protocol_error"},
	{"continuation of nothing", func(client bool) []byte { return maskIf(client, with(text("x"), 0x80)) }, relay.Rules{}, 1002, "protocol_error"},
	{"close code", func(client bool) []byte { return maskIf(client, with(text("\x03\xed"), 0x88)) }, relay.Rules{}, 1002, "protocol_error"},
	{"close reason", func(client bool) []byte { return maskIf(client, with(text("\x03\xe8\xff"), 0x88)) }, relay.Rules{}, 1007, "invalid_text"},
	{"text", func(client bool) []byte { return maskIf(client, text("bad\xff")) }, relay.Rules{UTF8: true}, 1007, "invalid_text"},
}

// W5: who breaks a rule about frames is told, and so is the other side: of a bad
// client with the same words, of a bad backend as of one that failed. Nothing of
// the bad frame goes on; what was sent before it does.
func TestW5WhoBreaksARuleIsTold(t *testing.T) {
	everyWay(t, func(t *testing.T, w way) {
		for _, o := range offences {
			for _, who := range []string{"client", "backend"} {
				for _, pieces := range []string{"at once", "byte by byte"} {
					if o.name == "text" && pieces != "at once" {
						continue // some of it may pass: see below
					}
					t.Run(o.name+" by "+who+" "+pieces, func(t *testing.T) {
						rules := o.rules
						rules.Grace = patience
						l := newLineWith(t, w, relay.Options{Rules: &rules})
						from, to, fromClient := l.client, l.backend, who == "client"
						cause, code, reason := relay.ErrClientFrames, o.code, o.reason
						if !fromClient {
							from, to = to, from
							cause, code, reason = relay.ErrBackendFrames, 1011, "backend_error"
						}
						good := maskIf(fromClient, text("good"), with(text("good"), 0x89))
						bad := o.bad(fromClient)
						if pieces == "at once" {
							from.send(t, append(append(bytes.Clone(good), bad...), good...))
						} else {
							from.trickle(append(bytes.Clone(good), bad...))
						}
						to.want(t, good)
						to.wantClose(t, code, reason, fromClient)
						from.wantClose(t, o.code, o.reason, !fromClient)
						r := l.wait()
						var v *wsframe.Violation
						if !errors.Is(r.Cause, cause) || !errors.As(r.Cause, &v) || r.BackendAborted || r.FromClient+r.FromBackend != int64(len(good)) {
							t.Errorf("result %+v", r)
						}
						if want := map[bool]ws.StatusCode{true: o.code, false: 1011}[fromClient]; r.Code != int(want) || r.MessagesFromClient+r.MessagesFromBackend < 1 {
							t.Errorf("result %+v, want code %d", r, want)
						}
					})
				}
			}
		}
	})
}

// trickle sends byte by byte, as long as somebody takes it.
func (e *end) trickle(p []byte) {
	if t, ok := e.Conn.(*net.TCPConn); ok {
		_ = t.SetNoDelay(true)
	}
	for i := range p {
		if _, err := e.Write(p[i : i+1]); err != nil {
			return
		}
	}
}

// cut wants a side to be cut in the middle of a frame.
func cut(t *testing.T, e *end, frame []byte) {
	t.Helper()
	got, err := io.ReadAll(e.r)
	if err == nil || len(got) >= len(frame) || !bytes.HasPrefix(frame, got) {
		t.Errorf("% x, err %v; want less than % x, and an error", got, err, frame)
	}
}

// W5: a frame to the client that had begun when the client breaks a rule is
// finished, as at the end of an authorization; one to the backend isn't.
func TestW5EndInsideOfFrames(t *testing.T) {
	everyWay(t, func(t *testing.T, w way) {
		t.Run("to the client", func(t *testing.T) {
			l := newLine(t, w, patience)
			frame := plain(ws.OpBinary, strings.Repeat("z", 200_000))
			l.backend.send(t, frame[:500])
			l.client.want(t, frame[:500])
			l.client.send(t, plain(ws.OpText, "not masked"))
			l.backend.wantClose2(t, 1002, "protocol_error", true)
			go func() { _, _ = l.backend.Write(append(bytes.Clone(frame[500:]), plain(ws.OpText, "too late")...)) }()
			l.client.want(t, frame[500:])
			l.client.wantClose(t, 1002, "protocol_error", false)
			_ = l.backend.Close()
			l.wait()
		})
		t.Run("to the backend", func(t *testing.T) {
			l := newLine(t, w, patience)
			frame := masked(ws.OpBinary, strings.Repeat("z", 1000))
			l.client.send(t, frame[:500])
			l.backend.want(t, frame[:500])
			l.backend.send(t, masked(ws.OpText, "masked"))
			l.client.wantClose(t, 1011, "backend_error", false)
			if rest, err := io.ReadAll(l.backend.r); len(rest) > 0 || err == nil {
				t.Errorf("the backend got % x, err %v; want an error", rest, err)
			}
			if r := l.wait(); !r.BackendAborted || !errors.Is(r.Cause, relay.ErrBackendFrames) {
				t.Errorf("result %+v", r)
			}
		})
	})
}

// wantClose2 wants a Close frame now; the connection stays open.
func (e *end) wantClose2(t *testing.T, code ws.StatusCode, reason string, masked bool) {
	t.Helper()
	want := maskedAs(e, ws.NewCloseFrame(ws.NewCloseFrameBody(code, reason)), masked)
	e.want(t, want)
}

// maskedAs returns the frame with the mask that comes next.
func maskedAs(e *end, f ws.Frame, masked bool) []byte {
	if masked {
		if head, err := e.r.Peek(6); err == nil {
			f = ws.MaskFrameWith(f, [4]byte(head[2:]))
		}
	}
	return ws.MustCompileFrame(f)
}

// W5: text is judged as it comes; the frame that it is in goes no further.
func TestW5TextIsJudgedInsideOfFrames(t *testing.T) {
	everyWay(t, func(t *testing.T, w way) {
		rules := &relay.Rules{UTF8: true, Grace: patience}
		payload := strings.Repeat("ä", 500) + "\xff" + strings.Repeat("x", 500)
		t.Run("client", func(t *testing.T) {
			l := newLineWith(t, w, relay.Options{Rules: rules})
			frame := masked(ws.OpText, payload)
			l.client.send(t, frame[:700])
			l.backend.want(t, frame[:700])
			l.client.send(t, frame[700:])
			cut(t, l.backend, frame[700:])
			l.client.wantClose(t, 1007, "invalid_text", false)
			if r := l.wait(); !r.BackendAborted || !errors.Is(r.Cause, relay.ErrClientFrames) {
				t.Errorf("result %+v", r)
			}
		})
		t.Run("backend", func(t *testing.T) {
			l := newLineWith(t, w, relay.Options{Rules: rules})
			frame := plain(ws.OpText, payload)
			l.backend.send(t, frame[:700])
			l.client.want(t, frame[:700])
			l.backend.send(t, frame[700:])
			cut(t, l.client, frame[700:])
			l.backend.wantClose(t, 1007, "invalid_text", true)
			if r := l.wait(); r.BackendAborted || !errors.Is(r.Cause, relay.ErrBackendFrames) {
				t.Errorf("result %+v", r)
			}
		})
	})
}

// W5: transparent follows boundaries only.
func TestW5TransparentLetsEverythingPass(t *testing.T) {
	everyWay(t, func(t *testing.T, w way) {
		l := newLineWith(t, w, relay.Options{Rules: &relay.Rules{Transparent: true, Grace: patience, UTF8: true, MaxMessage: 1}})
		for _, o := range offences {
			if strings.HasPrefix(o.name, "close") {
				continue
			}
			l.client.send(t, o.bad(true))
			l.backend.want(t, o.bad(true))
			l.backend.send(t, o.bad(false))
			l.client.want(t, o.bad(false))
		}
		l.client.send(t, append(masked(ws.OpClose, ""), "behind"...))
		l.backend.want(t, append(masked(ws.OpClose, ""), "behind"...))
		l.quit()
	})
}

// W5: a reserved bit needs the extension that it is for.
func TestW5ReservedBits(t *testing.T) {
	everyWay(t, func(t *testing.T, w way) {
		for extensions, ok := range map[string]bool{
			"permessage-deflate": true,
			"x-other, permessage-deflate; server_no_context_takeover": true,
			"x-other": false,
		} {
			l := newLineWith(t, w, relay.Options{Rules: &relay.Rules{Grace: patience}, Extensions: extensions})
			frame := maskIf(true, with(text("deflated"), 0xC1))
			l.client.send(t, frame)
			if !ok {
				l.client.wantClose(t, 1002, "protocol_error", false)
				l.backend.wantClose(t, 1002, "protocol_error", true)
				l.wait()
				continue
			}
			l.backend.want(t, frame)
			l.backend.send(t, maskIf(false, with(text("deflated"), 0xC1)))
			l.client.want(t, maskIf(false, with(text("deflated"), 0xC1)))
			l.quit()
		}
	})
}

// W5: frames that come byte by byte are the same frames.
func TestW5FramesInPieces(t *testing.T) {
	everyWay(t, func(t *testing.T, w way) {
		l := newLineWith(t, w, relay.Options{Rules: &relay.Rules{UTF8: true, Grace: patience}})
		for fromClient, ends := range map[bool][2]*end{true: {l.client, l.backend}, false: {l.backend, l.client}} {
			stream := maskIf(fromClient, with(text("ä"), 0x01), with(text("ping"), 0x89), with(text(strings.Repeat("ö", 100)), 0x80), text(""),
				ws.NewCloseFrame(ws.NewCloseFrameBody(1000, strings.Repeat("x", 100))))
			sent := make(chan struct{})
			go func() { defer close(sent); ends[0].trickle(stream) }()
			ends[1].want(t, stream)
			<-sent
		}
		l.client.Close()
		l.backend.Close()
		if r := l.wait(); r.Cause != nil || r.MessagesFromClient != 2 || r.MessagesFromBackend != 2 {
			t.Errorf("result %+v", r)
		}
	})
}

// L2: a client's messages are bounded, as the headers announce them; a backend's
// aren't.
func TestL2MessagesAreBounded(t *testing.T) {
	everyWay(t, func(t *testing.T, w way) {
		rules := &relay.Rules{MaxMessage: 1000, MaxFragments: 2, Grace: patience}
		for name, bad := range map[string][]byte{
			"size":                maskIf(true, text(strings.Repeat("x", 1001)))[:8],
			"size in fragments":   maskIf(true, with(text(strings.Repeat("x", 600)), 0x01), with(text(strings.Repeat("x", 401)), 0x80)),
			"number of fragments": maskIf(true, with(text("a"), 0x01), with(text("b"), 0x00), with(text("c"), 0x80)),
		} {
			t.Run(name, func(t *testing.T) {
				l := newLineWith(t, w, relay.Options{Rules: rules})
				large := plain(ws.OpText, strings.Repeat("x", 5000))
				l.backend.send(t, large)
				l.client.want(t, large)
				l.client.send(t, masked(ws.OpText, strings.Repeat("x", 1000)))
				l.backend.want(t, masked(ws.OpText, strings.Repeat("x", 1000)))
				l.client.send(t, bad)
				l.client.wantClose(t, 1009, "too_big", false)
				_, _ = io.Copy(io.Discard, l.backend.r)
				_ = l.backend.Close()
				if r := l.wait(); !errors.Is(r.Cause, relay.ErrClientFrames) || r.Code != 1009 {
					t.Errorf("result %+v", r)
				}
			})
		}
	})
}

// A meter takes so much and no more.
type meter struct {
	messages, bytes         atomic.Int64
	mostMessages, mostBytes int64
}

var errMeter = errors.New("that is enough")

func (m *meter) Message() error {
	if m.messages.Add(1) > m.mostMessages {
		return errMeter
	}
	return nil
}

func (m *meter) Bytes(n int) error {
	if m.bytes.Add(int64(n)) > m.mostBytes {
		return errMeter
	}
	return nil
}

// L2: what a client may send is metered, each byte and each message of its once,
// however they come.
func TestL2MeterEndsASocket(t *testing.T) {
	everyWay(t, func(t *testing.T, w way) {
		message := maskIf(true, with(text("ab"), 0x01), with(text(""), 0x89), with(text("c"), 0x80))
		for _, tt := range []struct {
			name  string
			meter *meter
			judge relay.Judge
		}{
			{"messages", &meter{mostMessages: 3, mostBytes: 1 << 20}, nil},
			{"bytes", &meter{mostMessages: 1 << 20, mostBytes: int64(3 * len(message))}, nil},
			{"messages that are judged", &meter{mostMessages: 3, mostBytes: 1 << 20}, func(*portcullis.Session, bool, []byte) relay.Verdict { return relay.Pass }},
		} {
			t.Run(tt.name, func(t *testing.T) {
				l := newLineWith(t, w, relay.Options{Rules: &relay.Rules{Grace: patience, Judge: tt.judge, MaxMessage: 1000}, Meter: tt.meter})
				for range 3 {
					go l.client.trickle(message)
					l.backend.want(t, message)
					l.backend.send(t, plain(ws.OpText, strings.Repeat("x", 100))) // isn't metered
					l.client.want(t, plain(ws.OpText, strings.Repeat("x", 100)))
				}
				if m, b := tt.meter.messages.Load(), tt.meter.bytes.Load(); m != 3 || b != int64(3*len(message)) {
					t.Errorf("%d messages and %d bytes are metered, want 3 and %d", m, b, 3*len(message))
				}
				l.client.send(t, message)
				l.client.wantClose(t, 1008, "limit", false)
				l.backend.wantClose(t, 1008, "limit", true)
				if r := l.wait(); !errors.Is(r.Cause, relay.ErrLimit) || !errors.Is(r.Cause, errMeter) || r.FromClient != int64(3*len(message)) {
					t.Errorf("result %+v", r)
				}
			})
		}
	})
}

// R2: who is being told goodbye is told once: a revocation that comes meanwhile
// changes nothing.
func TestR2EndsDontMix(t *testing.T) {
	everyWay(t, func(t *testing.T, w way) {
		l := newLine(t, w, patience)
		l.client.send(t, plain(ws.OpText, "not masked"))
		l.client.wantClose2(t, 1002, "protocol_error", false)
		l.backend.wantClose2(t, 1002, "protocol_error", true)
		l.revoke()
		for _, e := range []*end{l.client, l.backend} {
			if rest, err := io.ReadAll(e.r); len(rest) > 0 || err != nil {
				t.Errorf("behind the Close frame: % x, err %v", rest, err)
			}
			_ = e.Close()
		}
		if r := l.wait(); !errors.Is(r.Cause, relay.ErrClientFrames) || r.Reason != "protocol_error" {
			t.Errorf("result %+v", r)
		}
	})
}

// What came with the handshakes keeps to the rules too.
func TestW5EarlyBytesAreJudged(t *testing.T) {
	everyWay(t, func(t *testing.T, w way) {
		good, bad := masked(ws.OpText, "good"), plain(ws.OpText, "bad")
		l := newLine(t, w, patience, string(good)+string(bad), "")
		l.backend.want(t, good)
		l.client.wantClose(t, 1002, "protocol_error", false)
		l.backend.wantClose(t, 1002, "protocol_error", true)
		l.wait()
	})
}
