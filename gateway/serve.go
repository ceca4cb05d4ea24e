package gateway

import (
	"context"
	"crypto/tls"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/portcullis-auth/portcullis"
	"github.com/portcullis-auth/portcullis/gateway/listen"
)

// Serve answers on the listener, which it closes, until ctx is done or the
// listener fails. Then sockets are told to come back, and requests may finish
// for the configured time. It returns nil if ctx was done and all of them did.
func (g *Gateway) Serve(ctx context.Context, l net.Listener) error {
	c := g.current.Load().config
	server := &http.Server{
		Handler:           g,
		ReadHeaderTimeout: c.Limits.HeaderTime,
		IdleTimeout:       2 * time.Minute,
		MaxHeaderBytes:    int(c.Limits.HeaderSize),
		// Else net/http answers OPTIONS * itself, before the front has seen it.
		DisableGeneralOptionsHandler: true,
		ErrorLog:                     slog.NewLogLogger(g.log.Handler(), slog.LevelWarn),
		HTTP2: &http.HTTP2Config{ // L1
			MaxReadFrameSize: 16 << 10, MaxConcurrentStreams: 128, MaxReceiveBufferPerConnection: 512 << 10, MaxReceiveBufferPerStream: 256 << 10,
			SendPingTimeout: 30 * time.Second, PingTimeout: 15 * time.Second, WriteByteTimeout: c.Limits.BodyTime,
		},
		ConnState: func(nc net.Conn, state http.ConnState) {
			if secured, ok := nc.(*tls.Conn); ok && secured.ConnectionState().NegotiatedProtocol == "h2" {
				return // its streams have deadlines of their own
			}
			if state == http.StateActive { // the deadline is another request's
				_ = nc.SetWriteDeadline(time.Time{})
			}
		},
	}
	var asking sync.WaitGroup
	defer asking.Wait()
	running, stop := context.WithCancel(context.WithoutCancel(ctx))
	defer stop()
	asking.Go(func() { _ = g.guard.Run(running) }) // without a Store it ends when told
	g.signals.run(running, &asking)
	failed := make(chan error, 1)
	go func() {
		if secured, ok := l.(*listen.Listener); ok && secured.TLS() != nil {
			server.TLSConfig = secured.TLS()
			failed <- server.ServeTLS(l, "", "")
			return
		}
		failed <- server.Serve(l)
	}()
	var err error
	select {
	case err = <-failed:
	case <-ctx.Done():
	}
	patience, cancel := context.WithTimeout(context.WithoutCancel(ctx), g.current.Load().config.ShutdownGrace)
	defer cancel()
	ended := make(chan error, 2)
	for _, guard := range []*portcullis.Guard{g.guard, g.public} {
		go func() { ended <- guard.Shutdown(patience) }()
	}
	unfinished := errors.Join(server.Shutdown(patience), <-ended, <-ended)
	if unfinished != nil {
		unfinished = errors.Join(unfinished, server.Close())
	}
	g.current.Load().closeIdle()
	return errors.Join(err, unfinished)
}
