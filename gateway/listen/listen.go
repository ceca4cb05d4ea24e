// Package listen is what a public listener is made of: TCP with bounds on the
// connections, the PROXY protocol of load balancers, and TLS with certificates
// from files that may change or from a certificate authority (ACME).
//
// It hands out connections as soon as they are there, and reads nothing of them
// until it is asked to: no client can hold up another one.
package listen

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"sync"
	"syscall"
	"time"

	"github.com/portcullis-auth/portcullis/internal/reserve"
	"github.com/portcullis-auth/portcullis/internal/wsconn"
)

// headerTime is HeaderTime where none is given.
const headerTime = 10 * time.Second

// Options are those of [Open]. All but Address may be zero.
type Options struct {
	// Address is host:port of TCP. Without a host it is every address of the
	// machine; port 0 is a free one.
	Address string

	// ProxyFrom is whose connections begin with a PROXY protocol header (version
	// 1 or 2). A connection from there without a valid one is cut. From elsewhere
	// a header is what the client sent, and neither HTTP nor TLS. nil: nobody's.
	ProxyFrom []netip.Prefix

	// HeaderTime is how long the PROXY header and the TLS handshake may take
	// together, from the accept on. What takes longer is cut. 0: 10 s.
	HeaderTime time.Duration

	// Connections is how many there may be at once. What is over is closed
	// without an answer: one that says why would cost what is to be saved. 0: no
	// bound.
	Connections int

	// PerAddress is how many of them there may be at once from one address, or
	// one /64 of IPv6: that much each subscriber has. It is the address that the
	// PROXY header states. What is over is closed, as above. 0: no bound.
	PerAddress int

	// Certificates are for TLS. The first one that the client can use is taken,
	// by the server name it asks for; if it can use none, the first. They are read
	// again when they change.
	Certificates []Certificate

	// ACME gets more of them. nil: nobody does. With neither, the listener is in
	// the clear.
	ACME *ACME

	// MinVersion is the oldest version of TLS, 1.2 at least. 0: TLS 1.2.
	MinVersion uint16

	// Log gets what happens to the listener and its certificates. What clients
	// can bring about is in it once a second at most. nil: nothing does.
	Log *slog.Logger
}

// A Listener is a [net.Listener]. It is made by [Open], safe for concurrent use,
// and must be closed.
type Listener struct {
	tcp     *net.TCPListener
	options Options
	log     *slog.Logger
	slots   slots
	tls     *tls.Config // nil: in the clear
	shaking sync.Map    // net.Conn beneath TLS: its *conn, until the handshake is over
	close   func() error

	refused, headless, exhausted rarely
}

// Open listens. ctx is for that only: a Listener lives until it is closed. What
// is wrong with a certificate, its key, or ACME is an error; a certificate that
// has expired is logged. It waits for no certificate authority: handshakes fail
// until there is a certificate, which the log says.
func Open(ctx context.Context, o Options) (*Listener, error) {
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.HeaderTime == 0 {
		o.HeaderTime = headerTime
	}
	if o.MinVersion == 0 {
		o.MinVersion = tls.VersionTLS12
	}
	if o.MinVersion < tls.VersionTLS12 || o.MinVersion > tls.VersionTLS13 {
		return nil, fmt.Errorf("%s can't be the oldest version: it is TLS 1.2 or TLS 1.3", tls.VersionName(o.MinVersion))
	}
	files, err := loadFiles(o.Certificates, o.Log)
	if err != nil {
		return nil, err
	}
	if err := o.ACME.check(); err != nil {
		return nil, err
	}
	tcp, err := new(net.ListenConfig).Listen(ctx, "tcp", o.Address)
	if err != nil {
		return nil, err
	}
	l := &Listener{tcp: tcp.(*net.TCPListener), options: o, log: o.Log, slots: slots{total: o.Connections, each: o.PerAddress}}
	closing, cancel := context.WithCancel(context.WithoutCancel(ctx))
	var running sync.WaitGroup
	l.close = sync.OnceValue(func() error {
		cancel()
		err := tcp.Close()
		running.Wait()
		return err
	})
	if len(o.Certificates) > 0 {
		running.Go(func() { files.follow(closing) })
	}
	var authority *authority
	if o.ACME != nil {
		if authority, err = o.ACME.start(closing, l.tcp.Addr().(*net.TCPAddr), o.Log, &running); err != nil {
			_ = l.close()
			return nil, err
		}
	}
	if len(o.Certificates) > 0 || o.ACME != nil {
		l.tls = l.tlsConfig(files, authority)
	}
	return l, nil
}

