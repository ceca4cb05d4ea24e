package main

import (
	"context"
	"crypto/rand"
	_ "embed"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/urfave/cli/v3"

	"github.com/portcullis-auth/portcullis/dev/demo"
	"github.com/portcullis-auth/portcullis/dev/issuer"
	"github.com/portcullis-auth/portcullis/gateway"
	"github.com/portcullis-auth/portcullis/gateway/config"
)

// demoConfig is the gateway's configuration in the demo.
//
//go:embed demo.yaml
var demoConfig string

// demoVerify are the ways to ask the demo's token system.
var demoVerify = map[string]string{
	"introspection": `verify:
  introspection:
    url: ${ISSUER}/oauth/introspect
    client_id: gateway
    client_secret_env: GATEWAY_SECRET`,

	"jwt": `verify:
  jwt:
    issuer: ${ISSUER}
    audience: gateway
  userinfo: # these tokens say little about their users
    url: ${ISSUER}/userinfo`,

	"httpcheck": `verify:
  http_check:
    url: ${ISSUER}/check
    method: POST
    token_in: {form: token}
    fields:
      valid: valid
      subject: user_id
      expiry: valid_until
      issued_at: valid_from
      session_id: login
      scopes: roles
    issuer: ${ISSUER}`,
}

// demoText is the configuration with one way to verify tokens.
func demoText(way string) string { return strings.Replace(demoConfig, "${VERIFY}", demoVerify[way], 1) }

const demoListen = "127.0.0.1:8080"

func demoFlags() []cli.Flag {
	return []cli.Flag{
		&cli.StringFlag{Name: "listen", Value: demoListen, Usage: "the gateway's `ADDRESS`; if the default is taken, any free one"},
		&cli.DurationFlag{Name: "token-lifetime", Value: 5 * time.Minute, Usage: "how long a token is good: make it short and watch it run out"},
		&cli.StringFlag{Name: "verify", Value: "introspection", Usage: "the `WAY` in which tokens are verified: introspection, jwt or httpcheck", Validator: func(v string) error {
			if demoVerify[v] == "" {
				return fmt.Errorf("no way %q: write introspection, jwt or httpcheck", v)
			}
			return nil
		}},
		&cli.BoolFlag{Name: "insecure-allow-non-loopback", Usage: "listen where other machines can reach the demo, whose users have no passwords to speak of"},
		&cli.BoolFlag{Name: "print-config", Usage: "print the gateway's configuration and do nothing else"},
		&cli.BoolFlag{Name: "verbose", Usage: "log what happens to standard error"},
	}
}

// demonstrate runs a token system, a backend and a gateway until ctx is done.
func demonstrate(ctx context.Context, c *cli.Command, s system) (err error) {
	way := c.String("verify")
	if c.Bool("print-config") {
		_, err := io.WriteString(s.out, demoText(way))
		return err
	}
	log := slog.New(slog.DiscardHandler)
	if c.Bool("verbose") {
		log = slog.New(slog.NewTextHandler(s.err, nil))
	}
	h := house{ctx: ctx, log: log, insecure: c.Bool("insecure-allow-non-loopback")}
	defer func() { err = errors.Join(err, h.close()) }()
	return h.open(c.String("listen"), c.Duration("token-lifetime"), way, s)
}

// A house is the demo's parts, in the order in which they were started.
type house struct {
	ctx      context.Context
	log      *slog.Logger
	insecure bool
	closers  []func() error
}

func (h *house) open(listen string, lifetime time.Duration, way string, s system) error {
	public, err := h.listen(listen)
	if err != nil && listen == demoListen {
		public, err = h.listen("127.0.0.1:0")
	}
	if err != nil {
		return err
	}
	host, _, err := net.SplitHostPort(public.Addr().String())
	if err != nil {
		return err
	}
	door, err := h.listen(net.JoinHostPort(host, "0"))
	if err != nil {
		return err
	}
	behind, err := h.listen("127.0.0.1:0")
	if err != nil {
		return err
	}
	operator, err := h.listen("127.0.0.1:0")
	if err != nil {
		return err
	}

	secret := rand.Text()
	kind := issuer.Opaque
	if way == "jwt" {
		kind = issuer.JWT
	}
	here := "http://" + public.Addr().String()
	tokens, err := issuer.New(issuer.Config{
		URL: "http://" + door.Addr().String(), AppURL: here,
		AccessLifetime: lifetime, IntrospectionSecret: secret, Kind: kind,
		BackchannelLogoutURIs: []string{here + "/.portcullis/backchannel-logout"},
		Log:                   h.log,
	})
	if err != nil {
		return err
	}
	h.closers = append(h.closers, tokens.Close)
	h.serve(door, tokens)

	backend, err := demo.New(demo.Options{LoginURL: tokens.URL(), Log: h.log})
	if err != nil {
		return err
	}
	h.closers = append(h.closers, backend.Close)
	h.serve(behind, backend)

	conf, err := demoConfiguration(strings.NewReplacer(
		"${LISTEN}", public.Addr().String(), "${ADMIN}", operator.Addr().String(),
		"${ISSUER}", tokens.URL(), "${BACKEND}", "http://"+behind.Addr().String(),
	), way, secret)
	if err != nil {
		return err
	}
	g, err := gateway.New(conf, h.log)
	if err != nil {
		return err
	}
	h.closers = append(h.closers, g.Close)
	if _, err := fmt.Fprintf(s.out, `
  Open this, and once more in a private window as somebody else:

      %s/

  Tokens are good for %v. Log in, chat, log out in another tab and watch.
  The operator's view: curl http://%s/v1/sessions
      or, in words: portcullis sessions --admin http://%s
  Stop with Ctrl-C.

`, here, lifetime, operator.Addr(), operator.Addr()); err != nil {
		return err
	}
	return serveOn(h.ctx, g, "", h.log, public, operator)
}

// listen opens a listener that is closed at the end. It refuses addresses that
// others can reach (A3).
func (h *house) listen(addr string) (net.Listener, error) {
	l, err := issuer.Listen(addr, h.insecure)
	if err != nil {
		return nil, fmt.Errorf("%w; see --listen and --insecure-allow-non-loopback", err)
	}
	h.closers = append(h.closers, func() error { _ = l.Close(); return nil })
	return l, nil
}

func (h *house) serve(l net.Listener, handler http.Handler) {
	server := &http.Server{Handler: handler, ReadHeaderTimeout: 10 * time.Second, ErrorLog: slog.NewLogLogger(h.log.Handler(), slog.LevelWarn)}
	h.closers = append(h.closers, server.Close)
	go func() { _ = server.Serve(l) }()
}

// close closes in the opposite order.
func (h *house) close() (err error) {
	for i := len(h.closers) - 1; i >= 0; i-- {
		err = errors.Join(err, h.closers[i]())
	}
	return err
}

// demoConfiguration fills in the embedded configuration and loads it the way
// that any is.
func demoConfiguration(fill *strings.Replacer, way, secret string) (*config.Config, error) {
	dir, err := os.MkdirTemp("", "portcullis-demo-")
	if err != nil {
		return nil, err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	file := filepath.Join(dir, "portcullis.yaml")
	if err := os.WriteFile(file, []byte(fill.Replace(demoText(way))), 0o600); err != nil {
		return nil, err
	}
	return config.Load(file, func(name string) (string, bool) { return secret, name == "GATEWAY_SECRET" })
}
