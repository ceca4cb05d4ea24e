package gateway

import (
	"errors"
	"io"
	"net/http"
	"time"
)

// A pace bounds how long a client may let a request wait (L1): for the next
// piece of its body, and for taking the next piece of its answer.
type pace time.Duration

// body has each piece of a request's body come in time. Whoever doesn't read it
// leaves that to net/http, which has as long for all that it reads of it.
func (p pace) body(w http.ResponseWriter, r *http.Request) {
	if r.ContentLength == 0 {
		return
	}
	b := &pacedBody{r.Body, http.NewResponseController(w), p, r.ProtoMajor > 1}
	b.allow()
	r.Body = b
}

type pacedBody struct {
	io.ReadCloser
	client *http.ResponseController
	pace   pace
	h2     bool // a deadline ends the stream, whether somebody reads or not
}

func (b *pacedBody) allow() { _ = b.client.SetReadDeadline(time.Now().Add(time.Duration(b.pace))) }

func (b *pacedBody) Read(p []byte) (int, error) {
	b.allow()
	n, err := b.ReadCloser.Read(p)
	// At the end, else net/http would take the deadline for the client's going away.
	// After any other error it must stay: net/http reads on to drop what is left.
	if errors.Is(err, io.EOF) || b.h2 {
		_ = b.client.SetReadDeadline(time.Time{})
	}
	return n, err
}

// A pacedWriter has the client take each piece of the answer in time.
type pacedWriter struct {
	http.ResponseWriter
	client *http.ResponseController
	pace   pace
	h2     bool // a deadline ends the stream, whether somebody writes or not
	last   bool // the connection must be closed behind the answer
}

func (p pace) writer(w http.ResponseWriter, r *http.Request) *pacedWriter {
	return &pacedWriter{w, http.NewResponseController(w), p, r.ProtoMajor > 1, isLast(w)}
}

// WriteHeader sees to it that the connection is closed also if there were hints:
// ReverseProxy clears the header behind each.
func (w *pacedWriter) WriteHeader(status int) {
	if w.last {
		w.Header().Set("Connection", "close")
	}
	w.ResponseWriter.WriteHeader(status)
}

func (w *pacedWriter) allow() { _ = w.client.SetWriteDeadline(time.Now().Add(time.Duration(w.pace))) }

func (w *pacedWriter) idle() {
	if w.h2 {
		_ = w.client.SetWriteDeadline(time.Time{})
	}
}

func (w *pacedWriter) Write(p []byte) (int, error) {
	w.allow()
	defer w.idle()
	return w.ResponseWriter.Write(p)
}

// FlushError is for http.ResponseController.
func (w *pacedWriter) FlushError() error {
	w.allow()
	defer w.idle()
	return w.client.Flush()
}

// Unwrap is for http.ResponseController.
func (w *pacedWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }
