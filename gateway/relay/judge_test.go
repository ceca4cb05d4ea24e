package relay_test

import (
	"errors"
	"io"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gobwas/ws"

	"github.com/portcullis-auth/portcullis"
	"github.com/portcullis-auth/portcullis/gateway/relay"
)

// judgement lets messages pass, but for those that say otherwise, and remembers
// them all.
type judgement struct {
	mu   sync.Mutex
	said []string
}

func (j *judgement) judge(s *portcullis.Session, text bool, payload []byte) relay.Verdict {
	j.mu.Lock()
	defer j.mu.Unlock()
	kind := "binary "
	if text {
		kind = "text "
	}
	j.said = append(j.said, s.Identity().Subject+" "+kind+string(payload))
	switch {
	case strings.Contains(string(payload), "drop"):
		return relay.Drop
	case strings.Contains(string(payload), "end"):
		return relay.End
	}
	return relay.Pass
}

// Messages are judged whole and unmasked, whatever pieces they come in; those
// that are dropped vanish, but for the control frames between their fragments.
func TestW5MessagesAreJudged(t *testing.T) {
	everyWay(t, func(t *testing.T, w way) {
		for name, send := range map[string]func(*end, []byte){"at once": func(e *end, b []byte) { _, _ = e.Write(b) }, "byte by byte": (*end).trickle} {
			t.Run(name, func(t *testing.T) {
				var j judgement
				l := newLineWith(t, w, relay.Options{Rules: &relay.Rules{Judge: j.judge, MaxMessage: 1000, Grace: patience}})
				pingFrame := with(text("ping"), 0x89)
				first := maskIf(true, text("first"), with(text("two "), 0x02), pingFrame, with(text("parts"), 0x80))
				dropped := maskIf(true, with(text("dr"), 0x01), pingFrame, with(text("op"), 0x00), with(text("pong"), 0x8A), with(text(""), 0x80))
				last := maskIf(true, text(""), pingFrame)
				closing := masked(ws.OpClose, "\x03\xe8")
				sent := make(chan struct{})
				go func() {
					defer close(sent)
					send(l.client, concat(first, dropped, last, maskIf(true, with(text("half of"), 0x01)), closing, last))
				}()
				l.backend.want(t, concat(first, maskIf(true, pingFrame, with(text("pong"), 0x8A)), last, closing))
				<-sent
				_ = l.backend.Close()
				_ = l.client.Close()
				if r := l.wait(); r.Cause != nil || r.MessagesFromBackend != 0 {
					t.Errorf("result %+v", r)
				}
				if got, want := strings.Join(j.said, "|"), "u text first|u binary two parts|u text drop|u text "; got != want {
					t.Errorf("judged %q, want %q", got, want)
				}
			})
		}
	})
}

func concat(parts ...[]byte) (all []byte) {
	for _, p := range parts {
		all = append(all, p...)
	}
	return all
}

// A message may end the socket. What came before it goes on, and nothing behind
// it.
func TestW5MessageEndsASocket(t *testing.T) {
	everyWay(t, func(t *testing.T, w way) {
		var j judgement
		l := newLineWith(t, w, relay.Options{Rules: &relay.Rules{Judge: j.judge, MaxMessage: 1000, Grace: patience}})
		l.client.send(t, maskIf(true, text("first"), text("the end"), text("later")))
		l.backend.want(t, maskIf(true, text("first")))
		l.backend.wantClose(t, 1008, "forbidden", true)
		l.client.wantClose(t, 1008, "forbidden", false)
		if r := l.wait(); !errors.Is(r.Cause, relay.ErrForbidden) || len(j.said) != 2 {
			t.Errorf("result %+v, judged %q", r, j.said)
		}
	})
}

// L1: messages of any size are judged, also when the backend takes its time, and
// nothing gets lost or stays behind.
func TestL1LargeMessagesAreJudged(t *testing.T) {
	everyWay(t, func(t *testing.T, w way) {
		var j judgement
		const size = 5 << 20
		l := newLineWith(t, w, relay.Options{Rules: &relay.Rules{Judge: j.judge, MaxMessage: size, Grace: patience}})
		large := masked(ws.OpBinary, strings.Repeat("x", size))
		go func() {
			_, _ = l.client.Write(concat(large, masked(ws.OpText, "small"), large, masked(ws.OpText, "small")))
		}()
		for range 2 {
			l.backend.want(t, large)
			l.backend.want(t, masked(ws.OpText, "small"))
		}
		l.quit()
	})
}

// What can't be judged isn't passed on: rules that can't be kept end the socket.
func TestW5RulesThatCannotBeKept(t *testing.T) {
	everyWay(t, func(t *testing.T, w way) {
		pass := func(*portcullis.Session, bool, []byte) relay.Verdict { return relay.Pass }
		for name, o := range map[string]relay.Options{
			"extension":   {Rules: &relay.Rules{Judge: pass, MaxMessage: 1000}, Extensions: "permessage-deflate"},
			"no bound":    {Rules: &relay.Rules{Judge: pass}},
			"transparent": {Rules: &relay.Rules{Judge: pass, MaxMessage: 1000, Transparent: true}},
		} {
			t.Run(name, func(t *testing.T) {
				o.Grace = patience
				l := newLineWith(t, w, o, string(masked(ws.OpText, "early")), string(plain(ws.OpText, "early")))
				l.client.wantClose(t, 1011, "internal_error", false)
				l.backend.wantClose(t, 1011, "internal_error", true)
				if r := l.wait(); !errors.Is(r.Cause, relay.ErrRules) || r.FromClient+r.FromBackend > 0 {
					t.Errorf("result %+v", r)
				}
			})
		}
	})
}

// L1: what a client may have held is bounded, however it is cut up.
func TestL1HeldMessagesAreBounded(t *testing.T) {
	everyWay(t, func(t *testing.T, w way) {
		var j judgement
		for name, frame := range map[string]ws.Frame{"pings": with(text(""), 0x89), "empty fragments": with(text(""), 0x00)} {
			t.Run(name, func(t *testing.T) {
				l := newLineWith(t, w, relay.Options{Rules: &relay.Rules{Judge: j.judge, MaxMessage: 1000, Grace: time.Second}})
				go func() {
					_, _ = l.client.Write(concat(maskIf(true, with(text("a"), 0x01)), []byte(strings.Repeat(string(maskIf(true, frame)), 2000))))
				}()
				l.client.wantClose(t, 1009, "too_big", false)
				if all, err := io.ReadAll(l.backend.r); err != nil || len(all) > 20 {
					t.Errorf("the backend got %d bytes, err %v; want a Close frame only", len(all), err)
				}
				_ = l.backend.Close()
				l.wait()
			})
		}
	})
}
