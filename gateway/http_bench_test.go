//go:build unix

package gateway_test

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/portcullis-auth/portcullis/dev/issuer"
	"github.com/portcullis-auth/portcullis/gateway"
)

// BenchmarkHTTP is a small authorized call over 16 connections that are kept,
// with the verdict known. Load and backend are another process, so "cpu-µs/op"
// (user and system) and the allocations are the proxy's alone:
//
//   - gateway: this package's;
//   - gateway,_rule: with a rule on the route;
//   - bare: a [httputil.ReverseProxy] behind a map of verdicts, as one would
//     write it, that tells the backend as much;
//   - bare,_pooled: the same, with a BufferPool;
//   - plain: a ReverseProxy that asks nobody.
//
// The times of one run after another can't be compared on a machine that does
// other things too. "in turns" measures all of them in turns of some hundred
// calls, and gives the ratios to bare.
func BenchmarkHTTP(b *testing.B) {
	l := newLoad(b)
	h := openWith(b, l.backend, introspection, `
routes:
  - {path: /wsapi/, backend: BACKEND, origins: [https://app.example.com]}
  - {path: /rule/, backend: BACKEND, allow: '"chat" in identity.scopes'}
  - {path: /, backend: BACKEND}
`)
	token := h.token("alice", issuer.TokenOptions{}).Access
	backend, err := url.Parse(l.backend)
	if err != nil {
		b.Fatal(err)
	}
	address := func(verdicts *verdicts, pool httputil.BufferPool) string {
		return strings.TrimPrefix(start(b, newBare(b, backend, verdicts, pool)), "http://")
	}
	known := &verdicts{known: map[string]verdict{token: {time.Now().Add(time.Hour), [][2]string{
		{"X-Forwarded-User", "u-alice"},
		{"X-Forwarded-Preferred-Username", "alice"},
		{"X-Forwarded-Email", "alice@example.com"},
		{"X-Forwarded-Groups", "staff,chat,admin"},
		{"X-Portcullis-Userinfo", strings.Repeat("0123456789", 46)}, // as long as ours
	}}}}
	proxies := []proxy{
		{"gateway", h.addr, "/api/me"},
		{"gateway, rule", h.addr, "/rule/me"},
		{"bare", address(known, nil), "/api/me"},
		{"bare, pooled", address(known, gateway.NewBuffers()), "/api/me"},
		{"plain", address(nil, nil), "/api/me"},
	}
	for i := range proxies {
		p := &proxies[i]
		p.request = fmt.Sprintf(call, p.request, token)
		l.run(p, 100) // opens the connections, and asks about the token
		b.Run(p.name, func(b *testing.B) {
			b.ReportAllocs()
			b.ReportMetric(micros(l.run(p, b.N))/float64(b.N), "cpu-µs/op")
		})
	}
	b.Run("in turns", func(b *testing.B) {
		const turn = 500
		used := make([]time.Duration, len(proxies))
		for left := b.N; left > 0; left -= turn {
			for i := range proxies {
				used[i] += l.run(&proxies[i], min(left, turn))
			}
		}
		for i, p := range proxies {
			unit := strings.NewReplacer(", ", "-").Replace(p.name)
			b.ReportMetric(micros(used[i])/float64(b.N), unit+"-µs/op")
			b.ReportMetric(float64(used[i])/float64(used[2]), unit+"/bare")
		}
	})
}

func micros(d time.Duration) float64 { return float64(d) / float64(time.Microsecond) }

// A proxy is one to be measured. The request is a path, until it is whole.
type proxy struct{ name, addr, request string }

// call is what a browser sends.
const call = "GET %s?page=2 HTTP/1.1\r\nHost: app.example.com\r\nUser-Agent: Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0\r\n" +
	"Accept: application/json\r\nAccept-Language: en-US,en;q=0.5\r\nAccept-Encoding: gzip, deflate, br, zstd\r\n" +
	"Referer: https://app.example.com/home\r\nSec-Fetch-Dest: empty\r\nSec-Fetch-Mode: cors\r\nSec-Fetch-Site: same-origin\r\n" +
	"Cookie: theme=dark; session=%s\r\nPriority: u=4\r\nConnection: keep-alive\r\n\r\n"

// reply is the backend's answer.
const reply = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nDate: Mon, 23 Nov 2026 12:00:00 GMT\r\nCache-Control: no-cache\r\n" +
	"Vary: Origin\r\nContent-Length: 40\r\n\r\n" + `{"id":17,"name":"alice","unread":200000}`

// A verdict is what a bare proxy remembers about a token.
type verdict struct {
	until  time.Time
	header [][2]string // for the backend
}

type verdicts struct {
	mu    sync.RWMutex // guards known
	known map[string]verdict
}

