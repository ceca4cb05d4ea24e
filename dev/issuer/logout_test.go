package issuer_test

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"net/url"
	"testing"

	"github.com/portcullis-auth/portcullis/dev/issuer"
)

func TestLogoutTokenSubject(t *testing.T) {
	for name, tt := range map[string]struct {
		subject  issuer.LogoutTokenSubject
		sub, sid bool
	}{
		"both":     {issuer.LogoutSubAndSid, true, true},
		"sub only": {issuer.LogoutOnlySub, true, false},
		"sid only": {issuer.LogoutOnlySid, false, true},
	} {
		t.Run(name, func(t *testing.T) {
			f := start(t, func(c *issuer.Config) { c.LogoutToken = tt.subject })
			tok, err := f.IssueToken("bob", issuer.TokenOptions{})
			if err != nil {
				t.Fatal(err)
			}
			if err := f.LogoutSession(t.Context(), tok.SID); err != nil {
				t.Fatal(err)
			}
			_, claims := f.verify(f.gotten.take()[0])
			if (claims["sub"] == "u-bob") != tt.sub || (claims["sid"] == tok.SID) != tt.sid {
				t.Errorf("logout token names %v", claims)
			}
			if claims["nonce"] != nil || !tt.sub && claims["sub"] != nil || !tt.sid && claims["sid"] != nil {
				t.Errorf("logout token says too much: %v", claims)
			}
		})
	}
}

func TestLogoutUser(t *testing.T) {
	f := start(t, nil)
	var tokens []string
	for range 2 {
		tok, err := f.IssueToken("bob", issuer.TokenOptions{})
		if err != nil {
			t.Fatal(err)
		}
		tokens = append(tokens, tok.Access)
	}
	alice, _ := f.IssueToken("alice", issuer.TokenOptions{})
	if err := f.LogoutUser(t.Context(), "u-bob"); err != nil {
		t.Fatal(err)
	}
	for _, tok := range tokens {
		f.wantActive(tok, false)
	}
	f.wantActive(alice.Access, true)
	got := f.gotten.take()
	if len(got) != 1 {
		t.Fatalf("%d logout tokens, want 1", len(got))
	}
	if _, claims := f.verify(got[0]); claims["sub"] != "u-bob" || claims["sid"] != nil {
		t.Errorf("logout token names %v, want sub u-bob only", claims)
	}
	if err := f.LogoutUser(t.Context(), "mallory"); err == nil {
		t.Error("an unknown user was logged out")
	}
	if err := f.LogoutSession(t.Context(), "x"); err == nil {
		t.Error("an unknown session was logged out")
	}
}

func TestRevokeSessionIsSilent(t *testing.T) {
	f := start(t, nil)
	tok, _ := f.IssueToken("bob", issuer.TokenOptions{})
	if !f.RevokeSession(tok.SID) || f.RevokeSession(tok.SID) {
		t.Error("want true once, then false")
	}
	f.wantActive(tok.Access, false)
	if n := len(f.gotten.take()); n != 0 {
		t.Errorf("%d logout tokens, want none", n)
	}
}

func TestLogoutTokenDelivery(t *testing.T) {
	for name, tt := range map[string]struct {
		answers []int
		sent    int
		ok      bool
	}{
		"at once":          {nil, 1, true},
		"204":              {[]int{204}, 1, true},
		"second attempt":   {[]int{503}, 2, true},
		"third attempt":    {[]int{503, 500}, 3, true},
		"gives up":         {[]int{503, 503, 503, 503}, 3, false},
		"refused":          {[]int{400}, 1, false},
		"redirect refused": {[]int{302}, 1, false},
	} {
		t.Run(name, func(t *testing.T) {
			f := start(t, nil)
			f.gotten.answers = tt.answers
			tok, _ := f.IssueToken("bob", issuer.TokenOptions{})
			err := f.LogoutSession(t.Context(), tok.SID)
			if (err == nil) != tt.ok {
				t.Errorf("error %v, want ok = %v", err, tt.ok)
			}
			got := f.gotten.take()
			if len(got) != tt.sent {
				t.Errorf("%d attempts, want %d", len(got), tt.sent)
			}
			jtis := map[any]bool{}
			for _, logout := range got {
				_, claims := f.verify(logout)
				jtis[claims["jti"]] = true
			}
			if len(jtis) != len(got) {
				t.Error("a jti was used twice; a receiver would call that a replay")
			}
			f.wantActive(tok.Access, false)
		})
	}
}

