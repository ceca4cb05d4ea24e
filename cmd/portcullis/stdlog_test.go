package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"strings"
	"testing"

	"github.com/portcullis-auth/portcullis/verify/httpcheck"
)

// Promise 5: a token system that sends what it got behind its answer doesn't
// get it into our log by way of net/http.
func TestTokenSentBackIsNotLogged(t *testing.T) {
	logged := new(output)
	muzzle(logged)
	t.Cleanup(func() { log.SetOutput(io.Discard) })
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	go func() {
		for {
			nc, err := l.Accept()
			if err != nil {
				return
			}
			buf := make([]byte, 4096)
			n, _ := nc.Read(buf)
			body := `{"sub":"u"}`
			_, _ = fmt.Fprintf(nc, "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s", len(body), body)
			go func() { // once the connection is idle
				_, _ = nc.Write(bytes.Repeat(buf[:n], 3))
				_, _ = io.Copy(io.Discard, nc)
				_ = nc.Close()
			}()
		}
	}()
	transport := &http.Transport{}
	defer transport.CloseIdleConnections()
	v, err := httpcheck.New(httpcheck.Config{URL: "http://" + l.Addr().String(), Client: &http.Client{Transport: transport}})
	if err != nil {
		t.Fatal(err)
	}
	const token = "a-token-that-nobody-may-see"
	for range 1000 { // it depends on who is faster
		if _, err := v.Verify(context.Background(), token); err == nil && strings.Contains(logged.String(), "Unsolicited") {
			break
		}
	}
	if got := logged.String(); !strings.Contains(got, "Unsolicited") || strings.Contains(got, token) {
		t.Errorf("got %q, want a line about it without the token", got)
	}
}
