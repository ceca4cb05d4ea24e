// Package discovery finds the endpoints of an issuer in the metadata that it
// publishes, by OpenID Connect Discovery 1.0 or RFC 8414. Nothing is remembered:
// each call asks the issuer.
package discovery

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"

	"github.com/portcullis-auth/portcullis/internal/askhttp"
	"github.com/portcullis-auth/portcullis/internal/strictjson"
)

// An Issuer is where metadata is. It is made by [New] and safe for concurrent
// use.
type Issuer struct {
	name      string
	documents [2]string // where the metadata may be
	https     bool      // whether the issuer is https
	plain     bool      // whether http is permitted beyond loopback
	asker     *askhttp.Asker
}

// New returns the issuer of that name, which is an https URL, or http on
// loopback, or any http where plain is set. It makes no call.
func New(name string, plain bool, asker *askhttp.Asker) (*Issuer, error) {
	u, err := askhttp.CheckURL(name, plain)
	if err == nil && strings.Contains(name, "?") { // RFC 8414, section 2
		err = errors.New("URL must not have a query")
	}
	if err != nil {
		return nil, fmt.Errorf("the issuer's %w", err)
	}
	return &Issuer{
		name: name,
		documents: [...]string{
			// OpenID Connect Discovery 1.0, section 4: behind the issuer's path.
			strings.TrimSuffix(name, "/") + "/.well-known/openid-configuration",
			// RFC 8414, section 3: before it.
			u.Scheme + "://" + u.Host + "/.well-known/oauth-authorization-server" + strings.TrimSuffix(u.EscapedPath(), "/"),
		},
		https: u.Scheme == "https",
		plain: plain,
		asker: asker,
	}, nil
}

// Endpoint returns the URL that the issuer's metadata has under that name, such
// as "jwks_uri". It tries both documents, since either may lack the endpoint,
// and there is no telling how a server says that it has no such document. So it
// makes one call or two.
func (i *Issuer) Endpoint(name string) (string, error) {
	endpoint, first := i.endpoint(i.documents[0], name)
	if first == nil {
		return endpoint, nil
	}
	endpoint, second := i.endpoint(i.documents[1], name)
	if second == nil {
		return endpoint, nil
	}
	return "", fmt.Errorf("discovery: openid-configuration: %w; oauth-authorization-server: %w", first, second)
}

func (i *Issuer) endpoint(document, name string) (string, error) {
	body, _, err := Get(i.asker, document)
	if err != nil {
		return "", err
	}
	members, err := strictjson.Object(body) // J4
	if err != nil {
		return "", fmt.Errorf("the document is %w", err)
	}
	// OpenID Connect Discovery 1.0, section 4.3; RFC 8414, section 3.3: or
	// another issuer's keys would be taken for this one's, and this one's tokens
	// be sent to it.
	if text(members["issuer"]) != i.name {
		return "", errors.New(`the document's "issuer" is not the one configured (a slash at the end counts)`)
	}
	endpoint := text(members[name])
	if endpoint == "" {
		return "", fmt.Errorf("the document has no %q", name)
	}
	u, err := askhttp.CheckURL(endpoint, i.plain)
	switch {
	case err != nil:
		return "", fmt.Errorf("%s: %w", name, err)
	case u.Scheme == "http" && i.https: // loopback or not
		return "", fmt.Errorf("%s is http, the issuer https", name)
	}
	return endpoint, nil
}

// Get returns what an issuer publishes at that URL, which must be JSON, and the
// answer that it came in. It has not been parsed.
func Get(asker *askhttp.Asker, url string) ([]byte, *askhttp.Answer, error) {
	req, err := http.NewRequestWithContext(context.Background(), http.MethodGet, url, http.NoBody)
	if err != nil {
		return nil, nil, errors.New("the request cannot be made")
	}
	answer, err := asker.Ask(req)
	if err != nil {
		return nil, nil, err
	}
	if answer.Status != http.StatusOK {
		return nil, nil, answer.Unexpected()
	}
	body, err := answer.JSON()
	return body, answer, err
}

// text returns a string, or "".
func text(raw json.RawMessage) (s string) {
	_ = json.Unmarshal(raw, &s) // "" if it fails
	return s
}
