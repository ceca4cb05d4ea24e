package main

import (
	"context"
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

// serve does what portcullis serve does, and can be profiled.
func serve(ctx context.Context, file string) error {
	c, err := config.Load(file, os.LookupEnv)
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
