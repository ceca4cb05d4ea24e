package ssf

import (
	"context"
	"crypto"
	"errors"
	"sync"
	"time"

	"github.com/portcullis-auth/portcullis/internal/askhttp"
	"github.com/portcullis-auth/portcullis/internal/keyset"
)

// newKeys returns the keys of the transmitter that c names.
func newKeys(c *Config) (Keys, error) {
	if c.JWKSURL == "" {
		if _, err := askhttp.CheckURL(c.Issuer, c.InsecurePlainHTTP); err != nil {
			return nil, err
		}
		return &discovered{config: c}, nil
	}
	return keysAt(c, c.JWKSURL)
}

func keysAt(c *Config, url string) (*keyset.Set, error) {
	return keyset.New(keyset.Config{
		URL:               url,
		Algorithms:        c.Algorithms,
		Timeout:           c.Timeout,
		Client:            c.Client,
		InsecurePlainHTTP: c.InsecurePlainHTTP,
	})
}

// discoverAgain is how long after a failure metadata is fetched again: forged
// SETs must not make us fetch it for each (J3).
const discoverAgain = 5 * time.Second

// discovered finds the keys by the transmitter's metadata, when first asked.
type discovered struct {
	config *Config

	mu    sync.Mutex // held during discovery: whoever needs a key waits for it
	set   *keyset.Set
	err   error
	tried time.Time
}

func (d *discovered) Keys(ctx context.Context, kid, alg string) ([]crypto.PublicKey, error) {
	set, err := d.find()
	if err != nil {
		return nil, err
	}
	return set.Keys(ctx, kid, alg)
}

func (d *discovered) find() (*keyset.Set, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.set != nil || d.err != nil && time.Since(d.tried) < discoverAgain {
		return d.set, d.err
	}
	// Not with the context of a caller, who may go while others wait. It ends with
	// its timeout.
	t, err := Discover(context.Background(), TransmitterConfig{
		Issuer:            d.config.Issuer,
		Timeout:           d.config.Timeout,
		Client:            d.config.Client,
		InsecurePlainHTTP: d.config.InsecurePlainHTTP,
	})
	if err == nil && t.JWKSURL == "" {
		err = errors.New("ssf: the transmitter's metadata has no jwks_uri")
	}
	if err == nil {
		d.set, err = keysAt(d.config, t.JWKSURL)
	}
	d.err, d.tried = err, time.Now()
	return d.set, err
}
