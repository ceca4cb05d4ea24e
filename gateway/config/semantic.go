package config

import (
	"crypto/x509"
	"fmt"
	"net/url"
	"path/filepath"
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
	k.places(c.Tokens, "tokens")
	k.verify(&c.Verify)
	if c.Logout != nil {
		issuer, _ := url.Parse(c.Logout.Issuer)
		k.transport("logout.issuer", issuer, "logout", c.Logout.InsecurePlainHTTP)
		k.transport("logout.jwks_url", c.Logout.JWKSURL, "logout", c.Logout.InsecurePlainHTTP)
	}
	k.routes(c.Routes)
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

func (k *checker) verify(v *Verify) {
	in, check := k.has("verify.introspection"), k.has("verify.http_check")
	switch {
	case in && check:
		k.fail("verify", "has both introspection and http_check", "keep one of them")
	case !in && !check && k.has("verify") && !k.failed["verify"]:
		k.fail("verify", "says nobody to ask", "add introspection or http_check below it")
	}
	if i := v.Introspection; i != nil {
		const key = "verify.introspection"
		k.transport(key+".url", i.URL, key, i.InsecurePlainHTTP)
		i.ClientSecret = k.secret(key, "client_secret", i.ClientSecretFile, i.ClientSecretEnv)
		if !k.failed[key] && !k.has(key+".client_secret_file") && !k.has(key+".client_secret_env") && !k.failed[key+".client_secret"] {
			k.fail(key, "has no client secret", "add client_secret_file or client_secret_env")
		}
	}
	if h := v.HTTPCheck; h != nil {
		const key = "verify.http_check"
		k.transport(key+".url", h.URL, key, h.InsecurePlainHTTP)
	}
}

// transport refuses to send tokens in the clear (I2).
func (k *checker) transport(key string, u *url.URL, parent string, insecure bool) {
	if u != nil && u.Scheme == "http" && !loopbackHost(u.Hostname()) && !insecure && !k.failed[parent+".insecure_plain_http"] {
		k.fail(key, "is http to another machine", "use https, or set insecure_plain_http: true if you trust the network between")
	}
}

// secret reads what NAME_file or NAME_env below key refers to.
func (k *checker) secret(key, name, file, env string) Secret {
	fileKey, envKey := join(key, name+"_file"), join(key, name+"_env")
	switch {
	case k.has(fileKey) && k.has(envKey):
		k.fail(envKey, "stands beside "+name+"_file", "keep one of them")
	case file != "":
		text, ok := k.file(fileKey, file, maxSecret)
		text = strings.TrimSuffix(strings.TrimSuffix(text, "\n"), "\r")
		switch {
		case ok && text == "":
			k.fail(fileKey, "refers to an empty file", "write the secret into it")
		case strings.ContainsAny(text, "\r\n\x00"):
			k.fail(fileKey, "refers to a file of several lines", "write nothing but the secret into it")
		default:
			return NewSecret(text)
		}
	case env != "":
		text, ok := k.outside.env(env)
		switch {
		case !ok:
			k.fail(envKey, "names an environment variable that isn't set", "set it for the gateway's process")
		case text == "":
			k.fail(envKey, "names an environment variable that is empty", "give it the secret as its value")
		default:
			return NewSecret(text)
		}
	}
	return Secret{}
}

// file reads a file that the configuration refers to.
func (k *checker) file(key, name string, limit int64) (string, bool) {
	if !filepath.IsAbs(name) {
		name = filepath.Join(k.dir, name)
	}
	text, err := k.outside.read(name, limit)
	if err != nil {
		k.fail(key, "refers to a file that cannot be read: "+reason(err), "create it, or correct the name")
		return "", false
	}
	return string(text), true
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
	pem, ok := k.file(key, r.BackendCAFile, maxFile)
	if !ok {
		return
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM([]byte(pem)) {
		k.fail(key, "refers to a file without certificates", "it must be in PEM: -----BEGIN CERTIFICATE-----")
		return
	}
	r.BackendCA = pool
}
