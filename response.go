package portcullis

import (
	"context"
	"errors"
	"io"
	"maps"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/portcullis-auth/portcullis/internal/wsconn"
)

// past is a deadline that wakes whoever is blocked.
var past = time.Unix(1, 0)

// A response is the ResponseWriter that a handler gets: it passes nothing once
// the session has ended. It offers no Unwrap, since that would be a way around
// it; what [http.ResponseController] can do it does itself.
type response struct {
	s *Session

	// s.mu guards these.
	w    http.ResponseWriter // gone once it is hijacked and the handler has returned
	conn *wsconn.Conn

	// The request's context: see deferred.
	parent context.Context
	making sync.Mutex // guards made
	made   *standard  // nil: nobody has asked for anything, and it hasn't ended
}

// An answer is how far one has come.
type answer struct {
	started  bool // part of it may be on its way
	switched bool // it is a 101 for a WebSocket
}

var errReturned = errors.New("portcullis: the handler has returned")

func (w *response) writer() http.ResponseWriter {
	w.s.mu.Lock()
	defer w.s.mu.Unlock()
	return w.w
}

// begin returns where the answer may be begun or go on, and notes that it has.
func (w *response) begin() (http.ResponseWriter, error) {
	w.s.mu.Lock()
	defer w.s.mu.Unlock()
	switch {
	case w.s.cause != nil:
		return nil, w.s.cause
	case w.s.closed && w.conn == nil:
		return nil, errReturned
	}
	w.s.started = true
	return w.w, nil
}

func (w *response) hijacked() *wsconn.Conn {
	w.s.mu.Lock()
	defer w.s.mu.Unlock()
	return w.conn
}

// end stops the handler. What it has written is not made to look whole.
func (w *response) end(cause error) {
	s := w.s
	if conn := w.hijacked(); conn != nil { // from now on it can't become that
		conn.End(s.goodbye(cause))
		return
	}
	s.stop(cause) // first, as net/http takes a deadline for the client's going away
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return
	}
	c := http.NewResponseController(w.w)
	_ = c.SetReadDeadline(past)
	if w.s.started {
		_ = c.SetWriteDeadline(past)
	}
}

// finish ends what Handler began, unless the connection has been hijacked: then
// closing that does. before is the header as the handler found it; returned is
// false if it panicked.
func (w *response) finish(before http.Header, returned bool) {
	s := w.s
	if conn := w.hijacked(); conn != nil {
		if !returned {
			_ = conn.Close() // nobody else will
		}
		s.mu.Lock()
		w.w = gone{} // net/http's has the buffers of the connection
		s.mu.Unlock()
		return
	}
	switch cause := s.close(nil, nil); { // from here on nobody touches the ResponseWriter but us
	case cause == nil:
	case w.s.started:
		w.abort()
	default:
		h := w.w.Header()
		clear(h) // of what was meant for somebody who had the right to it
		maps.Copy(h, before)
		if s.Request().ProtoMajor == 1 {
			h.Set("Connection", "close")
		}
		s.Policy().deny(w.w, s.Request(), cause)
	}
}

// abort gives up an answer that has begun so that the client doesn't take it
// for whole, and so that what is still buffered doesn't reach it.
func (w *response) abort() {
	c := http.NewResponseController(w.w)
	_ = c.SetWriteDeadline(past)
	if r := w.s.Request(); r.ProtoMajor == 1 && r.ProtoMinor == 0 { // a clean close may be the only end there is
		if nc, _, err := c.Hijack(); err == nil {
			wsconn.Abort(nc)
		}
	}
	panic(http.ErrAbortHandler)
}

func (w *response) Header() http.Header { return w.writer().Header() }

func (w *response) WriteHeader(status int) {
	if status < 200 && status != http.StatusSwitchingProtocols { // more will follow
		if w.s.Err() == nil {
			w.writer().WriteHeader(status)
		}
		return
	}
	to, err := w.begin()
	if err != nil {
		return
	}
	h := to.Header()
	if status == http.StatusSwitchingProtocols && strings.EqualFold(h.Get("Upgrade"), "websocket") {
		w.s.mu.Lock()
		w.s.switched = true
		w.s.mu.Unlock()
		if echo := w.s.Subprotocol(); echo != "" && h.Get("Sec-WebSocket-Protocol") == "" {
			h.Set("Sec-WebSocket-Protocol", echo)
		}
	}
	to.WriteHeader(status)
}

func (w *response) Write(p []byte) (int, error) {
	to, err := w.begin()
	if err != nil {
		return 0, err
	}
	return to.Write(p)
}

func (w *response) WriteString(p string) (int, error) {
	to, err := w.begin()
	if err != nil {
		return 0, err
	}
	return io.WriteString(to, p)
}

// ReadFrom lets net/http use sendfile, where a deadline can stop that.
func (w *response) ReadFrom(r io.Reader) (int64, error) {
	to, err := w.begin()
	if err != nil {
		return 0, err
	}
	if !hasDeadlines(to) {
		return io.Copy(struct{ io.Writer }{w}, r)
	}
	return io.Copy(to, r)
}

// hasDeadlines reports whether what is written to w can be stopped.
func hasDeadlines(w http.ResponseWriter) bool {
	for {
		switch t := w.(type) {
		case interface{ SetWriteDeadline(time.Time) error }:
			return true
		case interface{ Unwrap() http.ResponseWriter }:
			w = t.Unwrap()
		default:
			return false
		}
	}
}

func (w *response) Flush() { _ = w.FlushError() }

func (w *response) FlushError() error {
	to, err := w.begin()
	if err != nil {
		return err
	}
	return http.NewResponseController(to).Flush()
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
	return http.NewResponseController(w.writer()).EnableFullDuplex()
}

// A body is a request's body, of which nothing more is read once the session
// has ended.
type body struct {
	io.ReadCloser
	s *Session
}

func (b *body) Read(p []byte) (int, error) {
	if err := b.s.Err(); err != nil {
		return 0, err
	}
	n, err := b.ReadCloser.Read(p)
	if cause := b.s.Err(); cause != nil { // what came meanwhile came too late
		return 0, cause
	}
	return n, err
}

// gone stands in for the ResponseWriter of a hijacked connection.
type gone struct{}

func (gone) Header() http.Header       { return http.Header{} }
func (gone) WriteHeader(int)           {}
func (gone) Write([]byte) (int, error) { return 0, http.ErrHijacked }

var (
	_ http.Flusher  = (*response)(nil)
	_ http.Hijacker = (*response)(nil)
	_ io.ReaderFrom = (*response)(nil)
)
