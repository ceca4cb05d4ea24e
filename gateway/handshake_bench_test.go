//go:build unix

package gateway_test

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/portcullis-auth/portcullis/dev/issuer"
)

// BenchmarkHandshake opens sockets and closes them, 16 at a time, with the
// verdict known; an op is over when its backend has seen the end. Clients and
// backend are another process, so "cpu-µs/op" (user and system) and the
// allocations are the proxy's alone. "bare" is the ReverseProxy of
// [BenchmarkHTTP]. "in turns" measures both in turns of some hundred sockets,
// and gives the ratio.
func BenchmarkHandshake(b *testing.B) {
	b.Setenv(socketsVariable, "1")
	l := newLoad(b)
	h := openWith(b, l.backend, introspection, "routes:\n  - {path: /, backend: BACKEND, origins: [https://app.example.com]}\n")
	token := h.token("alice", issuer.TokenOptions{}).Access
	backend, err := url.Parse(l.backend)
	if err != nil {
		b.Fatal(err)
	}
	known := &verdicts{known: map[string]verdict{token: {time.Now().Add(time.Hour), [][2]string{
		{"X-Forwarded-User", "u-alice"}, {"X-Portcullis-Userinfo", strings.Repeat("0123456789", 46)}, // as long as ours
	}}}}
	request := handshake("/wsapi/?room=1", "Origin: https://app.example.com", "Cookie: theme=dark; session="+token,
		"User-Agent: Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0", "Accept: */*",
		"Accept-Language: en-US,en;q=0.5", "Accept-Encoding: gzip, deflate, br, zstd", "Pragma: no-cache", "Cache-Control: no-cache",
		"Sec-WebSocket-Extensions: permessage-deflate", "Sec-Fetch-Dest: empty", "Sec-Fetch-Mode: websocket", "Sec-Fetch-Site: same-origin")
	proxies := []proxy{
		{"gateway", h.addr, request},
		{"bare", strings.TrimPrefix(start(b, newBare(b, backend, known, nil)), "http://"), request},
	}
	run := func(p *proxy, n int) time.Duration {
		h.log.mu.Lock()
		h.log.b.Reset() // else it would be measured too, as it grows
		h.log.mu.Unlock()
		return l.run(p, n)
	}
	for i := range proxies {
		p := &proxies[i]
		run(p, 500)
		b.Run(p.name, func(b *testing.B) {
			b.ReportAllocs()
			b.ReportMetric(micros(run(p, b.N))/float64(b.N), "cpu-µs/op")
		})
	}
	b.Run("in turns", func(b *testing.B) {
		const turn = 500
		used := make([]time.Duration, len(proxies))
		for left := b.N; left > 0; left -= turn {
			for i := range proxies {
				used[i] += run(&proxies[i], min(left, turn))
			}
		}
		for i, p := range proxies {
			b.ReportMetric(micros(used[i])/float64(b.N), p.name+"-µs/op")
		}
		b.ReportMetric(float64(used[0])/float64(used[1]), "gateway/bare")
	})
}

// socketsVariable has the other process open sockets, instead of making calls.
const socketsVariable = "PORTCULLIS_TEST_SOCKETS"

func init() { // before that of http_bench_test.go
	if os.Getenv(socketsVariable) != "" && os.Getenv(loadVariable) != "" {
		runSockets()
	}
}

// runSockets is the other process, until its standard input ends.
func runSockets() {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		panic(err)
	}
	var open sync.WaitGroup // what the backend has open
	go answerSockets(l, &open)
	in, out := json.NewDecoder(os.Stdin), json.NewEncoder(os.Stdout)
	_ = out.Encode("http://" + l.Addr().String())
	for {
		var c calls
		if in.Decode(&c) != nil {
			os.Exit(0)
		}
		failure := c.open()
		open.Wait()
		_ = out.Encode(failure)
	}
}

// open opens and closes the sockets, and returns what went wrong.
func (c *calls) open() (failure string) {
	var left atomic.Int64
	left.Store(int64(c.N))
	var failed atomic.Value
	var opening sync.WaitGroup
	for range 16 {
		opening.Go(func() {
			for left.Add(-1) >= 0 {
				if err := openSocket(c.Addr, c.Request); err != nil {
					failed.Store(err.Error())
				}
			}
		})
	}
	opening.Wait()
	failure, _ = failed.Load().(string)
	return failure
}

func openSocket(addr, request string) error {
	nc, err := net.Dial("tcp", addr)
	if err != nil {
		return err
	}
	defer nc.Close()
	if _, err := io.WriteString(nc, request); err != nil {
		return err
	}
	resp, err := http.ReadResponse(bufio.NewReader(nc), nil)
	if err != nil {
		return err
	}
	if resp.StatusCode != http.StatusSwitchingProtocols {
		return fmt.Errorf("%s", resp.Status)
	}
	return nil
}

// answerSockets is the backend.
func answerSockets(l net.Listener, open *sync.WaitGroup) {
	const answer = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n" +
		"Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\nSec-WebSocket-Extensions: permessage-deflate\r\n\r\n"
	for {
		nc, err := l.Accept()
		if err != nil {
			return
		}
		open.Go(func() {
			defer nc.Close()
			r := bufio.NewReader(nc)
			if _, err := readHead(r); err != nil {
				return
			}
			_, _ = io.WriteString(nc, answer)
			_, _ = io.Copy(io.Discard, r)
		})
	}
}
