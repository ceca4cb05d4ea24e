package issuer

import (
	"net/http"
	"net/url"
	"time"
)

// NewAt is New with a clock.
func NewAt(cfg Config, now func() time.Time) (*Issuer, error) { return newIssuer(cfg, now) }

// Entries counts what is stored, alive or not.
func (i *Issuer) Entries() int {
	i.store.mu.Lock()
	defer i.store.mu.Unlock()
	return len(i.store.access.entries) + len(i.store.sessions.entries) + len(i.store.logins.entries)
}

// ReturnTo is the check of return_to for an application at appOrigin.
func ReturnTo(appOrigin, raw string) (string, bool) {
	u, err := url.Parse(appOrigin + "/")
	if err != nil {
		panic(err)
	}
	r := &http.Request{Method: "GET", URL: &url.URL{RawQuery: url.Values{"return_to": {raw}}.Encode()}}
	return (&app{appURL: u}).returnTo(r)
}
