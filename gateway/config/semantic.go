package config

import (
	"crypto/x509"
	"fmt"
	"net/url"
	"strconv"
	"strings"
)

// A checker looks at what several keys say together, and reads what they refer
// to. Of keys that have an error already it says nothing.
type checker struct {
	*decoder
	outside outside
	dir     string // of the configuration file
}

func (k *checker) config(c *Config) {
	k.admin(&c.Admin)
	if c.Listen == c.Admin.Listen && !strings.HasSuffix(c.Listen, ":0") && c.Listen != "" {
		key := "admin.listen"
		if !k.has(key) {
			key = "listen"
		}
		k.fail(key, "both listeners have the same address", "change the port of one of them")
	}
	k.tls(c.TLS)
	k.places(c.Tokens, "tokens")
	k.verify(c.Verify)
	k.logout(c.Logout)
	k.signals(c.Signals)
	if c.Tickets != nil && c.Tickets.KeysDir != "" {
		c.Tickets.KeysDir = k.folder("tickets.keys_dir", c.Tickets.KeysDir)
	}
	k.routes(c.Routes)
}

func (k *checker) logout(list []Logout) {
	first := map[[2]string]int{}
	for i := range list {
		l, key := &list[i], "logout"
		if k.has("logout[0]") {
			key += "[" + strconv.Itoa(i) + "]"
		}
		issuer, _ := url.Parse(l.Issuer)
		k.transport(key+".issuer", issuer, key, l.InsecurePlainHTTP)
		k.transport(key+".jwks_url", l.JWKSURL, key, l.InsecurePlainHTTP)
		who := [2]string{l.Issuer, l.ClientID}
		if j, ok := first[who]; ok && l.Issuer != "" {
			k.fail(key, fmt.Sprintf("has the same issuer and client_id as logout[%d]", j), "remove one of them")
			continue
		}
		first[who] = i
	}
}

func (k *checker) signals(list []Signals) {
	first := map[string]int{}
	for i := range list {
		s, key := &list[i], "signals"
		if k.has("signals[0]") {
			key += "[" + strconv.Itoa(i) + "]"
		}
		issuer, _ := url.Parse(s.Issuer)
		k.transport(key+".issuer", issuer, key, s.InsecurePlainHTTP)
		k.transport(key+".jwks_url", s.JWKSURL, key, s.InsecurePlainHTTP)
		k.transport(key+".poll_url", s.PollURL, key, s.InsecurePlainHTTP)
		s.PushSecret = k.secret(key, "push_secret", s.PushSecretFile, s.PushSecretEnv)
		s.PollToken = k.secret(key, "poll_token", s.PollTokenFile, s.PollTokenEnv)
		if s.PollURL == nil && (k.has(key+".poll_token_file") || k.has(key+".poll_token_env")) && !k.has(key+".poll_url") {
			k.fail(key, "has a poll_token, and nowhere to poll", "add poll_url, or remove it")
		}
		if j, ok := first[s.Name]; ok {
			k.fail(key, fmt.Sprintf("has the same name as signals[%d]", j), "give each a name of its own")
			continue
		}
		first[s.Name] = i
	}
}

func (k *checker) admin(a *Admin) {
	const minKey = 16
	a.Key = k.secret("admin", "key", a.KeyFile, a.KeyEnv)
	if n := len(a.Key.Reveal()); n > 0 && n < minKey {
		k.fail(k.which("admin.key_file", "admin.key_env"), "refers to a key that is too short", fmt.Sprintf("make one of %d bytes or more", minKey))
	}
	if a.Listen != "" && !a.Off() && !loopback(a.Listen) && !k.has("admin.key_file") && !k.has("admin.key_env") { // A2
		k.fail("admin.listen", "others can reach this address, and there is no key", "add key_file or key_env beside it, or listen on 127.0.0.1")
	}
}

// transport refuses to send tokens in the clear (I2).
func (k *checker) transport(key string, u *url.URL, parent string, insecure bool) {
	if u != nil && u.Scheme == "http" && !loopbackHost(u.Hostname()) && !insecure && !k.failed[parent+".insecure_plain_http"] {
		k.fail(key, "is http to another machine", "use https, or set insecure_plain_http: true if you trust the network between")
	}
}

func (k *checker) which(keys ...string) string {
	for _, key := range keys {
		if k.has(key) {
			return key
		}
	}
	return keys[0]
}

// places refuses a place that is listed twice.
func (k *checker) places(list []Place, key string) {
	first := make(map[Place]int)
	for i, p := range list {
		if p == (Place{}) { // it has an error
			continue
		}
		if j, ok := first[p]; ok {
			k.fail(fmt.Sprintf("%s[%d]", key, i), fmt.Sprintf("is the same place as %s[%d]", key, j), "remove it")
			continue
		}
		first[p] = i
	}
}

func (k *checker) routes(routes []Route) {
	type target struct{ host, path string }
	first := make(map[target]int)
	for i := range routes {
		r := &routes[i]
		key := "routes[" + strconv.Itoa(i) + "]"
		r.Line = k.find(key).line
		k.places(r.Tokens, key+".tokens")
		if r.Public {
			for _, name := range []string{"allow", "tokens", "login"} {
				if k.has(key + "." + name) {
					k.fail(key+"."+name, "has no meaning on a public route", "remove it, or remove public")
				}
			}
		}
		k.transparent(r, key)
		k.backendCA(r, key)
		if r.Path == "" || k.failed[key+".host"] {
			continue
		}
		t := target{normalHost(r.Host), r.Path}
		if j, ok := first[t]; ok {
			k.fail(key+".path", fmt.Sprintf("is for the same host and path as routes[%d] on line %d", j, routes[j].Line), "remove one of them")
			continue
		}
		first[t] = i
	}
}

func (k *checker) backendCA(r *Route, key string) {
	if r.BackendCAFile == "" {
		return
	}
	key += ".backend_ca_file"
	if r.Backend != nil && r.Backend.Scheme != "https" {
		k.fail(key, "has no meaning for an http backend", "remove it, or write https")
		return
	}
	r.BackendCA = k.roots(key, r.BackendCAFile)
}

// roots reads a file of certificates; nil: it has an error.
func (k *checker) roots(key, name string) *x509.CertPool {
	pem, ok := k.file(key, name, maxFile)
	if !ok {
		return nil
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM([]byte(pem)) {
		k.fail(key, "refers to a file without certificates", "it must be in PEM: -----BEGIN CERTIFICATE-----")
		return nil
	}
	return pool
}

// transparent refuses what needs to look at frames where nobody does. A route
// with a rule for messages always bounds these.
func (k *checker) transparent(r *Route, key string) {
	if r.Messages != nil && r.Limits.MessageSize == 0 {
		r.Limits.MessageSize = defaultMessageSize
	}
	if r.Frames != "transparent" {
		return
	}
	for name, set := range map[string]bool{
		".utf8": r.UTF8, ".messages": r.Messages != nil, ".limits.message_size": r.Limits.MessageSize > 0 && r.Messages == nil, ".limits.fragments": r.Limits.Fragments > 0,
		".limits.messages_per_second": r.Limits.MessagesPerSecond > 0, ".limits.messages_per_user": r.Limits.MessagesPerUser > 0,
	} {
		if set {
			k.fail(key+name, "has no meaning where frames are transparent", "remove one of them")
		}
	}
}

// defaultMessageSize bounds messages on a route with a rule for them.
const defaultMessageSize = 64 << 10
