package faulttest_test

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/portcullis-auth/portcullis/admin"
	"github.com/portcullis-auth/portcullis/gateway"
	"github.com/portcullis-auth/portcullis/gateway/config"
)

// asGateway is the environment variable that has this program be a gateway, with
// the configuration that it names.
const asGateway = "FAULTTEST_GATEWAY"

// serveGateway does what portcullis serve does, until it is told to stop.
func serveGateway(file string) error {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	c, err := config.Load(file, environment)
	if err != nil {
		return err
	}
	log := slog.New(slog.NewJSONHandler(os.Stderr, nil))
	g, err := gateway.New(c, log)
	if err != nil {
		return err
	}
	defer func() { _ = g.Close() }()
	public, err := g.Listen(ctx)
	if err != nil {
		return err
	}
	operator, err := net.Listen("tcp", c.Admin.Listen)
	if err != nil {
		return errors.Join(err, public.Close())
	}
	api := &http.Server{Handler: admin.New(admin.Config{Guard: g.Guard()}), ReadHeaderTimeout: 10 * time.Second}
	go func() { _ = api.Serve(operator) }()
	defer api.Close()
	log.Info("serving", "listen", public.Addr().String(), "admin", operator.Addr().String())
	return g.Serve(ctx, public)
}
