package wsconn

import (
	"bufio"
	"bytes"
	"net/http"
	"strings"
)

// maxHead bounds the head of a handshake's answer, in bytes.
const maxHead = 64 << 10

var endOfHead = []byte("\r\n\r\n")

// A headBuffer holds the head of the answer until it is whole.
type headBuffer struct {
	buf  []byte
	echo string
}

// writeHead takes bytes of p that belong to the head and writes the head once
// it is whole. From then on the mode is what the answer says.
func (c *Conn) writeHead(p []byte) (int, error) {
	if c.ended.Load() {
		return 0, c.why()
	}
	h := c.head
	before := len(h.buf)
	h.buf = append(h.buf, p...)
	end := bytes.Index(h.buf, endOfHead)
	if end < 0 && len(h.buf) < maxHead {
		return len(p), nil
	}
	taken := len(p)
	next := raw
	if end >= 0 {
		end += len(endOfHead)
		taken = end - before
		h.buf = h.buf[:end]
		answer, err := http.ReadResponse(bufio.NewReader(bytes.NewReader(h.buf)), nil)
		if err == nil {
			_ = answer.Body.Close()
			if answer.StatusCode == http.StatusSwitchingProtocols && strings.EqualFold(answer.Header.Get("Upgrade"), "websocket") {
				next = frames
				if h.echo != "" && answer.Header.Get("Sec-WebSocket-Protocol") == "" {
					h.buf = append(h.buf[:end-2], "Sec-WebSocket-Protocol: "+h.echo+"\r\n\r\n"...)
				}
			}
		}
	}
	c.mode = raw // a head that isn't whole takes no frame behind it
	_, err := c.nc.Write(h.buf)
	c.head = nil
	if err == nil {
		c.mode = next
	} else if c.ended.Load() {
		err = c.why()
	}
	return taken, err
}
