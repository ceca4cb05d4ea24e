package issuer_test

import (
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/portcullis-auth/portcullis/dev/issuer"
)

func TestA3Listen(t *testing.T) {
	for addr, want := range map[string]bool{
		"127.0.0.1:0": true, "localhost:0": true, "127.8.9.10:0": true,
		"0.0.0.0:0": false, ":0": false, "[::]:0": false, "192.0.2.1:0": false,
	} {
		ln, err := issuer.Listen(addr, false)
		if err == nil {
			ln.Close()
		}
		if (err == nil) != want {
			t.Errorf("Listen(%q): %v, want ok = %v", addr, err, want)
		}
		if err != nil && !strings.Contains(err.Error(), "use a loopback address") {
			t.Errorf("Listen(%q): the error does not say what to do: %v", addr, err)
		}
	}
	ln, err := issuer.Listen("0.0.0.0:0", true)
	if err != nil {
		t.Fatalf("explicitly allowed: %v", err)
	}
	ln.Close()
	if _, err := issuer.Listen("127.0.0.1", false); err == nil {
		t.Error("an address without a port was taken")
	}
}

func TestConfigErrors(t *testing.T) {
	for name, edit := range map[string]func(*issuer.Config){
		"no URL":              func(c *issuer.Config) { c.URL = "" },
		"relative URL":        func(c *issuer.Config) { c.URL = "127.0.0.1:9000" },
		"URL with a path":     func(c *issuer.Config) { c.URL += "/auth" },
		"another scheme":      func(c *issuer.Config) { c.URL = "ftp://127.0.0.1" },
		"AppURL with a query": func(c *issuer.Config) { c.AppURL = c.URL + "?x" },
		"other host":          func(c *issuer.Config) { c.AppURL = "http://localhost:8080" },
		"https and http":      func(c *issuer.Config) { c.URL = "https://127.0.0.1:9000" },
		"no secret":           func(c *issuer.Config) { c.IntrospectionSecret = "" },
		"negative lifetime":   func(c *issuer.Config) { c.AccessLifetime = -time.Second },
		"logout URI":          func(c *issuer.Config) { c.BackchannelLogoutURIs = []string{"/logout"} },
		"logout token":        func(c *issuer.Config) { c.LogoutToken = 9 },
		"client id taken":     func(c *issuer.Config) { c.IntrospectionClientID = issuer.ClientJWT },
		"cookie name":         func(c *issuer.Config) { c.CookieName = "a b" },
		"private key":         func(c *issuer.Config) { c.IntrospectionKey = &jose.JSONWebKey{Key: key(), KeyID: "k"} },
		"no users":            func(c *issuer.Config) { c.Users = []issuer.User{} },
		"user twice":          func(c *issuer.Config) { c.Users = append(issuer.SampleUsers(), issuer.SampleUsers()[0]) },
		"user without e-mail": func(c *issuer.Config) { c.Users = []issuer.User{{Subject: "u", Username: "u", Name: "U"}} },
		"subject with colon": func(c *issuer.Config) {
			c.Users = []issuer.User{{Subject: "u:1", Username: "u", Name: "U", Email: "u@example.com"}}
		},
	} {
		cfg := issuer.Config{URL: "http://127.0.0.1:9000", AppURL: "http://127.0.0.1:8080", IntrospectionSecret: secret, SigningKey: key()}
		if iss, err := issuer.New(cfg); err != nil {
			t.Fatal(err)
		} else {
			iss.Close()
		}
		edit(&cfg)
		if iss, err := issuer.New(cfg); err == nil {
			iss.Close()
			t.Errorf("%s: want an error", name)
		} else if !strings.HasPrefix(err.Error(), "issuer: ") {
			t.Errorf("%s: error %q", name, err)
		}
	}
}
