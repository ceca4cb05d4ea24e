package portcullis

import (
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/portcullis-auth/portcullis/internal/wsconn"
)

// past is a deadline that wakes whoever is blocked.
var past = time.Unix(1, 0)

// A response is the ResponseWriter that a handler gets: it passes nothing once
// the session has ended. It offers no Unwrap, since that would be a way around
// it; what [http.ResponseController] can do it does itself.
type response struct {
	s    *Session
	w    http.ResponseWriter // nil: the session was made by Admit
	echo string              // subprotocol to answer with if the handler selects none

	// s.mu guards these.
	started  bool // part of the answer may be on its way
	switched bool // the answer is a 101 for a WebSocket
	conn     *wsconn.Conn
}

// begin reports whether the answer may be begun or go on, and notes that it has.
func (w *response) begin() error {
	w.s.mu.Lock()
	defer w.s.mu.Unlock()
	if w.s.cause == nil {
		w.started = true
	}
	return w.s.cause
}

func (w *response) isHijacked() bool {
	w.s.mu.Lock()
	defer w.s.mu.Unlock()
	return w.conn != nil
}

// end stops the handler. What it has written is not made to look whole.
func (w *response) end(cause error) {
	s := w.s
	s.mu.Lock()
	if w.conn == nil {
		if w.w != nil && !s.closed {
			c := http.NewResponseController(w.w)
			_ = c.SetReadDeadline(past)
			if w.started {
				_ = c.SetWriteDeadline(past)
			}
		}
		s.mu.Unlock()
		s.cancel(cause)
		return
	}
	s.mu.Unlock()
	w.conn.End(s.goodbye(cause))
}

func (w *response) Header() http.Header { return w.w.Header() }

func (w *response) WriteHeader(status int) {
	if status < 200 && status != http.StatusSwitchingProtocols { // more will follow
		if w.s.Err() == nil {
			w.w.WriteHeader(status)
		}
		return
	}
	if w.begin() != nil {
		return
	}
	if status == http.StatusSwitchingProtocols && strings.EqualFold(w.Header().Get("Upgrade"), "websocket") {
		w.s.mu.Lock()
		w.switched = true
		w.s.mu.Unlock()
		if h := w.Header(); w.echo != "" && h.Get("Sec-WebSocket-Protocol") == "" {
			h.Set("Sec-WebSocket-Protocol", w.echo)
		}
	}
	w.w.WriteHeader(status)
}

func (w *response) Write(p []byte) (int, error) {
	if err := w.begin(); err != nil {
		return 0, err
	}
	return w.w.Write(p)
}

func (w *response) WriteString(p string) (int, error) {
	if err := w.begin(); err != nil {
		return 0, err
	}
	return io.WriteString(w.w, p)
}

// ReadFrom lets net/http use sendfile.
func (w *response) ReadFrom(r io.Reader) (int64, error) {
	if err := w.begin(); err != nil {
		return 0, err
	}
	return io.Copy(w.w, r)
}

func (w *response) Flush() { _ = w.FlushError() }

func (w *response) FlushError() error {
	if err := w.begin(); err != nil {
		return err
	}
	return http.NewResponseController(w.w).Flush()
}

func (w *response) SetReadDeadline(t time.Time) error {
	w.s.mu.Lock()
	defer w.s.mu.Unlock()
	if w.s.cause != nil {
		return nil
	}
	return http.NewResponseController(w.w).SetReadDeadline(t)
}

func (w *response) SetWriteDeadline(t time.Time) error {
	w.s.mu.Lock()
	defer w.s.mu.Unlock()
	if w.s.cause != nil {
		return nil
	}
	return http.NewResponseController(w.w).SetWriteDeadline(t)
}

func (w *response) EnableFullDuplex() error {
	return http.NewResponseController(w.w).EnableFullDuplex()
}

var (
	_ http.Flusher  = (*response)(nil)
	_ http.Hijacker = (*response)(nil)
	_ io.ReaderFrom = (*response)(nil)
)
