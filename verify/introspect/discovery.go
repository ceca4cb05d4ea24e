package introspect

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/portcullis-auth/portcullis/internal/askhttp"
	"github.com/portcullis-auth/portcullis/internal/strictjson"
)

const (
	recheckAfter = time.Hour       // when a known endpoint is looked up again
	retryAfter   = 5 * time.Second // and after a look-up that failed
)

// A discovery finds the introspection endpoint in the metadata of an issuer,
// and keeps it while the issuer is down. It is safe for concurrent use.
type discovery struct {
	issuer    string
	documents [2]string // where the metadata may be
	https     bool      // whether the issuer is https
	plain     bool      // InsecurePlainHTTP
	asker     *askhttp.Asker

	mu       sync.Mutex
	endpoint string        // "": not known yet
	err      error         // how the last fetch ended
	next     time.Time     // when to fetch again
	inFlight chan struct{} // closed when the running fetch ends; nil: none runs
}

func newDiscovery(issuer string, plain bool, asker *askhttp.Asker) (*discovery, error) {
	u, err := askhttp.CheckURL(issuer, plain)
	if err == nil && strings.Contains(issuer, "?") { // RFC 8414, section 2
		err = errors.New("URL must not have a query")
	}
	if err != nil {
		return nil, fmt.Errorf("the issuer's %w", err)
	}
	return &discovery{
		issuer: issuer,
		documents: [...]string{
			// OpenID Connect Discovery 1.0, section 4: behind the issuer's path.
			strings.TrimSuffix(issuer, "/") + "/.well-known/openid-configuration",
			// RFC 8414, section 3: before it.
			u.Scheme + "://" + u.Host + "/.well-known/oauth-authorization-server" + strings.TrimSuffix(u.EscapedPath(), "/"),
		},
		https: u.Scheme == "https",
		plain: plain,
		asker: asker,
	}, nil
}

// url returns the endpoint. It waits, until ctx is done, where none is known
// yet; one that is known is used while it is looked up again.
func (d *discovery) url(ctx context.Context) (string, error) {
	for {
		d.mu.Lock()
		if d.inFlight == nil && !time.Now().Before(d.next) {
			d.start()
		}
		endpoint, err, fetching := d.endpoint, d.err, d.inFlight
		d.mu.Unlock()
		switch {
		case endpoint != "":
			return endpoint, nil
		case fetching == nil:
			return "", err
		}
		select {
		case <-fetching:
		case <-ctx.Done():
			return "", fmt.Errorf("gave up waiting for the issuer's metadata: %w", ctx.Err())
		}
	}
}

// start starts a fetch, which doesn't end with the caller that needs it: others
// wait for it too. d.mu is held.
func (d *discovery) start() {
	done := make(chan struct{})
	d.inFlight = done
	go func() { // ends with the asker's timeouts
		endpoint, err := d.fetch()
		d.mu.Lock()
		defer d.mu.Unlock()
		d.inFlight, d.err, d.next = nil, err, time.Now().Add(retryAfter)
		if err == nil { // else the old one stays
			d.endpoint, d.next = endpoint, time.Now().Add(recheckAfter)
		}
		close(done)
	}()
}

// fetch tries both documents, since either may lack the endpoint, and there is
// no telling how a server says that it has no such document.
func (d *discovery) fetch() (string, error) {
	endpoint, first := d.read(d.documents[0])
	if first == nil {
		return endpoint, nil
	}
	endpoint, second := d.read(d.documents[1])
	if second == nil {
		return endpoint, nil
	}
	return "", fmt.Errorf("discovery: openid-configuration: %w; oauth-authorization-server: %w", first, second)
}

func (d *discovery) read(document string) (string, error) {
	req, err := http.NewRequestWithContext(context.Background(), http.MethodGet, document, http.NoBody)
	if err != nil {
		return "", errors.New("the request cannot be made")
	}
	answer, err := d.asker.Ask(req)
	if err != nil {
		return "", err
	}
	if answer.Status != http.StatusOK {
		return "", answer.Unexpected()
	}
	body, err := answer.JSON()
	if err != nil {
		return "", err
	}
	members, err := strictjson.Object(body)
	if err != nil {
		return "", fmt.Errorf("the document is %w", err)
	}
	// RFC 8414, section 3.3: or another issuer could have our tokens sent to it.
	if text(members, "issuer") != d.issuer {
		return "", errors.New(`the document's "issuer" is not the one configured (a slash at the end counts)`)
	}
	endpoint := text(members, "introspection_endpoint")
	if endpoint == "" {
		return "", errors.New(`the document has no "introspection_endpoint"`)
	}
	u, err := askhttp.CheckURL(endpoint, d.plain)
	switch {
	case err != nil:
		return "", fmt.Errorf("introspection_endpoint: %w", err)
	case u.Scheme == "http" && d.https: // loopback or not
		return "", errors.New("introspection_endpoint is http, the issuer https")
	}
	return endpoint, nil
}

// text returns a member that is a string, or "".
func text(members map[string]json.RawMessage, name string) (s string) {
	_ = json.Unmarshal(members[name], &s) // "" if it fails
	return s
}
