package portcullis

import (
	"bufio"
	"errors"
	"net"
	"net/http"
	"slices"

	"github.com/portcullis-auth/portcullis/internal/upgrade"
	"github.com/portcullis-auth/portcullis/internal/wsconn"
	"github.com/portcullis-auth/portcullis/internal/wsframe"
)

// Hijack gives the handler a connection that the session can end (RFC 6455,
// section 7). Bytes that the client sent behind its handshake come out of the
// connection itself, not only out of the reader: some packages throw the
// reader's buffer away.
func (w *response) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	s := w.s
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.cause != nil {
		return nil, nil, s.cause
	}
	if s.closed {
		return nil, nil, errors.New("portcullis: hijack after the handler returned")
	}
	nc, buffered, err := http.NewResponseController(w.w).Hijack()
	if err != nil {
		return nil, nil, err
	}
	early, _ := buffered.Reader.Peek(buffered.Reader.Buffered()) // can't fail: they are there
	other := s.started && !s.switched                            // than a 101 for a WebSocket is on its way
	w.conn = wsconn.New(nc, wsconn.Options{
		Early:    slices.Clone(early),
		Raw:      !s.upgrade || !upgrade.ToWebSocket(s.Request()) || other,
		Head:     !s.switched,
		Echo:     s.Subprotocol(),
		OnClosed: s.Close,
	})
	s.leave()
	return w.conn, bufio.NewReadWriter(bufio.NewReader(w.conn), bufio.NewWriter(w.conn)), nil
}

// goodbye says how the connection of an ended session is closed. The handler
// hears of it through its context when it has nothing more to contribute: a
// frame that it had begun is finished first.
func (s *Session) goodbye(cause error) wsconn.Ending {
	code, reason := s.CloseStatus(cause)
	return wsconn.Ending{
		Cause:    cause,
		Frame:    wsframe.AppendClose(nil, code, reason, nil),
		Grace:    s.Policy().grace(),
		Silenced: func() { s.stop(cause) },
	}
}