// TLS is what TLS is spoken with, as in [http.Server.TLSConfig]; nil: it is not
// spoken. The connections that Accept returns are yet to be wrapped, as
// [http.Server.ServeTLS] does, in this or a clone of it.
func (l *Listener) TLS() *tls.Config { return l.tls }

// Addr returns the listener's address, a *net.TCPAddr.
func (l *Listener) Addr() net.Addr { return l.tcp.Addr() }

// Close ends Accept, and the care for certificates. Connections live on. It may
// be called again.
func (l *Listener) Close() error { return l.close() }

// Accept returns the next connection; [net.ErrClosed] is for a closed listener.
// It waits, and goes on, while the system lacks descriptors or memory (L3).
//
// In the clear the connection has a method TCP() *net.TCPConn: what can move
// bytes past its Read, once that has been called, does it with what TCP returns.
// A connection's slot is freed when it is closed, and not when what TCP returns
// is: so whoever goes on with a duplicate of the descriptor, as relays do, closes
// the connection itself, and counts sockets by itself.
//
// The connection's RemoteAddr is what the PROXY header states; for LOCAL and
// UNKNOWN, with which load balancers look whether we live, it is the load
// balancer's. It waits for that header. So what is written into X-Forwarded-For
// is the client, and the load balancer's own address is nowhere.
func (l *Listener) Accept() (net.Conn, error) {
	var pause time.Duration
	for {
		nc, err := l.tcp.AcceptTCP()
		switch {
		case err == nil:
			pause = 0
			if c := l.admit(nc); c != nil {
				return c, nil
			}
		case lacking(err):
			pause = min(max(2*pause, 5*time.Millisecond), time.Second)
			l.exhausted.log(l.log, slog.LevelError, "no connection can be accepted", slog.String("err", err.Error()))
			time.Sleep(pause)
		default:
			return nil, err
		}
	}
}

// lacking reports whether accept will work again when others have let go.
func lacking(err error) bool {
	for _, errno := range []syscall.Errno{syscall.EMFILE, syscall.ENFILE, syscall.ENOBUFS, syscall.ENOMEM} {
		if errors.Is(err, errno) {
			return true
		}
	}
	return false
}

// admit returns the connection as its owner is to have it; nil: it was over a
// bound, and is closed.
func (l *Listener) admit(nc *net.TCPConn) net.Conn {
	peer := nc.RemoteAddr()
	if reserve.Has(nc) {
		_ = nc.Close()
		l.exhausted.log(l.log, slog.LevelError, "connection refused: the last descriptors are for those who are there", slog.String("remote", peer.String()))
		return nil
	}
	if !l.slots.take() {
		_ = nc.Close()
		l.refuse(peer)
		return nil
	}
	c := &conn{TCPConn: nc, listener: l, remote: peer}
	if c.proxied = l.proxy(peer); !c.proxied && !c.claim() {
		_ = c.Close()
		l.refuse(peer)
		return nil
	}
	var outer net.Conn = c
	if l.tls != nil {
		outer = wsconn.ForTLS(c)
		c.outer = outer
		l.shaking.Store(outer, c)
	}
	if c.proxied || l.tls != nil {
		c.mu.Lock()
		c.late = time.AfterFunc(l.options.HeaderTime, func() { _ = c.Close() })
		c.mu.Unlock()
	}
	return outer
}

// proxy reports whether who connects from there is to send a PROXY header.
func (l *Listener) proxy(peer net.Addr) bool {
	ip := addressOf(peer)
	for _, from := range l.options.ProxyFrom {
		if from.Contains(ip) {
			return true
		}
	}
	return false
}

// refuse says that a connection was over a bound.
func (l *Listener) refuse(of net.Addr) {
	l.refused.log(l.log, slog.LevelWarn, "connection refused: too many", slog.String("remote", of.String()))
}
