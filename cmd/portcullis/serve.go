package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"runtime"
	"time"

	"github.com/portcullis-auth/portcullis/admin"
	"github.com/portcullis-auth/portcullis/gateway"
	"github.com/portcullis-auth/portcullis/gateway/config"
)

// check reports every mistake of the configuration.
func check(file string, s system) error {
	c, err := load(file, s)
	if err != nil {
		return err
	}
	g, err := gateway.New(c, nil)
	if err != nil {
		return err
	}
	_ = g.Close()
	_, err = fmt.Fprintf(s.out, "%s is good: %s, listening on %s\n", file, count(len(c.Routes), "route"), c.Listen)
	return err
}

// load reads a configuration that can be served.
func load(file string, s system) (*config.Config, error) {
	c, err := config.Load(file, s.env)
	var mistakes config.Errors
	switch {
	case errors.As(err, &mistakes):
		return nil, fmt.Errorf("%s in the configuration:\n%w", count(len(mistakes), "mistake"), err)
	case err != nil:
		return nil, err
	}
	return c, nil
}

// count says how many there are of what one is called.
func count(n int, what string) string {
	if n != 1 {
		what += "s"
	}
	return fmt.Sprint(n, " ", what)
}

// ballast is how much the garbage collector takes for in use that isn't, in
// bytes. A gateway has little in use, and 16 MiB of garbage soon: collecting it
// each time when there is as much as is in use would cost a fifth of what an HTTP
// call costs. Nobody touches it, so it takes no memory, only what may lie about.
const ballast = 16 << 20

// serve runs the gateway until ctx is done. What the gateway logs is of the least
// level or above.
func serve(ctx context.Context, file string, log *slog.Logger, least slog.Level, s system) error {
	defer runtime.KeepAlive(make([]byte, ballast))
	c, err := load(file, s)
	if err != nil {
		return err
	}
	g, err := gateway.New(c, slog.New(atLeast{log.Handler(), least}))
	if err != nil {
		return err
	}
	defer func() { _ = g.Close() }()
	public, err := g.Listen(ctx)
	if err != nil {
		return fmt.Errorf("listen: %w; set listen in %s to a free address", err, file)
	}
	var operator net.Listener
	if !c.Admin.Off() {
		operator, err = net.Listen("tcp", c.Admin.Listen)
		if err != nil {
			_ = public.Close()
			return fmt.Errorf("admin.listen: %w; set it in %s to a free address, or to off", err, file)
		}
	}
	defer reloadOnHangup(g, file, log, s)()
	log.Info("serving", "listen", public.Addr().String(), "admin", addr(operator), "routes", len(c.Routes))
	err = serveOn(ctx, g, c.Admin.Key.Reveal(), log, public, operator)
	log.Info("stopped", "err", err)
	return err
}

// serveOn serves the gateway, and the admin API on operator unless that is nil,
// until ctx is done or one of them fails.
func serveOn(ctx context.Context, g *gateway.Gateway, adminKey string, log *slog.Logger, public, operator net.Listener) error {
	if operator == nil {
		return g.Serve(ctx, public)
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	api := &http.Server{
		Handler:           admin.New(admin.Config{Guard: g.Guard(), Verifiers: func() any { return g.Verifiers() }, Key: adminKey}),
		ReadHeaderTimeout: 10 * time.Second,
		ReadTimeout:       30 * time.Second,
		MaxHeaderBytes:    64 << 10,
		ErrorLog:          slog.NewLogLogger(log.Handler(), slog.LevelWarn),
	}
	failed := make(chan error, 1)
	go func() {
		failed <- api.Serve(operator)
		cancel()
	}()
	err := g.Serve(ctx, public)
	_ = api.Close()
	if e := <-failed; !errors.Is(e, http.ErrServerClosed) {
		err = errors.Join(err, fmt.Errorf("admin: %w", e))
	}
	return err
}

func addr(l net.Listener) string {
	if l == nil {
		return "off"
	}
	return l.Addr().String()
}
