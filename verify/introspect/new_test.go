package introspect_test

import (
	"strings"
	"testing"

	"github.com/portcullis-auth/portcullis/verify/introspect"
)

func TestI2New(t *testing.T) {
	const issuer = "https://id.example.com/tenant"
	good := introspect.Config{URL: "https://id.example.com/x", ClientID: clientID, ClientSecret: secret}
	key := &introspect.ClientKey{Signer: edPrivate}
	type config = introspect.Config
	for _, tt := range []struct {
		name    string
		change  func(*config)
		wantErr string
	}{
		{"good", func(*config) {}, ""},
		{"loopback", func(c *config) { c.URL = "http://127.0.0.1:1/x" }, ""},
		{"plain", func(c *config) { c.URL = "http://id.example.com/x" }, "InsecurePlainHTTP"},
		{"plain, permitted", func(c *config) { c.URL, c.InsecurePlainHTTP = "http://id.example.com/x", true }, ""},
		{"no URL", func(c *config) { c.URL = "" }, "URL is missing"},
		{"credentials in the URL", func(c *config) { c.URL = "https://a:S3CR3T@id.example.com/x" }, "credentials"},
		{"negative timeout", func(c *config) { c.Timeout = -1 }, "Timeout"},

		{"issuer instead of URL", func(c *config) { c.URL, c.Issuer = "", issuer }, ""},
		{"issuer that is no URL", func(c *config) { c.URL, c.Issuer = "", "home" }, "issuer's URL"},
		{"issuer that is no URL, beside one", func(c *config) { c.Issuer = "home" }, ""},
		{"plain issuer", func(c *config) { c.URL, c.Issuer = "", "http://id.example.com" }, "InsecurePlainHTTP"},
		{"issuer with query", func(c *config) { c.URL, c.Issuer = "", issuer+"?" }, "query"},

		{"no id", func(c *config) { c.ClientID = "" }, "ClientID"},
		{"no credentials", func(c *config) { c.ClientSecret = "" }, "ClientSecret"},
		{"secret and key", func(c *config) { c.ClientKey = key }, "no other"},
		{"secret and bearer", func(c *config) { c.BearerToken = bearer }, "no other"},
		{"key and bearer", func(c *config) { c.ClientSecret, c.ClientKey, c.BearerToken = "", key, bearer }, "no other"},
		{"unknown method", func(c *config) { c.Auth = "none" }, "Auth must be"},
		{"key's method with a secret", func(c *config) { c.Auth = introspect.AuthPrivateKeyJWT }, "Auth must be"},
		{"secret's method with a key", func(c *config) { c.ClientSecret, c.ClientKey, c.Auth = "", key, introspect.AuthPost }, "Auth must be"},
		{"key", func(c *config) { c.ClientSecret, c.ClientKey = "", key }, ""},
		{"key without id", func(c *config) { c.ClientSecret, c.ClientKey, c.ClientID = "", key, "" }, "ClientID"},
		{"empty key", func(c *config) { c.ClientSecret, c.ClientKey = "", &introspect.ClientKey{} }, "no Signer"},
		{"bearer", func(c *config) { c.ClientSecret, c.BearerToken, c.ClientID = "", bearer, "" }, ""},
		{"bearer with a line feed", func(c *config) { c.ClientSecret, c.BearerToken = "", bearer+"\n" }, "BearerToken"},

		{"unknown mode", func(c *config) { c.Issuer, c.SignedResponse = issuer, "yes" }, "SignedResponse must be"},
		{"off, said", func(c *config) { c.SignedResponse = introspect.SignedOff }, ""},
		{"signed", func(c *config) { c.Issuer, c.SignedResponse = issuer, introspect.SignedAccept }, ""},
		{"signed without issuer", func(c *config) { c.SignedResponse = introspect.SignedRequired }, "Issuer"},
		{"signed without id", func(c *config) {
			c.ClientSecret, c.BearerToken, c.ClientID = "", bearer, ""
			c.Issuer, c.SignedResponse = issuer, introspect.SignedRequired
		}, "ClientID"},
		{"signed, plain keys", func(c *config) {
			c.Issuer, c.SignedResponse, c.JWKSURL = issuer, introspect.SignedRequired, "http://id.example.com/keys"
		}, "InsecurePlainHTTP"},
		{"signed, plain issuer", func(c *config) {
			c.Issuer, c.SignedResponse = "http://id.example.com", introspect.SignedRequired
		}, "InsecurePlainHTTP"},
		{"keys for nothing", func(c *config) { c.JWKSURL = "https://id.example.com/keys" }, "SignedResponse"},
		{"algorithms for nothing", func(c *config) { c.Algorithms = []string{"RS256"} }, "SignedResponse"},
		{"J1 none", func(c *config) {
			c.Issuer, c.SignedResponse, c.Algorithms = issuer, introspect.SignedAccept, []string{"RS256", "none"}
		}, "not one for public keys"},
		{"J1 HS256", func(c *config) {
			c.Issuer, c.SignedResponse, c.Algorithms = issuer, introspect.SignedAccept, []string{"HS256"}
		}, "not one for public keys"},
	} {
		c := good
		tt.change(&c)
		_, err := introspect.New(c)
		if (err == nil) != (tt.wantErr == "") || err != nil && !strings.Contains(err.Error(), tt.wantErr) {
			t.Errorf("%s: err = %v, want %q", tt.name, err, tt.wantErr)
		}
		if err != nil && holdsSecret(err.Error()) {
			t.Errorf("%s: the error holds a secret: %v", tt.name, err)
		}
	}
}
