package gate

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"net/http/pprof"
	"os"
	"time"

	"github.com/portcullis-auth/portcullis/admin"
	"github.com/portcullis-auth/portcullis/gateway"
	"github.com/portcullis-auth/portcullis/gateway/config"
)

// Serve is the part of a gateway: what portcullis serve does, and it can be
// profiled. Its arguments are those of portcullis serve: -c FILE.
func Serve(ctx context.Context, args []string, _ *json.Decoder, _ *json.Encoder) error {
	if len(args) != 2 {
		return errors.New("usage: serve -c FILE")
	}
	c, err := config.Load(args[1], os.LookupEnv)
	if err != nil {
		return err
	}
	log := slog.New(slog.NewJSONHandler(os.Stderr, nil))
	g, err := gateway.New(c, log)
	if err != nil {
		return err
	}
	defer func() { _ = g.Close() }()
	public, err := net.Listen("tcp", c.Listen)
	if err != nil {
		return err
	}
	operator, err := net.Listen("tcp", c.Admin.Listen)
	if err != nil {
		return errors.Join(err, public.Close())
	}
	mux := http.NewServeMux()
	mux.HandleFunc("/debug/pprof/profile", pprof.Profile)
	mux.Handle("/", admin.New(admin.Config{Guard: g.Guard()}))
	api := &http.Server{Handler: mux, ReadHeaderTimeout: 10 * time.Second}
	go func() { _ = api.Serve(operator) }()
	defer api.Close()
	log.Info("serving", "listen", public.Addr().String(), "admin", operator.Addr().String())
	return g.Serve(ctx, public)
}
