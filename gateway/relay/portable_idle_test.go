package relay_test

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http/httptest"
	"os"
	"os/exec"
	"runtime"
	"runtime/debug"
	"strings"
	"testing"
	"time"

	"github.com/gobwas/ws"

	"github.com/portcullis-auth/portcullis"
	"github.com/portcullis-auth/portcullis/gateway/relay"
	"github.com/portcullis-auth/portcullis/internal/wsconn"
)

// idlePairs is how many sockets are idle at once.
const idlePairs = 2000

// The environment tells the process that relays how, and to whom.
const (
	idleWay     = "PORTCULLIS_IDLE_WAY"
	idleBackend = "PORTCULLIS_IDLE_BACKEND"
)

var idleWays = map[string]way{"loop": {}, "goroutines": {portable: true}, "TLS": {secure: true}}

// An idleCost is what a socket costs in the relaying process beyond its
// session, in bytes; stacks are those of goroutines.
type idleCost struct{ heap, stack, rss, goroutines float64 }

// BenchmarkIdle measures what a socket costs that says nothing: as it begins,
// and after 16 KiB went through it each way, in one TLS record each. The relay
// is a process of its own, the peers are in this one.
func BenchmarkIdle(b *testing.B) {
	if w, ok := idleWays[os.Getenv(idleWay)]; ok {
		if err := relayIdle(w); err != nil {
			b.Fatal(err)
		}
		return
	}
	for _, name := range []string{"loop", "goroutines", "TLS"} {
		b.Run(name, func(b *testing.B) {
			var fresh, used idleCost
			for b.Loop() {
				fresh, used = measureIdle(b, name)
			}
			b.ReportMetric(0, "ns/op")
			for when, cost := range map[string]idleCost{"fresh": fresh, "used": used} {
				b.ReportMetric(cost.heap/1024, "KB-heap-"+when)
				b.ReportMetric(cost.stack/1024, "KB-stack-"+when)
				b.ReportMetric(cost.rss/1024, "KB-RSS-"+when)
				b.ReportMetric(cost.goroutines, "goroutines-"+when)
			}
		})
	}
}

// measureIdle is the peers' side.
func measureIdle(b *testing.B, name string) (fresh, used idleCost) {
	w := idleWays[name]
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	defer l.Close()
	process := exec.CommandContext(b.Context(), os.Args[0], "-test.run=^$", "-test.bench=^BenchmarkIdle$", "-test.benchtime=1x")
	process.Env = append(os.Environ(), idleWay+"="+name, idleBackend+"="+l.Addr().String())
	process.Stderr = os.Stderr
	stdin, err1 := process.StdinPipe()
	stdout, err2 := process.StdoutPipe()
	if err := errors.Join(err1, err2, process.Start()); err != nil {
		b.Fatal(err)
	}
	defer func() { _, _ = stdin.Close(), process.Wait() }()
	said := bufio.NewScanner(stdout)
	next := func(format string, args ...any) {
		for said.Scan() {
			if line, ok := strings.CutPrefix(said.Text(), "idle: "); ok {
				if _, err := fmt.Sscanf(line, format, args...); err != nil {
					b.Fatalf("%q: %v", line, err)
				}
				return
			}
		}
		b.Fatal("the relaying process ended")
	}

	var front string
	next("%s", &front)
	server, client := idleConfigs()
	var clients, backends []net.Conn
	defer func() {
		for _, nc := range append(clients, backends...) {
			_ = beneath(nc).Close()
		}
	}()
	for range idlePairs {
		up, err := net.Dial("tcp", front)
		if err != nil {
			b.Fatal(err)
		}
		if w.secure {
			secured := tls.Client(up, client)
			if err := secured.Handshake(); err != nil {
				b.Fatal(err)
			}
			up = secured
		}
		clients = append(clients, up)
		down, err := l.Accept()
		if err != nil {
			b.Fatal(err)
		}
		if w.secure {
			secured := tls.Server(down, server)
			if err := secured.Handshake(); err != nil {
				b.Fatal(err)
			}
			down = secured
		}
		backends = append(backends, down)
	}
	report := "%g %g %g %g"
	next(report, &fresh.heap, &fresh.stack, &fresh.rss, &fresh.goroutines)
	up, down := masked(ws.OpBinary, strings.Repeat("x", 16<<10-8)), plain(ws.OpBinary, strings.Repeat("y", 16<<10-4))
	got := make([]byte, 16<<10)
	for i := range clients {
		for _, through := range []struct {
			from, to net.Conn
			frame    []byte
		}{{clients[i], backends[i], up}, {backends[i], clients[i], down}} {
			if _, err := through.from.Write(through.frame); err != nil {
				b.Fatal(err)
			}
			if _, err := io.ReadFull(through.to, got); err != nil || !bytes.Equal(got, through.frame) {
				b.Fatalf("what came out isn't what went in, err %v", err)
			}
		}
	}
	if _, err := io.WriteString(stdin, "\n"); err != nil {
		b.Fatal(err)
	}
	next(report, &used.heap, &used.stack, &used.rss, &used.goroutines)
	return fresh, used
}

