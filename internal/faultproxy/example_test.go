package faultproxy_test

import (
	"context"
	"fmt"
	"io"
	"net"

	"github.com/portcullis-auth/portcullis/internal/faultproxy"
)

// The target's answer is cut short, and then the target is out of reach.
func Example() {
	target, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		panic(err)
	}
	defer target.Close()
	go func() {
		nc, err := target.Accept()
		if err != nil {
			return
		}
		_, _ = io.WriteString(nc, "hello, world")
		_ = nc.Close()
	}()

	p := &faultproxy.Proxy{
		Target: target.Addr().String(),
		Plan: func(int) (up, down faultproxy.Script) {
			return up, faultproxy.Script{Pieces: 3, Fault: faultproxy.Cut, At: 5}
		},
	}
	if err := p.Listen(); err != nil {
		panic(err)
	}
	defer p.Close()

	nc, err := net.Dial("tcp", p.Addr())
	if err != nil {
		panic(err)
	}
	answer, err := io.ReadAll(nc)
	fmt.Printf("%q %v\n", answer, err)
	_ = nc.Close()

	c, err := p.Conn(context.Background(), 0)
	if err != nil {
		panic(err)
	}
	<-c.Done()
	fmt.Println(c.Down.Count())

	p.Refuse()
	_, err = net.Dial("tcp", p.Addr())
	fmt.Println(err != nil)
	// Output:
	// "hello" <nil>
	// 5 7
	// true
}
