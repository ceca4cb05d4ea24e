package introspect

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/portcullis-auth/portcullis/internal/discovery"
)

const (
	recheckAfter = time.Hour       // when a known endpoint is looked up again
	retryAfter   = 5 * time.Second // and after a look-up that failed
)

// An endpoint is that of an issuer, which is found when needed, and kept while
// the issuer is down. It is safe for concurrent use.
type endpoint struct {
	issuer *discovery.Issuer

	mu       sync.Mutex
	found    string        // "": not known yet
	err      error         // how the last fetch ended
	next     time.Time     // when to fetch again
	inFlight chan struct{} // closed when the running fetch ends; nil: none runs
}

// url returns the endpoint. It waits, until ctx is done, where none is known
// yet; one that is known is used while it is looked up again.
func (e *endpoint) url(ctx context.Context) (string, error) {
	for {
		e.mu.Lock()
		if e.inFlight == nil && !time.Now().Before(e.next) {
			e.start()
		}
		found, err, fetching := e.found, e.err, e.inFlight
		e.mu.Unlock()
		switch {
		case found != "":
			return found, nil
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
// wait for it too. e.mu is held.
func (e *endpoint) start() {
	done := make(chan struct{})
	e.inFlight = done
	go func() { // ends with the asker's timeouts
		found, err := e.issuer.Endpoint("introspection_endpoint")
		e.mu.Lock()
		defer e.mu.Unlock()
		e.inFlight, e.err, e.next = nil, err, time.Now().Add(retryAfter)
		if err == nil { // else the old one stays
			e.found, e.next = found, time.Now().Add(recheckAfter)
		}
		close(done)
	}()
}
