package wsconn_test

import (
	"fmt"
	"io"
	"net"

	"github.com/portcullis-auth/portcullis/internal/wsconn"
)

// One direction of a relay. For TLS, what [wsconn.ForTLS] returns is given to
// tls.Client or tls.Server, and what these return to [wsconn.New].
func ExampleConn_ReadLent() {
	ours, peer := net.Pipe()
	go func() {
		_, _ = io.WriteString(peer, "hello")
		_ = peer.Close()
	}()
	src := wsconn.New(ours, wsconn.Options{})
	defer func() { _ = src.Close() }()
	var b *wsconn.Buffer
	for {
		var n int
		var err error
		if b, n, err = src.ReadLent(b); n > 0 {
			fmt.Printf("%s\n", b[:n])
		}
		if err != nil {
			b.Return()
			fmt.Println(err)
			return
		}
	}
	// Output:
	// hello
	// EOF
}
