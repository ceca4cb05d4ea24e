package gateway

import (
	"errors"
	"io"
	"net/http"
	"sync/atomic"
)

// The states of a request's body.
const (
	bodyOpen int32 = iota
	bodyWhole
	bodyBroken
)

// A watched body knows whether it was read to its end. Where it wasn't, nothing
// may be read behind it: in full duplex net/http goes on reading requests behind
// chunks that are none (W4).
type watched struct {
	io.ReadCloser
	state atomic.Int32
}

func (b *watched) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	switch {
	case errors.Is(err, io.EOF):
		b.state.Store(bodyWhole)
	case err != nil:
		b.state.CompareAndSwap(bodyOpen, bodyBroken)
	}
	return n, err
}

func stateOf(r *http.Request) int32 {
	body := r.Body
	if t, ok := body.(*trailed); ok {
		body = t.ReadCloser
	}
	if b, ok := body.(*watched); ok {
		return b.state.Load()
	}
	return bodyWhole
}

// A trailed body passes the trailers on that may pass, once they have come.
type trailed struct {
	io.ReadCloser
	in, out http.Header // net/http fills in at the body's end
}

func (t *trailed) Read(p []byte) (int, error) {
	n, err := t.ReadCloser.Read(p)
	if errors.Is(err, io.EOF) {
		for name := range t.out {
			t.out[name] = t.in[name]
		}
	}
	return n, err
}
