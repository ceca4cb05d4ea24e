package listen

import (
	"context"
	"crypto/tls"
	"slices"
)

// challengeProtocol is ALPN's name for a challenge by TLS (RFC 8737, section 6.2).
const challengeProtocol = "acme-tls/1"

// tlsConfig returns what TLS is spoken with. a may be nil, or files empty.
func (l *Listener) tlsConfig(files *files, a *authority) *tls.Config {
	c := &tls.Config{
		MinVersion: l.options.MinVersion,
		NextProtos: []string{"h2", "http/1.1"},
		GetCertificate: func(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
			return choose(hello, *files.now.Load(), a)
		},
		// It is told of every handshake, and changes nothing about it.
		GetConfigForClient: func(hello *tls.ClientHelloInfo) (*tls.Config, error) {
			if c, ok := l.shaking.Load(hello.Conn); ok {
				context.AfterFunc(hello.Context(), c.(*conn).inTime) // its context ends with it
			}
			return nil, nil //nolint:nilnil // as the package wants it
		},
	}
	if a != nil {
		c.NextProtos = append(c.NextProtos, challengeProtocol)
	}
	return c
}

// choose returns the certificate for a client.
func choose(hello *tls.ClientHelloInfo, files []*tls.Certificate, a *authority) (*tls.Certificate, error) {
	ours := a != nil && a.has(hello.ServerName)
	if ours && slices.Contains(hello.SupportedProtos, challengeProtocol) {
		return a.config.GetCertificate(hello)
	}
	for _, c := range files {
		if hello.SupportsCertificate(c) == nil {
			return c, nil
		}
	}
	if ours || len(files) == 0 {
		return a.config.GetCertificate(hello)
	}
	return files[0], nil
}
