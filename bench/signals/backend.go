package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net"
	"sync"
	"time"

	"github.com/gobwas/ws"

	"github.com/portcullis-auth/portcullis/bench/internal/child"
)

// A tally is how many sockets have ended with a Close frame of that code, when
// the last of these came, and how many sockets were cut instead.
type tally struct {
	Code ws.StatusCode
	N    int
	Last time.Time
	Cut  int
}

// backend echoes. It says its address, and then answers each tally with its
// own, as soon as that many have ended, or when it has lost patience.
func backend(_ context.Context, _ []string, in *json.Decoder, out *json.Encoder) error {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	defer l.Close()
	var c closes
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			go c.echo(conn)
		}
	}()
	if err := out.Encode(l.Addr().String()); err != nil {
		return err
	}
	for {
		var want tally
		if err := in.Decode(&want); errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return err
		}
		if err := out.Encode(c.wait(want)); err != nil {
			return err
		}
	}
}

// closes are the Close frames that have come.
type closes struct {
	mu sync.Mutex // guards by
	by map[ws.StatusCode]tally
}

func (c *closes) wait(want tally) tally {
	for end := time.Now().Add(child.Patience); ; time.Sleep(time.Millisecond) {
		c.mu.Lock()
		got := c.by[want.Code]
		got.Cut = c.by[cut].N
		c.mu.Unlock()
		if got.N+got.Cut >= want.N || time.Now().After(end) {
			return got
		}
	}
}

func (c *closes) add(code ws.StatusCode, at time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.by == nil {
		c.by = make(map[ws.StatusCode]tally)
	}
	t := c.by[code]
	t.N++
	t.Last = later(t.Last, at)
	c.by[code] = t
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// echo answers a handshake, and then each frame, until the first Close.
func (c *closes) echo(conn net.Conn) {
	defer conn.Close()
	if _, err := ws.Upgrade(conn); err != nil {
		return
	}
	for r := bufio.NewReaderSize(conn, 128); ; {
		f, err := ws.ReadFrame(r) //nolint:staticcheck // the frames are ours, and small
		now := time.Now()
		if err != nil || !f.Header.Masked { // RFC 6455, section 5.1
			c.add(cut, now)
			return
		}
		f = ws.UnmaskFrameInPlace(f)
		if _, err := conn.Write(ws.MustCompileFrame(f)); err != nil {
			return
		}
		if f.Header.OpCode == ws.OpClose {
			code, _ := ws.ParseCloseFrameData(f.Payload)
			c.add(code, now)
			return
		}
	}
}
