package main

import (
	"bufio"
	"context"
	"encoding/binary"
	"fmt"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/gobwas/ws"

	"github.com/portcullis-auth/portcullis/bench/internal/child"
)

// A socket is the client's end of one.
type socket struct {
	conn   net.Conn
	sent   int          // echoes, by the one who sends
	echoed atomic.Int64 // echoes that have come back

	// The reader's, until it is done.
	echoes []echo
	ended  time.Time
	closed ws.StatusCode // of the Close frame, or cut
	err    error         // what came instead
}

// sockets are some that were opened together.
type sockets struct {
	all     []*socket
	start   time.Time
	ended   chan *socket // gets each of them
	reading sync.WaitGroup
}

// open opens a socket for each token, some at a time. Whatever it returns must
// be closed.
func open(ctx context.Context, url string, tokens []string) (*sockets, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	opened := make([]*socket, len(tokens))
	slots := make(chan struct{}, 32)
	var opening sync.WaitGroup
	for i, token := range tokens {
		slots <- struct{}{}
		if ctx.Err() != nil {
			break
		}
		opening.Go(func() {
			defer func() { <-slots }()
			var err error
			if opened[i], err = dial(ctx, url, token); err != nil {
				cancel(fmt.Errorf("socket %d of %d: %w", i, len(tokens), err))
			}
		})
	}
	opening.Wait()
	s := &sockets{start: time.Now(), ended: make(chan *socket, len(tokens))}
	for _, o := range opened {
		if o != nil {
			s.all = append(s.all, o)
			s.reading.Go(func() {
				o.read(s.start)
				s.ended <- o
			})
		}
	}
	return s, context.Cause(ctx)
}

func dial(ctx context.Context, url, token string) (*socket, error) {
	d := ws.Dialer{Timeout: child.Patience, Header: ws.HandshakeHeaderHTTP(http.Header{"Authorization": {"Bearer " + token}})}
	conn, early, _, err := d.Dial(ctx, url)
	if err != nil {
		return nil, err
	}
	if early != nil {
		_ = conn.Close()
		return nil, fmt.Errorf("%d bytes that nobody has asked for", early.Buffered())
	}
	return &socket{conn: conn}, nil
}

// close closes all of them, and waits for their readers.
func (s *sockets) close() {
	for _, o := range s.all {
		_ = o.conn.Close()
	}
	s.reading.Wait()
}

// read reads until the socket is over. A Close frame is answered, as RFC 6455,
// section 5.5.1, wants it.
func (s *socket) read(start time.Time) {
	defer s.conn.Close()
	for r := bufio.NewReaderSize(s.conn, 128); ; {
		f, err := ws.ReadFrame(r) //nolint:staticcheck // the frames are ours, and small
		now := time.Now()
		switch {
		case err != nil:
			s.ended, s.err = now, err
			return
		case f.Header.OpCode == ws.OpClose:
			s.ended = now
			s.closed, _ = ws.ParseCloseFrameData(f.Payload)
			_, _ = s.conn.Write(ws.MustCompileFrame(ws.MaskFrameInPlace(ws.NewCloseFrame(f.Payload))))
			return
		case f.Header.OpCode != ws.OpBinary || len(f.Payload) != echoSize:
			s.ended, s.err = now, fmt.Errorf("a frame that is no echo: %v", f.Header)
			return
		}
		sent := start.Add(time.Duration(binary.BigEndian.Uint64(f.Payload)))
		s.echoes = append(s.echoes, echo{sent, now.Sub(sent)})
		s.echoed.Add(1)
	}
}

// send sends what is to come back.
func (s *socket) send(start time.Time) error {
	var payload [echoSize]byte
	binary.BigEndian.PutUint64(payload[:], uint64(time.Since(start)))
	s.sent++
	_, err := s.conn.Write(ws.MustCompileFrame(ws.MaskFrameInPlace(ws.NewBinaryFrame(payload[:]))))
	return err
}
