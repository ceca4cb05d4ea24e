package relay

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"math"
	"net"
	"net/http"
	"sync"
)

// maxHead bounds the head of the backend's answer, in bytes.
const maxHead = 64 << 10

var errLineBreak = errors.New("a line of the request holds a line break")

// An exchange is one request's head and one answer's. It goes back to the pool
// once a 101 has been read; the body of another answer still needs it.
type exchange struct {
	nc      net.Conn
	head    []byte // of the request
	limited io.LimitedReader
	in      *bufio.Reader
}

var exchanges = sync.Pool{New: func() any {
	x := &exchange{head: make([]byte, 0, 2<<10)}
	x.in = bufio.NewReader(&x.limited)
	return x
}}

func newExchange(nc net.Conn) *exchange {
	x := exchanges.Get().(*exchange)
	x.nc, x.limited = nc, io.LimitedReader{R: nc, N: maxHead}
	x.in.Reset(&x.limited)
	return x
}

func (x *exchange) release() {
	x.nc, x.limited.R = nil, nil
	if cap(x.head) <= 16<<10 {
		exchanges.Put(x)
	}
}

// do writes the request and reads the head of the answer.
func (x *exchange) do(r *http.Request) (*http.Response, error) {
	var ok bool
	if x.head, ok = appendHead(x.head[:0], r); !ok {
		return nil, errLineBreak
	}
	if _, err := x.nc.Write(x.head); err != nil {
		return nil, err
	}
	return x.answer(r)
}

// appendHead appends the head of r, a GET without a body, with everything as it
// is. Names come in no order: there is none between different ones (RFC 9110,
// section 5.3). It reports false if the head may not be sent.
func appendHead(p []byte, r *http.Request) (head []byte, ok bool) {
	p = append(p, "GET "...)
	p = append(p, r.URL.RequestURI()...)
	p = append(p, " HTTP/1.1\r\nHost: "...)
	p = append(p, r.Host...)
	p = append(p, "\r\n"...)
	lines := 3 // with the empty one
	for name, values := range r.Header {
		switch name {
		case "Host", "Content-Length", "Transfer-Encoding", "Trailer": // it is above; there is no body
			continue
		}
		for _, v := range values {
			p = append(p, name...)
			p = append(p, ": "...)
			p = append(p, v...)
			p = append(p, "\r\n"...)
			lines++
		}
	}
	p = append(p, "\r\n"...)
	// D3: net/http lets no line break in, and ours have none; should one of us
	// err, nothing is sent.
	return p, bytes.Count(p, []byte("\n")) == lines && bytes.Count(p, []byte("\r")) == lines
}

// answer reads the head of the answer to r.
func (x *exchange) answer(r *http.Request) (*http.Response, error) {
	for {
		resp, err := http.ReadResponse(x.in, r)
		switch {
		case err != nil && x.limited.N <= 0:
			return nil, fmt.Errorf("%w: its head is larger than %d bytes", ErrBadAnswer, maxHead)
		case errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF):
			return nil, fmt.Errorf("%w: it closed the connection", ErrBadAnswer)
		case err != nil && isNet(err):
			return nil, err
		case err != nil:
			return nil, fmt.Errorf("%w: it isn't HTTP", ErrBadAnswer)
		}
		if resp.StatusCode == http.StatusSwitchingProtocols || resp.StatusCode >= 200 {
			x.limited.N = math.MaxInt64
			return resp, nil
		}
	}
}

func isNet(err error) bool {
	var ne net.Error
	return errors.As(err, &ne)
}
