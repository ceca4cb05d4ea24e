package rawtest_test

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"time"
)

// last is a request that follows everything, so that there is an end to wait
// for, and so that it is seen whether the connection was still good for it.
const last = "GET /public/last HTTP/1.1\r\nHost: last.example.com\r\nConnection: close\r\n\r\n"

// lenient are net/http's ways, which are the gateway's.
var lenient = []leniency{
	bareLF, obsFold, emptyLines, lengthToo, sameLengths, oldCoding, spaceInChunk, extension, trailerName, notTrailing, anyTargetByte,
}

// read reads strictly, with these exceptions, what a client sends on one
// connection. The error is nil if nothing may be read any more, for one of the
// requests ends the connection.
func read(sent string, allowed ...leniency) (list []*request, err error) {
	r := newReader(strings.NewReader(sent), allowed...)
	method := ""
	for {
		q, err := r.request(method)
		if err != nil {
			return list, err
		}
		list = append(list, q)
		if q.closes || q.upgrades {
			return list, nil
		}
		method = q.method
	}
}

// incomplete reports whether a reader waits for more.
func incomplete(err error) bool {
	return errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF)
}

// exchange sends the bytes on one connection, and returns the answers until its
// end. want is what the strict reader has read of them.
func (h *house) exchange(sent string, want []*request, wantErr error) (answers []*answer, err error) {
	nc, err := net.Dial("tcp", h.addr)
	if err != nil {
		return nil, err
	}
	defer nc.Close()
	_ = nc.SetDeadline(time.Now().Add(patience))
	wrote := make(chan struct{})
	go func() { defer close(wrote); _, _ = io.WriteString(nc, sent) }()
	defer func() { _ = nc.Close(); <-wrote }()
	r := newReader(nc)
	for {
		if len(answers) >= len(want) && wantErr != nil {
			// Nothing more is to come, but the gateway may wait for it: for the end of
			// a line, say, that is wrong already. The end of the stream too early would
			// cancel what it has begun and shouldn't have.
			<-wrote
			if len(answers) == len(want) && !incomplete(wantErr) {
				_ = nc.SetReadDeadline(time.Now().Add(h.refusal))
				_, _ = r.Peek(1)
				_ = nc.SetReadDeadline(time.Now().Add(patience))
			}
			if r.Buffered() == 0 {
				_ = nc.(*net.TCPConn).CloseWrite()
			}
		}
		method := http.MethodGet
		if len(answers) < len(want) {
			method = want[len(answers)].method
		}
		a, err := r.answer(method)
		var ne net.Error
		switch {
		case errors.As(err, &ne) && ne.Timeout():
			return answers, fmt.Errorf("after %d answers the gateway waits for more", len(answers))
		case over(err):
			return answers, nil
		case err != nil:
			return answers, fmt.Errorf("answer %d: %w", len(answers), err)
		}
		answers = append(answers, a)
		if a.status == http.StatusSwitchingProtocols {
			return answers, nil
		}
	}
}
