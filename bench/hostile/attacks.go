//go:build linux

package main

import (
	"context"
	"crypto/rand"
	"fmt"
	"net"
	"strings"
	"time"

	"github.com/gobwas/ws"
)

// long is more than a gateway takes of any request's head.
var long = strings.Repeat("x", 1<<20)

// attacks are the attacks. Each attacker has one of them.
var attacks = []attack{
	{"headers, slowly", func(ctx context.Context, i *intruder) error {
		i.drip(ctx, "GET / HTTP/1.1\r\nHost: app.example.com\r\n"+strings.Repeat("X-A: b\r\n", 20), 8)
		i.leave()
		return nil
	}},
	{"a body, slowly", func(ctx context.Context, i *intruder) error {
		i.send(request("POST / HTTP/1.1", i.user(), "Content-Length: 60000"))
		i.drip(ctx, strings.Repeat("b", 20), 1)
		return nil
	}},
	{"a body of a bad token, slowly", func(ctx context.Context, i *intruder) error {
		i.send(request("POST / HTTP/1.1", "bad-"+rand.Text(), "Content-Length: 60000"))
		i.drip(ctx, strings.Repeat("b", 20), 1)
		return i.refused(401)
	}},
	{"half a handshake", func(ctx context.Context, i *intruder) error {
		i.send(handshake(i.user())[:120])
		i.wait(ctx, 2)
		return nil
	}},
	{"nothing", func(_ context.Context, i *intruder) error {
		i.leave()
		return nil
	}},
	{"garbage", func(_ context.Context, i *intruder) error {
		garbage := make([]byte, 4096)
		_, _ = rand.Read(garbage)
		i.send(string(garbage))
		return i.refused(400, 431, 505)
	}},
	{"a TLS handshake", func(_ context.Context, i *intruder) error {
		i.send("\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + rand.Text() + rand.Text() + "\r\n\r\n")
		return i.refused(400)
	}},
	{"a huge header", func(_ context.Context, i *intruder) error {
		go i.send(request("GET / HTTP/1.1", i.user(), "X-Long: "+long)) // until the connection is closed
		return i.refused(400, 431)
	}},
	{"a thousand headers", func(_ context.Context, i *intruder) error {
		go i.send("GET / HTTP/1.1\r\nHost: app.example.com\r\n" + strings.Repeat("X-A: "+strings.Repeat("y", 200)+"\r\n", 1000) + "\r\n")
		return i.refused(400, 431)
	}},
	{"a huge target", func(_ context.Context, i *intruder) error {
		go i.send(request("GET /"+long+" HTTP/1.1", i.user()))
		return i.refused(400, 414, 431)
	}},
	{"a bad token", func(_ context.Context, i *intruder) error {
		i.send(request("GET / HTTP/1.1", "bad-"+rand.Text(), "Connection: close"))
		return i.refused(401)
	}},
	{"a bad token's handshake", func(_ context.Context, i *intruder) error {
		i.send(handshake("bad-" + rand.Text()))
		return i.refused(401)
	}},
	{"a token of 30 KB", func(_ context.Context, i *intruder) error {
		i.send(request("GET / HTTP/1.1", long[:30_000], "Connection: close"))
		return i.refused(401)
	}},
	{"two lengths", func(_ context.Context, i *intruder) error {
		i.send(request("POST / HTTP/1.1", i.user(), "Content-Length: 5", "Content-Length: 6") + "12345G")
		return i.refused(400)
	}},
	{"a length and chunks", func(_ context.Context, i *intruder) error {
		i.send(request("POST / HTTP/1.1", i.user(), "Content-Length: 6", "Transfer-Encoding: chunked") + "0\r\n\r\nGET /smuggled HTTP/1.1\r\nHost: app.example.com\r\n\r\n")
		return i.refused(200, 400, 502)
	}},
	{"strange chunks", func(_ context.Context, i *intruder) error {
		i.send(request("POST / HTTP/1.1", i.user(), "Transfer-Encoding: chunked, identity") + "0\r\n\r\n")
		return i.refused(400, 501)
	}},
	{"two hosts", func(_ context.Context, i *intruder) error {
		i.send(request("GET / HTTP/1.1", i.user(), "Host: other.example.com"))
		return i.refused(400)
	}},
	{"an ambiguous path", func(_ context.Context, i *intruder) error {
		i.send(request("GET /a/..%2fb HTTP/1.1", i.user()))
		return i.refused(400)
	}},
	{"a handshake with a body", func(_ context.Context, i *intruder) error {
		i.send(handshake("bad-"+rand.Text(), "Content-Length: 40") + "GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n     ")
		return i.refused(400, 401)
	}},
	{"a handshake of another version, and a request", func(_ context.Context, i *intruder) error {
		i.send(strings.Replace(handshake(i.user()), "Version: 13", "Version: 777", 1) + request("GET /smuggled HTTP/1.1", i.user()))
		return i.refused(400, 426)
	}},
	{"HTTP/2 in the clear", func(_ context.Context, i *intruder) error {
		i.send("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")
		return i.refused(400, 505)
	}},
	{"CONNECT", func(_ context.Context, i *intruder) error {
		i.send(request("CONNECT app.example.com:22 HTTP/1.1", i.user()))
		return i.refused(400, 404, 405, 501)
	}},
	{"frames that break the rules", func(_ context.Context, i *intruder) error {
		for _, frame := range []string{
			"\xf2\x81\x00\x00\x00\x00x", // reserved bits
			"\x82\x01x",                 // no mask
			"\x83\x80\x00\x00\x00\x00",  // an unknown opcode
			"\x80\x80\x00\x00\x00\x00",  // the end of nothing
			"\x89\xfe\x00\x7e\x00\x00\x00\x00" + strings.Repeat("p", 126), // a long Ping
			"\x88\x81\x00\x00\x00\x00x",                                   // half a code
			"\x82\xff\xff\xff\xff\xff\xff\xff\xff\xff",                    // a length beyond all
		} {
			if nc, err := net.Dial("tcp", i.Gateway.Public); err == nil {
				each := &intruder{i.scene, nc}
				_ = nc.SetDeadline(time.Now().Add(i.plan.patient / 5))
				if each.opened() {
					each.send(frame)
					each.leaveIn(i.plan.patient / 5)
				}
				_ = nc.Close()
			}
		}
		return nil
	}},
	{"a message without an end", func(ctx context.Context, i *intruder) error {
		if i.opened() {
			i.send("\x82\xff\x00\x00\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00" + long)
			i.wait(ctx, 5)
		}
		return nil
	}},
	{"fragments without an end", func(_ context.Context, i *intruder) error {
		if i.opened() {
			i.send("\x02\x80\x00\x00\x00\x00" + strings.Repeat("\x00\x80\x00\x00\x00\x00", 10_000))
			i.reset()
		}
		return nil
	}},
	{"many messages, no reading", func(ctx context.Context, i *intruder) error {
		if i.opened() {
			flood := strings.Repeat(string(ws.MustCompileFrame(ws.MaskFrame(ws.NewBinaryFrame(message)))), 200)
			_ = i.SetWriteDeadline(time.Now().Add(i.plan.patient / 5))
			for range 200 { // 2.8 MB
				i.send(flood)
			}
			i.wait(ctx, 10)
			i.reset()
		}
		return nil
	}},
	{"no reading of 4 MB", func(ctx context.Context, i *intruder) error {
		if i.opened() {
			i.send(string(ws.MustCompileFrame(ws.MaskFrame(ws.NewTextFrame([]byte("flood 64"))))))
			i.wait(ctx, 5)
			i.reset()
		}
		return nil
	}},
	{"a frame, slowly", func(ctx context.Context, i *intruder) error {
		if i.opened() {
			i.drip(ctx, "\x82\xfe\x10\x00\x00\x00\x00\x00"+strings.Repeat("s", 20), 1)
		}
		return nil
	}},
	{"a socket that says nothing", func(ctx context.Context, i *intruder) error {
		if i.opened() {
			i.wait(ctx, 1)
		}
		return nil
	}},
	{"a reset in a handshake", func(_ context.Context, i *intruder) error {
		i.send(handshake(i.user()))
		i.reset()
		return nil
	}},
	{"fifty connections", func(_ context.Context, i *intruder) error {
		for range 50 {
			if nc, err := net.Dial("tcp", i.Gateway.Public); err == nil {
				_, _ = fmt.Fprint(nc, "GET / HTTP/1.1\r\n")
				_ = nc.Close()
			}
		}
		return nil
	}},
}
