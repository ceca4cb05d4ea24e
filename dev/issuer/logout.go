package issuer

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"
)

// LogoutTokenSubject says whom the logout token of one session names (OIDC Back-Channel
// Logout 1.0, section 2.4: "sub", "sid" or both).
type LogoutTokenSubject int

// What a logout token names.
const (
	LogoutSubAndSid LogoutTokenSubject = iota
	LogoutOnlySub                      // receivers end all sessions of the user
	LogoutOnlySid
)

const (
	logoutTokenLifetime = 2 * time.Minute // as section 2.4 recommends
	logoutTimeout       = 3 * time.Second // one attempt
	logoutEvent         = "http://schemas.openid.net/event/backchannel-logout"
)

// logoutBackoff is the wait before each further attempt.
var logoutBackoff = []time.Duration{100 * time.Millisecond, 400 * time.Millisecond}

var errNotDelivered = errors.New("issuer: logout token not delivered")

// RevokeSession ends a session and all its tokens without telling anybody: a gateway finds
// out when it asks again. It reports whether there was such a session.
func (i *Issuer) RevokeSession(sid string) bool {
	_, ok := i.store.endSession(sid)
	return ok
}

// LogoutSession ends a session and all its tokens, then sends logout tokens. When it returns
// nil every receiver has acknowledged. It fails if there is no such session, or if a receiver
// could not be told; the session has ended even then.
func (i *Issuer) LogoutSession(ctx context.Context, sid string) error {
	u, ok := i.store.endSession(sid)
	if !ok {
		return errNoSession
	}
	switch i.subject {
	case LogoutOnlySub:
		return i.notify(ctx, u.Subject, "")
	case LogoutOnlySid:
		return i.notify(ctx, "", sid)
	default:
		return i.notify(ctx, u.Subject, sid)
	}
}

// LogoutUser ends all sessions of a user, given by subject or user name, then sends logout
// tokens that name the subject only. They are sent even if the user had no session. It
// returns as LogoutSession does.
func (i *Issuer) LogoutUser(ctx context.Context, user string) error {
	u := i.users.find(user)
	if u == nil {
		return fmt.Errorf("issuer: no such user %q", user)
	}
	i.store.endUser(u.Subject)
	return i.notify(ctx, u.Subject, "")
}

// newLogoutClient follows no redirects: a logout token is for the registered URI only.
func newLogoutClient(t http.RoundTripper) *http.Client {
	if t == nil {
		t = &http.Transport{DisableKeepAlives: true} // logouts are rare
	}
	return &http.Client{
		Transport:     t,
		Timeout:       logoutTimeout,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

// notify tells all receivers at once, and waits for them.
func (i *Issuer) notify(ctx context.Context, sub, sid string) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(i.closed, cancel)()

	errs := make([]error, len(i.logoutURI))
	var wg sync.WaitGroup
	for n, uri := range i.logoutURI {
		wg.Go(func() { errs[n] = i.deliver(ctx, uri, sub, sid) })
	}
	wg.Wait()
	return errors.Join(errs...)
}

// deliver sends a logout token, and again if the receiver could not be reached or was not
// able to take it. What it refuses it will refuse again.
func (i *Issuer) deliver(ctx context.Context, uri, sub, sid string) error {
	log := i.log.With("uri", uri, "sub", sub, "sid", sid)
	for attempt := 0; ; attempt++ {
		retry, err := i.send(ctx, uri, sub, sid)
		if err == nil {
			log.InfoContext(ctx, "logout token delivered", "attempt", attempt+1)
			return nil
		}
		log.WarnContext(ctx, "logout token not delivered", "attempt", attempt+1, "error", err)
		if !retry || attempt == len(logoutBackoff) {
			return fmt.Errorf("%w to %s: %w", errNotDelivered, uri, err)
		}
		timer := time.NewTimer(logoutBackoff[attempt])
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return fmt.Errorf("%w to %s: %w", errNotDelivered, uri, ctx.Err())
		}
	}
}

// send makes one attempt (OIDC Back-Channel Logout 1.0, section 2.5). Each attempt has a
// token of its own: the receiver may have seen the last one, and would call it a replay.
func (i *Issuer) send(ctx context.Context, uri, sub, sid string) (retry bool, err error) {
	token, err := i.logoutToken(sub, sid)
	if err != nil {
		return false, err
	}
	form := url.Values{"logout_token": {token}}.Encode()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, uri, strings.NewReader(form))
	if err != nil {
		return false, err
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	resp, err := i.client.Do(req)
	if err != nil {
		return ctx.Err() == nil, err
	}
	defer resp.Body.Close()
	_, _ = io.Copy(io.Discard, io.LimitReader(resp.Body, maxBody)) // so that the connection can be reused
	switch resp.StatusCode {
	case http.StatusOK, http.StatusNoContent: // section 2.8
		return false, nil
	}
	return resp.StatusCode >= 500, fmt.Errorf("answered %s", resp.Status)
}

// logoutToken makes a logout token (section 2.4) for the gateway. Empty claims are left out;
// there is never a nonce.
func (i *Issuer) logoutToken(sub, sid string) (string, error) {
	now := i.store.now()
	claims := map[string]any{
		"iss":    i.url,
		"aud":    i.audience,
		"iat":    now.Unix(),
		"exp":    now.Add(logoutTokenLifetime).Unix(),
		"jti":    newID(),
		"events": map[string]any{logoutEvent: struct{}{}},
	}
	if sub != "" {
		claims["sub"] = sub
	}
	if sid != "" {
		claims["sid"] = sid
	}
	return i.signer.sign("logout+jwt", claims)
}
