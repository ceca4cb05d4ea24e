package gateway

import (
	"context"
	"crypto/tls"

	"github.com/portcullis-auth/portcullis/gateway/config"
	"github.com/portcullis-auth/portcullis/gateway/listen"
)

// Listen opens the configured listener, for [Gateway.Serve].
func (g *Gateway) Listen(ctx context.Context) (*listen.Listener, error) {
	c := g.current.Load().config
	o := listen.Options{
		Address:     c.Listen,
		ProxyFrom:   c.ProxyProtocol,
		HeaderTime:  c.Limits.HeaderTime,
		Connections: int(c.Limits.Connections),
		PerAddress:  int(c.Limits.ConnectionsPerAddress),
		Log:         g.log,
	}
	if c.TLS != nil {
		encrypted(&o, c.TLS)
	}
	return listen.Open(ctx, o)
}

func encrypted(o *listen.Options, c *config.TLS) {
	if c.MinVersion == "1.3" {
		o.MinVersion = tls.VersionTLS13
	}
	for _, cert := range c.Certificates {
		o.Certificates = append(o.Certificates, listen.Certificate{CertFile: cert.CertFile, KeyFile: cert.KeyFile})
	}
	if a := c.ACME; a != nil {
		o.ACME = &listen.ACME{
			Domains: a.Domains, Email: a.Email, Directory: a.Directory, Storage: a.Storage, CAFile: a.CAFile, TermsAgreed: true,
		}
	}
}
