package listen

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/url"
	"os"
	"slices"
	"strings"
	"sync"

	"github.com/caddyserver/certmagic"
	"github.com/mholt/acmez/v3/acme"
	"go.uber.org/zap"
)

// ACME gets certificates from a certificate authority (RFC 8555), and renews
// them. The authority's challenges come to the listener itself, by TLS (RFC
// 8737): it must be reachable at port 443 of each domain.
type ACME struct {
	// Domains are the host names to get certificates for, one each. No
	// other name gets one, whatever a client asks for.
	Domains []string

	// Email is where the authority writes to when something is wrong. It may be
	// empty.
	Email string

	// Directory is the authority's directory URL, https.
	Directory string

	// TermsAgreed says that the operator agrees to the authority's terms of
	// service. Without that there are no certificates.
	TermsAgreed bool

	// Storage is a folder for the account's key and the certificates. It is made
	// for its owner only if it isn't there. Listeners that share it share the
	// certificates, and answer each other's challenges.
	Storage string

	// CAFile is a PEM file with the certificates that the authority's own must
	// come from, in place of the system's. Empty: the system's.
	CAFile string
}

// check returns what is wrong without asking anybody. nil is good.
func (a *ACME) check() error {
	if a == nil {
		return nil
	}
	if len(a.Domains) == 0 || slices.Contains(a.Domains, "") {
		return errors.New("acme: no domains, or an empty one")
	}
	// RFC 8555, section 6.1
	if u, err := url.Parse(a.Directory); err != nil || u.Scheme != "https" || u.Host == "" {
		return errors.New("acme: the directory is no https URL")
	}
	if !a.TermsAgreed {
		return errors.New("acme: the authority's terms of service are not agreed to")
	}
	if a.Storage == "" {
		return errors.New("acme: no storage")
	}
	return nil
}

// roots returns whom the authority's certificate must come from; nil: the
// system's.
func (a *ACME) roots() (*x509.CertPool, error) {
	if a.CAFile == "" {
		return nil, nil //nolint:nilnil // as the comment says
	}
	text, err := os.ReadFile(a.CAFile)
	if err != nil {
		return nil, fmt.Errorf("acme: %w", err)
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(text) {
		return nil, fmt.Errorf("acme: %s has no certificates in PEM", a.CAFile)
	}
	return pool, nil
}

// An authority is where certificates come from.
type authority struct {
	config  *certmagic.Config
	domains []string
	log     *slog.Logger
}

// start begins to get and renew certificates, until ctx is done, and adds what
// it runs to running. It waits for nothing but the folder.
func (a *ACME) start(ctx context.Context, at *net.TCPAddr, log *slog.Logger, running *sync.WaitGroup) (*authority, error) {
	roots, err := a.roots()
	if err != nil {
		return nil, err
	}
	if err := os.MkdirAll(a.Storage, 0o700); err != nil {
		return nil, fmt.Errorf("acme: %w", err)
	}
	t := &authority{log: log}
	for _, d := range a.Domains {
		t.domains = append(t.domains, strings.ToLower(d))
	}
	silent := zap.NewNop() // it would log what the authority answers
	cache := certmagic.NewCache(certmagic.CacheOptions{
		GetConfigForCert: func(certmagic.Certificate) (*certmagic.Config, error) { return t.config, nil },
		Logger:           silent,
	})
	t.config = certmagic.New(cache, certmagic.Config{
		Storage:            &certmagic.FileStorage{Path: a.Storage},
		OnEvent:            t.event,
		ShouldEmitFunc:     func(event string) bool { return event != "tls_get_certificate" }, // every handshake's
		FallbackServerName: t.domains[0],                                                      // for who sends another name, or none
		Logger:             silent,
	})
	host := ""
	if !at.IP.IsUnspecified() {
		host = at.IP.String()
	}
	t.config.Issuers = []certmagic.Issuer{certmagic.NewACMEIssuer(t.config, certmagic.ACMEIssuer{
		CA:                   a.Directory,
		Email:                a.Email,
		Agreed:               a.TermsAgreed,
		DisableHTTPChallenge: true,
		ListenHost:           host, // where it finds that somebody listens: us
		AltTLSALPNPort:       at.Port,
		TrustedRoots:         roots,
		Logger:               silent,
	})}
	running.Go(func() {
		<-ctx.Done()
		cache.Stop()
	})
	log.Info("certificates to come", "domains", t.domains, "directory", a.Directory)
	return t, t.config.ManageAsync(ctx, t.domains)
}

// has reports whether there is to be a certificate for the name.
func (t *authority) has(name string) bool {
	return slices.Contains(t.domains, strings.ToLower(name))
}

// event logs what becomes of certificates.
func (t *authority) event(_ context.Context, event string, data map[string]any) error {
	switch event {
	case "cached_managed_cert":
		t.log.Info("certificate in use", "domains", data["sans"])
	case "cert_obtained":
		t.log.Info("certificate obtained", "domain", data["identifier"], "renewal", data["renewal"])
	case "cert_failed":
		err, _ := data["error"].(error)
		t.log.Error("no certificate obtained, to be tried again", "domain", data["identifier"], "renewal", data["renewal"], "why", why(err))
	}
	return nil
}

// why says why there is no certificate, in words that aren't the authority's.
func why(err error) string {
	var problem acme.Problem
	var network *net.OpError
	var untrusted *tls.CertificateVerificationError
	switch {
	case errors.As(err, &problem):
		if kind, ok := strings.CutPrefix(problem.Type, "urn:ietf:params:acme:error:"); ok && isWord(kind) { // RFC 8555, section 6.7
			return "the authority answers " + kind
		}
		return "the authority answers that something is wrong"
	case errors.As(err, &network):
		return network.Error()
	case errors.As(err, &untrusted):
		return "the authority's own certificate: " + untrusted.Err.Error()
	case errors.Is(err, context.DeadlineExceeded):
		return "the authority doesn't answer"
	}
	return "the authority's answer is none of ACME, or the storage fails"
}

// isWord reports whether s is made of few letters.
func isWord(s string) bool {
	return len(s) < 40 && strings.Trim(strings.ToLower(s), "abcdefghijklmnopqrstuvwxyz") == ""
}