// newBare is a proxy as one would write it; with nil verdicts everybody passes.
func newBare(b *testing.B, backend *url.URL, verdicts *verdicts, pool httputil.BufferPool) http.Handler {
	transport := &http.Transport{MaxIdleConnsPerHost: 256, IdleConnTimeout: 90 * time.Second, DisableCompression: true}
	b.Cleanup(transport.CloseIdleConnections)
	proxy := &httputil.ReverseProxy{
		Transport:  transport,
		BufferPool: pool,
		Rewrite: func(p *httputil.ProxyRequest) {
			p.SetURL(backend)
			p.SetXForwarded()
			p.Out.Host = p.In.Host
		},
	}
	if verdicts == nil {
		return proxy
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		cookie, err := r.Cookie("session")
		if err != nil {
			http.Error(w, "no token", http.StatusUnauthorized)
			return
		}
		verdicts.mu.RLock()
		v, ok := verdicts.known[cookie.Value]
		verdicts.mu.RUnlock()
		if !ok || time.Now().After(v.until) {
			http.Error(w, "bad token", http.StatusUnauthorized)
			return
		}
		for _, field := range v.header {
			r.Header.Set(field[0], field[1])
		}
		proxy.ServeHTTP(w, r)
	})
}

// A load is the other process.
type load struct {
	b       *testing.B
	backend string // its URL
	*json.Encoder
	*json.Decoder
}

// calls is what it is told to do.
type calls struct {
	Addr, Request string
	N             int
}

const loadVariable = "PORTCULLIS_TEST_LOAD"

func newLoad(b *testing.B) *load {
	child := exec.Command(os.Args[0])
	child.Env, child.Stderr = append(os.Environ(), loadVariable+"=1"), os.Stderr
	in, err := child.StdinPipe()
	if err != nil {
		b.Fatal(err)
	}
	out, err := child.StdoutPipe()
	if err != nil {
		b.Fatal(err)
	}
	if err := child.Start(); err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = in.Close(); _ = child.Wait() })
	l := &load{b: b, Encoder: json.NewEncoder(in), Decoder: json.NewDecoder(out)}
	if err := l.Decode(&l.backend); err != nil {
		b.Fatal(err)
	}
	return l
}

// run has n calls made, and returns the processor time that this process took.
func (l *load) run(p *proxy, n int) time.Duration {
	l.b.Helper()
	before := processorTime()
	if err := l.Encode(calls{p.addr, p.request, n}); err != nil {
		l.b.Fatal(err)
	}
	var failure string
	if err := l.Decode(&failure); err != nil || failure != "" {
		l.b.Fatal(p.name, failure, err)
	}
	return processorTime() - before
}

func processorTime() time.Duration {
	var u syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &u) // it can't fail
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

func init() {
	if os.Getenv(loadVariable) != "" {
		runLoad()
	}
}

// runLoad is the other process, until its standard input ends.
func runLoad() {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		panic(err)
	}
	go answer(l)
	in, out := json.NewDecoder(os.Stdin), json.NewEncoder(os.Stdout)
	_ = out.Encode("http://" + l.Addr().String())
	callers := make(map[string][]*caller) // by address
	for {
		var c calls
		if in.Decode(&c) != nil {
			os.Exit(0)
		}
		for len(callers[c.Addr]) < 16 {
			nc, err := net.Dial("tcp", c.Addr)
			if err != nil {
				panic(err)
			}
			callers[c.Addr] = append(callers[c.Addr], &caller{nc, bufio.NewReader(nc)})
		}
		_ = out.Encode(c.make(callers[c.Addr]))
	}
}

type caller struct {
	net.Conn
	r *bufio.Reader
}

// make makes the calls, and returns what went wrong.
func (c *calls) make(callers []*caller) (failure string) {
	var left atomic.Int64
	left.Store(int64(c.N))
	var failed atomic.Value
	var making sync.WaitGroup
	for _, caller := range callers {
		making.Go(func() {
			for left.Add(-1) >= 0 {
				if err := caller.call(c.Request); err != nil {
					failed.Store(err.Error())
				}
			}
		})
	}
	making.Wait()
	failure, _ = failed.Load().(string)
	return failure
}

func (c *caller) call(request string) error {
	if _, err := io.WriteString(c, request); err != nil {
		return err
	}
	resp, err := http.ReadResponse(c.r, nil)
	if err != nil {
		return err
	}
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		return err
	}
	if resp.StatusCode != http.StatusOK || !strings.HasSuffix(reply, string(body)) {
		return fmt.Errorf("%s %q", resp.Status, body)
	}
	return nil
}

// answer is the backend.
func answer(l net.Listener) {
	for {
		nc, err := l.Accept()
		if err != nil {
			return
		}
		go func() {
			r := bufio.NewReader(nc)
			for {
				line, err := r.ReadSlice('\n')
				if err != nil {
					return
				}
				if bytes.Equal(line, []byte("\r\n")) {
					_, _ = io.WriteString(nc, reply)
				}
			}
		}()
	}
}