// TestOneReceiverDown: the others are told all the same.
func TestOneReceiverDown(t *testing.T) {
	f := start(t, func(c *issuer.Config) {
		c.BackchannelLogoutURIs = append([]string{"http://127.0.0.1:1/"}, c.BackchannelLogoutURIs...)
	})
	tok, _ := f.IssueToken("bob", issuer.TokenOptions{})
	if err := f.LogoutSession(t.Context(), tok.SID); err == nil {
		t.Error("want an error")
	}
	if n := len(f.gotten.take()); n != 1 {
		t.Errorf("%d logout tokens, want 1", n)
	}
}

func TestCloseEndsDelivery(t *testing.T) {
	reached := make(chan struct{})
	silent := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		_ = r.ParseForm() // so that the server notices when the sender goes
		close(reached)
		<-r.Context().Done()
	}))
	defer silent.Close()
	f := start(t, func(c *issuer.Config) { c.BackchannelLogoutURIs = []string{silent.URL} })
	tok, _ := f.IssueToken("bob", issuer.TokenOptions{})
	done := make(chan error, 1)
	go func() { done <- f.LogoutSession(t.Context(), tok.SID) }()
	<-reached
	_ = f.Close()
	if err := <-done; !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want context.Canceled", err)
	}
	f.wantActive(tok.Access, false)
}

func TestEndSession(t *testing.T) {
	f := start(t, nil)
	_, answer := f.exchange(f.code(), nil)
	access, idToken := answer["access_token"].(string), answer["id_token"].(string)
	signed, _ := f.IssueToken("bob", issuer.TokenOptions{Kind: issuer.JWT})

	for name, q := range map[string]url.Values{
		"no hint":                   {},
		"garbage":                   {"id_token_hint": {"x.y.z"}},
		"an access token":           {"id_token_hint": {signed.Access}},
		"somewhere else afterwards": {"id_token_hint": {idToken}, "post_logout_redirect_uri": {"https://evil.example.com/"}},
		"another client":            {"id_token_hint": {idToken}, "client_id": {issuer.ClientJWT}},
	} {
		if resp, body := f.browser().get("/end_session?" + q.Encode()); resp.StatusCode != http.StatusBadRequest {
			t.Errorf("%s: %s %s, want 400", name, resp.Status, body)
		}
	}
	f.wantActive(access, true)
	f.wantActive(signed.Access, true)

	q := url.Values{"id_token_hint": {idToken}, "post_logout_redirect_uri": {appURL + "/"}, "state": {"s1"}}
	resp, _ := f.browser().get("/end_session?" + q.Encode())
	if got, want := resp.Header.Get("Location"), appURL+"/?state=s1"; got != want {
		t.Errorf("sent to %q, want %q", got, want)
	}
	f.wantActive(access, false)
	f.wantActive(signed.Access, true)
	if n := len(f.gotten.take()); n != 1 {
		t.Errorf("%d logout tokens, want 1", n)
	}
	// Again: it has ended already.
	if resp, _ := f.browser().get("/end_session?" + q.Encode()); resp.StatusCode != http.StatusFound {
		t.Errorf("second logout: %s", resp.Status)
	}
	if n := len(f.gotten.take()); n != 0 {
		t.Errorf("%d logout tokens for an ended session", n)
	}
}
