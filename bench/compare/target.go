//go:build linux

package main

import (
	"embed"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"text/template"

	"github.com/portcullis-auth/portcullis/bench/internal/gate"
	"github.com/portcullis-auth/portcullis/bench/report"
)

// A target is a proxy that is measured.
type target struct {
	report.Target
	remembers bool // what the token system says
	alone     bool // it answers by itself, without the backend
	revokes   bool
	env       []string
	command   func(*plan, settings) []string
	find      func(*plan) (version string, err error)
}

// settings are what a target's configuration is filled in with.
type settings struct {
	Listen, Backend, Tokens string // HOST:PORT
	Dir                     string // for its files
	Config                  string // the file, filled in
	Self                    string // this program
	Cores                   int
	Cache                   bool
}

// targets are in the order of the tables.
var targets = []*target{
	{
		Target: report.Target{
			ID: "portcullis", Name: "Portcullis", Config: "compare/peers/portcullis.yaml",
			About: "portcullis serve: introspection, remembered; ends sockets whose token expires or is revoked",
		},
		remembers: true, revokes: true,
		command: func(p *plan, s settings) []string {
			if p.portcullis == "" {
				return []string{s.Self, "serve", "-c", s.Config}
			}
			return []string{p.portcullis, "serve", "-c", s.Config, "--log-level", "warn"} // the others have no access log either
		},
		find: func(*plan) (string, error) { return gate.Commit(), nil },
	},
	{
		Target: report.Target{
			ID: "nginx-cache", Name: "nginx, cache", Config: "compare/peers/nginx.conf",
			About: "auth_request, its answers in a proxy_cache; asks at the handshake only",
		},
		remembers: true, command: nginx, find: nginxVersion,
	},
	{
		Target: report.Target{
			ID: "nginx", Name: "nginx", Config: "compare/peers/nginx.conf",
			About: "auth_request; asks at the handshake only",
		},
		command: nginx, find: nginxVersion,
	},
	{
		Target: report.Target{
			ID: "caddy", Name: "Caddy", Config: "compare/peers/Caddyfile",
			About: "forward_auth, which remembers nothing; asks at the handshake only",
		},
		command: func(_ *plan, s settings) []string {
			return []string{caddy, "run", "--config", s.Config, "--adapter", "caddyfile"}
		},
		find: func(*plan) (string, error) {
			return says(regexp.MustCompile(`caddy/v2\s+v(\S+)`), caddy, "build-info")
		},
	},
	{
		Target: report.Target{
			ID: "naive", Name: "Go ReverseProxy", Config: "compare/peers/naive/naive.go", Version: strings.TrimPrefix(runtime.Version(), "go"),
			About: "eighty lines around httputil.ReverseProxy: introspection, remembered; asks at the handshake only",
		},
		remembers: true,
		command:   func(_ *plan, s settings) []string { return []string{s.Self, "naive", s.Listen, s.Backend, s.Tokens} },
		find:      func(*plan) (string, error) { return strings.TrimPrefix(runtime.Version(), "go"), nil },
	},
	{
		Target: report.Target{
			ID: "node", Name: "Node ws", Config: "compare/peers/node/server.js",
			About: "no proxy: a backend with verifyClient, introspection, remembered; one thread; asks at the handshake only",
		},
		remembers: true, alone: true,
		command: func(_ *plan, s settings) []string {
			return []string{node(), "compare/peers/node/server.js", s.Listen, s.Tokens}
		},
		find: func(*plan) (string, error) {
			version, err := says(regexp.MustCompile(`v(\S+)`), node(), "--version")
			if err != nil {
				return "", err
			}
			ws, err := os.ReadFile("compare/peers/node/node_modules/ws/package.json")
			m := regexp.MustCompile(`"version": "(\S+)"`).FindSubmatch(ws)
			if err != nil || m == nil {
				return "", errors.New("its package ws is missing")
			}
			return fmt.Sprintf("%s, ws %s", version, m[1]), nil
		},
	},
	{
		Target: report.Target{
			ID: "haproxy", Name: "HAProxy", Limit: true, Config: "compare/peers/haproxy.cfg",
			About: "HTTP, without authorization",
		},
		command: func(_ *plan, s settings) []string { return []string{sbin("haproxy"), "-q", "-f", s.Config} },
		find: func(*plan) (string, error) {
			return says(regexp.MustCompile(`version (\S+)`), sbin("haproxy"), "-v")
		},
	},
	{
		Target: report.Target{
			ID: "relay", Name: "bare relay", Limit: true, Config: "compare/peers/relay/relay.go",
			About: "bytes from one socket to the other by epoll in one thread, without HTTP and authorization",
		},
		env:     []string{"GODEBUG=asyncpreemptoff=1"}, // see package loop
		command: func(_ *plan, s settings) []string { return []string{s.Self, "relay", s.Listen, s.Backend} },
		find:    func(*plan) (string, error) { return strings.TrimPrefix(runtime.Version(), "go"), nil },
	},
}

const caddy = "../bin/bench/caddy"

func nginx(_ *plan, s settings) []string { return []string{sbin("nginx"), "-p", s.Dir, "-c", s.Config} }

func nginxVersion(*plan) (string, error) {
	return says(regexp.MustCompile(`nginx/(\S+)`), sbin("nginx"), "-v")
}

// sbin returns a program that users without rights may not have in their PATH.
func sbin(name string) string {
	if _, err := exec.LookPath(name); err != nil {
		return "/usr/sbin/" + name
	}
	return name
}

// node returns the one that the tests have, or the machine's.
func node() string {
	if own := "../bin/node/node"; exec.Command(own, "--version").Run() == nil {
		return own
	}
	return "node"
}

// says returns what a program says of its version.
func says(version *regexp.Regexp, argv ...string) (string, error) {
	out, err := exec.Command(argv[0], argv[1:]...).CombinedOutput() //nolint:gosec // one of the above
	if m := version.FindSubmatch(out); err == nil && m != nil {
		return string(m[1]), nil
	}
	return "", fmt.Errorf("%s says no version: %w", argv[0], err)
}

//go:embed peers/portcullis.yaml peers/nginx.conf peers/haproxy.cfg peers/Caddyfile
var configs embed.FS

// configure writes the target's configuration, if it has one that isn't a program.
func (t *target) configure(s *settings) error {
	raw, err := configs.ReadFile(strings.TrimPrefix(t.Config, "compare/"))
	if err != nil {
		return nil //nolint:nilerr // a program
	}
	parsed, err := template.New(t.Config).Option("missingkey=error").Parse(string(raw))
	if err != nil {
		return err
	}
	s.Config, s.Cache = filepath.Join(s.Dir, filepath.Base(t.Config)), t.remembers
	var text strings.Builder
	if err := parsed.Execute(&text, s); err != nil {
		return err
	}
	return os.WriteFile(s.Config, []byte(text.String()), 0o644) //nolint:gosec // for workers of another user
}
