package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"os"
	"strconv"
	"strings"
	"time"
	"unicode/utf16"

	"github.com/urfave/cli/v3"
)

const (
	keyEnv       = "PORTCULLIS_ADMIN_KEY"
	maxAnswer    = 64 << 20 // bytes of an answer
	operatorWait = 30 * time.Second
)

// operatorFlags say which gateway is meant.
func operatorFlags() []cli.Flag {
	return []cli.Flag{
		&cli.StringFlag{Name: "admin", OnlyOnce: true, Value: "http://127.0.0.1:8081", Usage: "the `URL` of the gateway's admin listener"},
		&cli.StringFlag{Name: "key-file", OnlyOnce: true, Usage: "the `FILE` with the admin key; without it the key is in the environment, as " + keyEnv},
		&cli.StringFlag{Name: "config", Aliases: []string{"c"}, OnlyOnce: true, Usage: "take URL and key from the gateway's configuration `FILE`, instead of --admin and --key-file"},
	}
}

// An operator asks a gateway's admin API.
type operator struct {
	base, key string
	client    *http.Client
}

// newOperator finds out which gateway is meant: with -c, its configuration says
// all; without, --admin says where it is, and --key-file or the environment
// what its key is.
func newOperator(c *cli.Command, s system) (*operator, error) {
	o := &operator{client: &http.Client{
		Timeout:       operatorWait,
		Transport:     &http.Transport{}, // no proxy: the key is nobody else's
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
	var err error
	if c.IsSet("config") {
		if c.IsSet("admin") || c.IsSet("key-file") {
			return nil, usageError{errors.New("-c takes the admin listener's URL and key from the configuration: leave --admin and --key-file out, or -c")}
		}
		o.base, o.key, err = configuredAdmin(c.String("config"), s)
		return o, err
	}
	if o.base, err = adminURL(c.String("admin")); err != nil {
		return nil, usageError{err}
	}
	if file := c.String("key-file"); c.IsSet("key-file") {
		o.key, err = readKey(file)
	} else {
		o.key, _ = s.env(keyEnv)
	}
	return o, err
}

// adminURL checks what --admin says. The error doesn't repeat it: it may hold a
// password.
func adminURL(text string) (string, error) {
	u, err := url.Parse(text)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Hostname() == "" || u.User != nil ||
		strings.Trim(u.Path, "/") != "" || u.RawQuery != "" || u.Fragment != "" {
		return "", errors.New("--admin is the URL of the gateway's admin listener and no more, as http://127.0.0.1:8081")
	}
	return u.Scheme + "://" + u.Host, nil
}

// configuredAdmin returns what the configuration says of the admin listener. One
// that listens on every address is found on loopback.
func configuredAdmin(file string, s system) (base, key string, err error) {
	c, err := load(file, s)
	if err != nil {
		return "", "", err
	}
	if c.Admin.Off() {
		return "", "", fmt.Errorf("admin.listen is off in %s: there is nobody to ask", file)
	}
	host, port, err := net.SplitHostPort(c.Admin.Listen)
	if err != nil || port == "0" {
		return "", "", fmt.Errorf("admin.listen in %s names no port: say with --admin where the gateway listens", file)
	}
	if ip, err := netip.ParseAddr(host); host == "" || err == nil && ip == netip.IPv4Unspecified() {
		host = "127.0.0.1"
	} else if err == nil && ip == netip.IPv6Unspecified() {
		host = "::1"
	}
	return "http://" + net.JoinHostPort(host, port), c.Admin.Key.Reveal(), nil
}

// readKey reads a file with a key and nothing else, as the gateway does.
func readKey(file string) (string, error) {
	raw, err := os.ReadFile(file)
	if err != nil {
		return "", fmt.Errorf("the admin key: %w", err)
	}
	key := strings.TrimSuffix(strings.TrimSuffix(string(raw), "\n"), "\r")
	if key == "" || strings.ContainsAny(key, "\r\n\x00") {
		return "", fmt.Errorf("the admin key: %s must hold the key, on one line, and nothing else", file)
	}
	return key, nil
}

// call asks the API and decodes its answer. Body nil: none.
func (o *operator) call(ctx context.Context, method, target string, body, into any) error {
	var sent io.Reader
	if body != nil {
		raw, err := json.Marshal(body)
		if err != nil {
			return err
		}
		sent = bytes.NewReader(raw)
	}
	r, err := http.NewRequestWithContext(ctx, method, o.base+target, sent)
	if err != nil {
		return err
	}
	if body != nil {
		r.Header.Set("Content-Type", "application/json")
	}
	if o.key != "" {
		r.Header.Set("Authorization", "Bearer "+o.key)
	}
	resp, err := o.client.Do(r)
	if err != nil {
		if e := new(url.Error); errors.As(err, &e) {
			err = e.Err
		}
		return fmt.Errorf("no gateway answers at %s: %w; start it, or name its admin listener with --admin or -c", o.base, err)
	}
	defer func() { _ = resp.Body.Close() }()
	raw, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer+1))
	if err == nil && len(raw) > maxAnswer {
		err = fmt.Errorf("the answer is larger than %d bytes", maxAnswer)
	}
	if err != nil {
		return fmt.Errorf("reading the answer of %s: %w", o.base, err)
	}
	kind, _, _ := mime.ParseMediaType(resp.Header.Get("Content-Type"))
	if resp.StatusCode == http.StatusOK && kind == "application/json" && json.Unmarshal(raw, into) == nil {
		return nil
	}
	return o.refusal(resp.StatusCode, kind, raw)
}

// refusal says why the API didn't do it, and what to do.
func (o *operator) refusal(status int, kind string, raw []byte) error {
	var problem struct{ Type, Detail string }
	if kind != "application/problem+json" || json.Unmarshal(raw, &problem) != nil {
		return fmt.Errorf("%s answers (status %d), but not as a gateway's admin API: name the admin listener with --admin or -c", o.base, status)
	}
	switch {
	case status == http.StatusUnauthorized && o.key == "":
		return fmt.Errorf("the gateway at %s wants its admin key: give it with --key-file, -c or in the environment as %s", o.base, keyEnv)
	case status == http.StatusUnauthorized:
		return fmt.Errorf("the gateway at %s has another admin key: see admin.key_file or admin.key_env in its configuration", o.base)
	case problem.Type == "urn:portcullis:problem:no_session":
		return errors.New("the gateway has no live session of that handle: it has ended, or never was; portcullis sessions lists those that live")
	}
	return fmt.Errorf("the gateway refuses: %s", visible(problem.Detail))
}

// given returns the values of those flags of names that are given, each under
// the API's name for it. An empty one is refused: it is a script's variable that
// isn't set, and leaving it out would mean everybody.
func given(c *cli.Command, names map[string]string) (map[string]string, error) {
	values := make(map[string]string)
	for flag, name := range names {
		if !c.IsSet(flag) {
			continue
		}
		if values[name] = c.String(flag); values[name] == "" {
			return nil, usageError{fmt.Errorf("--%s is empty", flag)}
		}
	}
	return values, nil
}

// visible returns s with what a terminal would obey instead of showing it
// escaped, the way that JSON does.
func visible(s string) string {
	var b strings.Builder
	for _, r := range s {
		if strconv.IsPrint(r) {
			b.WriteRune(r)
			continue
		}
		for _, unit := range utf16.AppendRune(nil, r) {
			fmt.Fprintf(&b, `\u%04x`, unit)
		}
	}
	return b.String()
}
