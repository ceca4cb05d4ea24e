package gateway_test

import (
	"strings"
	"testing"

	"github.com/gobwas/ws"

	"github.com/portcullis-auth/portcullis/dev/issuer"
)

// W5, L2: how a route treats frames. Each row is what a client sends after a
// good message, and how its socket ends.
func TestW5L2Frames(t *testing.T) {
	h := open(t, newBackend(), `
routes:
  - {path: /, backend: BACKEND}
  - {path: /text, backend: BACKEND, utf8: true}
  - {path: /lax, backend: BACKEND, frames: transparent}
  - {path: /small, backend: BACKEND, limits: {message_size: 20, fragments: 2}}
  - {path: /slow, backend: BACKEND, limits: {messages_per_second: 3}}
  - {path: /user, backend: BACKEND, limits: {messages_per_user: 3}}
  - {path: /thin, backend: BACKEND, limits: {bytes_per_second: 100}}
`)
	bearer := "Authorization: Bearer " + h.token("alice", issuer.TokenOptions{}).Access
	masked := func(s string) string { return string(ws.MustCompileFrame(ws.MaskFrame(ws.NewTextFrame([]byte(s))))) }
	for _, tt := range []struct {
		name, path, send string
		code             int
		reason           string
	}{
		{"not masked", "/", "\x81\x01x", 1002, "protocol_error"},
		{"reserved bit", "/", "\xc1\x80\x00\x00\x00\x00", 1002, "protocol_error"},
		{"unknown opcode", "/", "\x83\x80\x00\x00\x00\x00", 1002, "protocol_error"},
		{"fragmented ping", "/", "\x09\x80\x00\x00\x00\x00", 1002, "protocol_error"},
		{"Close code", "/", "\x88\x82\x00\x00\x00\x00\x03\xed", 1002, "protocol_error"},
		{"a length of 2^63", "/", "\x82\xff\x80\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00", 1002, "protocol_error"},
		{"text that isn't UTF-8", "/text", masked("\xff"), 1007, "invalid_text"},
		{"larger than the bound", "/small", masked(strings.Repeat("x", 21)), 1009, "too_big"},
		{"declared larger", "/small", "\x81\xff\x00\x00\x00\xff\xff\xff\xff\xff\x00\x00\x00\x00", 1009, "too_big"},
		{"three fragments", "/small", strings.Repeat("\x01\x80\x00\x00\x00\x00", 1) + "\x00\x80\x00\x00\x00\x00\x80\x80\x00\x00\x00\x00", 1009, "too_big"},
		{"many messages", "/slow", strings.Repeat(masked("x"), 10), 1008, "limit"},
		{"many messages of a user", "/user", strings.Repeat(masked("x"), 10), 1008, "limit"},
		{"many bytes", "/thin", strings.Repeat(masked(strings.Repeat("x", 100)), 5), 1008, "limit"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			h.t = t
			c := h.socket(tt.path, bearer)
			c.text("hi")
			c.want("alice: hi")
			if _, err := c.Write([]byte(tt.send)); err != nil {
				t.Fatal(err)
			}
			c.wantClose(tt.code, tt.reason)
			why := `"why":"client's frames break a rule`
			if tt.reason == "limit" {
				why = `"why":"client sends too much`
			}
			eventually(t, "the log says why", func() bool { return strings.Contains(h.log.String(), why) })
		})
	}
	c := h.socket("/lax", bearer)
	_ = ws.WriteFrame(c.Conn, ws.NewTextFrame([]byte("not masked"))) // the backend's matter
	f, err := ws.ReadFrame(c.r)                                      //nolint:staticcheck // what it reads is ours, and small
	if code, reason := ws.ParseCloseFrameData(f.Payload); reason == "protocol_error" {
		t.Errorf("transparent: Close %d %q, err %v", code, reason, err)
	}
}

// A rule for messages: what it doesn't allow is dropped, or ends the socket.
// Nothing is compressed there, whatever the client offers.
func TestMessageRules(t *testing.T) {
	b := newBackend()
	h := open(t, b, `
routes:
  - {path: /drop, backend: BACKEND, messages: {allow: 'message.json.type in ["chat"] && message.size < 50', otherwise: drop}}
  - {path: /close, backend: BACKEND, messages: {allow: 'message.type == "text" && message.json.user == identity.subject'}}
`)
	bearer := "Authorization: Bearer " + h.token("alice", issuer.TokenOptions{}).Access
	c := h.socket("/drop", bearer, "Sec-WebSocket-Extensions: permessage-deflate")
	if got := b.header().Get("Sec-Websocket-Extensions"); got != "" {
		t.Errorf("the backend was offered %q", got)
	}
	for _, text := range []string{`{"type":"admin"}`, `{"type":"chat","pad":"` + strings.Repeat("x", 50) + `"}`, "no JSON", `{"type":"chat","type":"chat"}`} {
		c.text(text)
	}
	c.text(`{"type":"chat"}`)
	c.want(`alice: {"type":"chat"}`) // it is the first that the backend got

	c = h.socket("/close", bearer)
	c.text(`{"user":"u-alice"}`)
	c.want(`alice: {"user":"u-alice"}`)
	c.text(`{"user":"u-bob"}`)
	c.wantClose(1008, "forbidden")
	c = h.socket("/close", bearer)
	c.text(strings.Repeat("x", 64<<10+1))
	c.wantClose(1009, "too_big")
}