func beneath(nc net.Conn) net.Conn {
	if secured, ok := nc.(*tls.Conn); ok {
		return secured.NetConn()
	}
	return nc
}

// idleConfigs returns what TLS servers and clients need. Records are as large as
// the messages, as most servers make them.
func idleConfigs() (server, client *tls.Config) {
	s := httptest.NewUnstartedServer(nil)
	s.StartTLS()
	defer s.Close()
	roots := x509.NewCertPool()
	roots.AddCert(s.Certificate())
	server = s.TLS.Clone()
	server.DynamicRecordSizingDisabled = true
	return server, &tls.Config{RootCAs: roots, ServerName: "example.com", DynamicRecordSizingDisabled: true}
}

// relayIdle is the relay's side.
func relayIdle(w way) error {
	guard := &portcullis.Guard{Verifier: portcullis.VerifierFunc(func(context.Context, string) (*portcullis.Identity, error) {
		return &portcullis.Identity{Subject: "u", IssuedAt: time.Now(), ExpiresAt: time.Now().Add(time.Hour)}, nil
	})}
	sessions := make([]*portcullis.Session, idlePairs)
	for i := range sessions {
		r := asked()
		r.Header.Set("Authorization", "Bearer x")
		s, err := guard.Admit(r, &portcullis.Policy{})
		if err != nil {
			return err
		}
		s.Forget(false)
		sessions[i] = s
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	server, client := idleConfigs()
	var engine relay.Engine
	engine.Portable = w.portable
	rules := &relay.Rules{Grace: time.Second, Ping: time.Hour, Idle: time.Hour}
	before := costNow()
	fmt.Println("idle:", l.Addr())
	for _, s := range sessions {
		front, err1 := l.Accept()
		if err1 != nil {
			return err1
		}
		if w.secure {
			secured := tls.Server(wsconn.ForTLS(front), server)
			if err := secured.Handshake(); err != nil {
				return err
			}
			front = secured
		}
		back, err := net.Dial("tcp", os.Getenv(idleBackend))
		if err != nil {
			return err
		}
		if w.secure {
			secured := tls.Client(wsconn.ForTLS(back), client)
			if err := secured.Handshake(); err != nil {
				return err
			}
			back = secured
		}
		engine.Start(s, relay.Side{Conn: front}, relay.Side{Conn: back}, relay.Options{Rules: rules}, func(relay.Result) { s.Close() })
	}
	for in := bufio.NewScanner(os.Stdin); ; {
		now := costNow()
		each := func(now, before float64) float64 { return (now - before) / idlePairs }
		fmt.Println("idle:", each(now.heap, before.heap), each(now.stack, before.stack), each(now.rss, before.rss), each(now.goroutines, before.goroutines))
		if !in.Scan() {
			os.Exit(0) // with all sockets
		}
	}
}

// costNow returns what the process holds.
func costNow() idleCost {
	for range 4 { // pools and stacks shrink step by step
		runtime.GC()
	}
	debug.FreeOSMemory()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	var size, resident float64
	if statm, err := os.ReadFile("/proc/self/statm"); err == nil { // on Linux
		_, _ = fmt.Sscan(string(statm), &size, &resident)
	}
	return idleCost{float64(m.HeapAlloc), float64(m.StackInuse), resident * float64(os.Getpagesize()), float64(runtime.NumGoroutine())}
}
