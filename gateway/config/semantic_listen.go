package config

import (
	"crypto/tls"
	"strconv"
	"strings"
)

// tls makes sure of the files that whoever listens will read, now and whenever
// they change.
func (k *checker) tls(t *TLS) {
	if t == nil {
		return
	}
	if t.ACME == nil && len(t.Certificates) == 0 && !k.has("tls.certificates") && !k.has("tls.acme") {
		k.fail("tls", "has no certificates", "add certificates, or acme")
	}
	for i := range t.Certificates {
		key := "tls.certificates"
		if k.has("tls.certificates[0]") {
			key += "[" + strconv.Itoa(i) + "]"
		}
		k.certificate(key, &t.Certificates[i])
	}
	if a := t.ACME; a != nil && a.Storage != "" {
		a.Storage = k.path(a.Storage)
	}
	if a := t.ACME; a != nil && a.CAFile != "" {
		k.roots("tls.acme.ca_file", a.CAFile)
		a.CAFile = k.path(a.CAFile)
	}
}

func (k *checker) certificate(key string, c *Certificate) {
	if c.CertFile == "" || c.KeyFile == "" { // it has an error
		return
	}
	cert, ok := k.file(key+".cert_file", c.CertFile, maxFile)
	secret, ok2 := k.file(key+".key_file", c.KeyFile, maxFile)
	if !ok || !ok2 {
		return
	}
	if _, err := tls.X509KeyPair([]byte(cert), []byte(secret)); err != nil {
		k.fail(key, "is no certificate with its key: "+strings.TrimPrefix(err.Error(), "tls: "), "both must be in PEM, and belong together")
	}
	c.CertFile, c.KeyFile = k.path(c.CertFile), k.path(c.KeyFile)
}
