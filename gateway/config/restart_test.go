package config_test

import (
	"reflect"
	"slices"
	"testing"

	"github.com/portcullis-auth/portcullis/gateway/config"
)

// L5: what a running gateway can't take is named, and nothing else.
func TestL5NeedsRestart(t *testing.T) {
	parse := func(text string) *config.Config {
		t.Helper()
		c, err := config.Parse(verify+routes+text, files, vars)
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	for _, tt := range []struct {
		from, to string
		want     []string
	}{
		{"", "", nil},
		{"", "listen: :9090\n", []string{"listen"}},
		{"tickets: {lifetime: 10s}\n", "", []string{"tickets"}},
		{"tickets: {lifetime: 10s}\n", "tickets: {lifetime: 10s}\n", nil},
		{"", "limits: {header_time: 9s, sockets: 5, body_time: 9s}\nleeway: 3s\n", []string{"limits.header_time", "limits.body_time", "leeway"}},
		{"", "limits: {sockets: 5, requests_per_user: 7}\ngrace: 3s\naccess_log: 1\ntokens: [{cookie: session}]\nshutdown_grace: 1s\ntrusted_proxies: 10.0.0.1\nuserinfo_max: 1KiB\n", nil},
	} {
		got := parse(tt.from).NeedsRestart(parse(tt.to))
		slices.Sort(got)
		slices.Sort(tt.want)
		if !slices.Equal(got, tt.want) {
			t.Errorf("%q to %q: %q, want %q", tt.from, tt.to, got, tt.want)
		}
	}
}

// A file that is read twice is the same: else no reload would be one.
func TestL5ReadTwice(t *testing.T) {
	for _, name := range []string{"minimal", "full", "http-check", "several"} {
		a, b := example(t, name), example(t, name)
		if keys := a.NeedsRestart(b); keys != nil || !reflect.DeepEqual(a.Verify, b.Verify) || !reflect.DeepEqual(a.Logout, b.Logout) {
			t.Errorf("%s: %q, or whom to ask, differ from themselves", name, keys)
		}
	}
}
